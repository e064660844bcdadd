"""Rules about the one who looks: late, blind, or standing in a house that stands still as a whole.

The picture: a witness who dozed off. What he did not see did not happen for the court, and what he saw when the lights
were out is no evidence. Nobody is convicted from inside such a window; ends are kernel facts and stay valid.
"""

from __future__ import annotations

from supervisor.verdict.dependency import AWAY
from supervisor.verdict.evidence import Evidence
from supervisor.verdict.facts import Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.words import State, VerdictKind

ALIVE = (State.STARTING, State.RUNNING, State.READY)


def settling(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """The root itself was late; until it has settled it only looks."""
    left_s = evidence.observer.valid_since - facts.now
    if evidence.state not in ALIVE or left_s <= 0:
        return None
    return Finding(
        kind=VerdictKind.OBSERVER_STALL,
        cause="settling",
        reason=f"the supervisor itself stood still for {evidence.observer.stall_s:.1f} s; "
        f"it looks again for {left_s:.1f} s before it judges {evidence.name}",
        speaks_for=(f"the root's tick was late by {evidence.observer.late_s:.1f} s",),
        action=Action.VOID,
        review_s=left_s,
        rule=AWAY if previous is not None and previous.rule == AWAY else "",
    )


def not_looked_at(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """A live child nobody has looked at, or whose last look is old: the root's fault, not the child's."""
    if evidence.state is not State.READY:
        return None
    if facts.look_age_s is None:
        return Finding(
            kind=VerdictKind.UNSURE,
            cause="no-look",
            reason="nobody has looked at this incarnation yet",
        )
    if facts.look_age_s > facts.suspect_s:
        return Finding(
            kind=VerdictKind.OBSERVER_STALL,
            cause="no-look",
            reason=f"the supervisor last looked at it {facts.look_age_s:.1f} s ago (limit {facts.suspect_s:.1f} s)",
            action=Action.VOID,
        )
    return None


def blind(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """The root has no eyes for this child now: what it would convict it of, it did not see. Kernel states it sees."""
    if evidence.state not in ALIVE or not evidence.blind:
        return None
    all_gone = evidence.blind.startswith("all ")
    return Finding(
        kind=VerdictKind.OBSERVER_STALL,
        cause="pages-gone" if all_gone else "blind",
        reason=f"the supervisor cannot see {evidence.name}: {evidence.blind}",
        speaks_for=(f"observer: {evidence.blind}",),
        action=Action.VOID,
        withheld="restart: what is not seen is no evidence",
    )


def house_stands_still(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """A child is silent, and so is the one that does nothing but beat: machine paused or starved. A sentinel that stays
    silent beyond the longest settling time is no witness any more, it is broken."""
    late_s = evidence.host.sentinel_late_s
    if evidence.state not in ALIVE or late_s is None or facts.now - evidence.host.at > 2 * facts.suspect_s:
        return None
    timing = facts.timing
    if not 2 * timing.late_s <= late_s <= timing.settle_max_s + facts.hang_s:
        return None
    quiet = [actor for actor in facts.actors if actor.still_s >= facts.suspect_s]
    if not quiet and not facts.silent(facts.suspect_s):
        return None
    return Finding(
        kind=VerdictKind.OBSERVER_STALL,
        cause="sentinel-late",
        reason=f"{evidence.name} is silent, but the sentinel that only beats is {late_s:.1f} s late too",
        speaks_for=(f"observer: sentinel {late_s:.1f} s late",),
        action=Action.VOID,
        withheld="any action: the host stands still, not the child",
    )
