"""From evidence to a verdict: what is believed of a child, why, and what to do.

The picture: a row of rules (rules.py) is asked in a fixed order and the first that has something to say decides
(docs/health.md, "order of judgement"). A rule only *finds*. Whether a live process may be killed for what was found is
decided in one place (conviction.py), and whether to act on one child while many are suspect, in `correlate`.
"""

from __future__ import annotations

from supervisor.verdict.correlation import correlate, suspicious
from supervisor.verdict.evidence import Evidence
from supervisor.verdict.facts import derive
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.rules import RULES
from supervisor.verdict.testimony import testimony
from supervisor.words import State, VerdictKind

_ILL = frozenset({VerdictKind.HUNG, VerdictKind.DEGRADED, VerdictKind.UPSTREAM, VerdictKind.EXHAUSTED})

_WELL = frozenset({VerdictKind.HEALTHY, VerdictKind.BUSY})
_FLAPS = _WELL | {VerdictKind.DEGRADED}
TURNS_MOST = 15

__all__ = ["Action", "Verdict", "correlate", "judge", "suspicious"]


def judge(evidence: Evidence, now: float, previous: Verdict | None = None) -> Verdict:
    """The verdict on one child. `previous` is the last verdict on it: it lends `since`, and tells what was tried."""
    facts = derive(evidence, now)
    name = ""
    for rule in RULES:
        name = rule.__name__.strip("_")
        found = rule(evidence, facts, previous)
        if found is not None:
            break
    else:  # the last rule always answers; a table without one is a bug, and UNSURE is its honest name
        found = Finding(kind=VerdictKind.UNSURE, cause="no-rule", reason="no rule of the judge fits this evidence")
    well, turns = _turns(found, now, previous, evidence)
    if len(turns) >= evidence.timing.flaps and found.kind in _FLAPS:
        found = _flapping(found, now, turns)
    since = cause_since = now
    if previous is not None and previous.kind is found.kind:
        since = previous.since
    if previous is not None and previous.cause == found.cause and (found.cause or previous.kind is found.kind):
        cause_since = previous.cause_since
    return Verdict(
        name=evidence.name,
        kind=found.kind,
        cause=found.cause,
        reason=found.reason,
        evidence_for=found.speaks_for or testimony(facts),
        evidence_against=found.speaks_against,
        since=since,
        cause_since=cause_since,
        action=found.action,
        withheld=found.withheld,
        next_review=now + max(found.review_s, evidence.timing.tick_s),
        actor=found.actor,
        check_blind=found.kind in _ILL
        and found.cause != "flapping"  # at a good moment it is right
        and bool(facts.passing)
        and not facts.failing,
        recurrent=found.recurrent,
        rule=found.rule or name,
        well=well,
        turns=turns,
    )


def _turns(
    found: Finding, now: float, previous: Verdict | None, evidence: Evidence
) -> tuple[bool | None, tuple[float, ...]]:
    """Whether it is well now, as far as this finding tells, and when that changed within the last `flap_s` of this
    life: that a new one is well for a moment is no turn, and what lasted less than T_suspect was no phase."""
    if evidence.state is not State.READY:
        return None, ()
    before = previous.well if previous is not None else None
    turns = tuple(at for at in previous.turns if now - at <= evidence.timing.flap_s) if previous is not None else ()
    well = before
    if found.kind in _WELL:
        well = True
    elif found.kind is VerdictKind.DEGRADED:
        well = False
    if before is not None and well is not before:
        blip = bool(turns) and now - turns[-1] < evidence.timing.suspect_s
        turns = turns[:-1] if blip else (*turns[-TURNS_MOST:], now)
    return well, turns


def _flapping(found: Finding, now: float, turns: tuple[float, ...]) -> Finding:
    """Good and bad in turn is one trouble: each good moment is no recovery, each bad one no news."""
    return Finding(
        kind=VerdictKind.DEGRADED,
        cause="flapping",
        reason=f"good and bad in turn, {len(turns)} changes in {now - turns[0]:.0f} s; at the moment {found.kind}"
        + (f".{found.cause}" if found.cause else "")
        + f": {found.reason}",
        speaks_for=found.speaks_for,
        speaks_against=found.speaks_against,
        action=Action.ALERT,
        withheld=f"{found.action}: it comes and goes" if found.action is not Action.NONE else "",
        actor=found.actor,
        rule="flapping",
    )
