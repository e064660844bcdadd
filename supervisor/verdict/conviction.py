"""The one door to a conviction of a process that lives.

Two keys kill a live process: two different witnesses against it, nobody for it, and an observer that was well for the
whole window. A declared check is not a witness: it can neither convict nor acquit.
"""

from __future__ import annotations

from supervisor.verdict.evidence import Evidence
from supervisor.verdict.facts import ActorFacts, Facts
from supervisor.verdict.finding import Action, Finding
from supervisor.words import ExitKind, VerdictKind


def tried(evidence: Evidence, facts: Facts, cause: str) -> bool:
    """Whether the life before was ended for this very trouble, not long ago: the same again would not help."""
    last = evidence.last_exit
    if last is None or last.kind not in (ExitKind.HUNG, ExitKind.SHUTDOWN) or not last.detail.startswith(cause):
        return False
    return facts.now - evidence.state_since < facts.timing.again_s


def convict(
    facts: Facts,
    accused: tuple[ActorFacts, ...],
    *,
    cause: str,
    reason: str,
    action: Action,
    kernel: str = "",
    function: str = "",
    starting: bool = False,
) -> Finding:
    """Two keys: watched for the whole window, two of the witnesses K, R, L, F against, none of L, F in favour.

    K kernel state or CPU, R the main thread's pong (R1), L the accused loops (R2), F their work. A pong alone acquits
    nobody, it only says that the interpreter lives.
    """
    against, favour = [], []
    if kernel:
        against.append(f"kernel: {kernel}")
    if facts.silent(facts.hang_s):
        against.append(f"ping: no pong for {facts.pong_silent_s or 0.0:.1f} s")
    if accused and all(actor.still_s >= facts.hang_s for actor in accused):
        against.append(f"loop: not turned for {min(actor.still_s for actor in accused):.1f} s")
    elif accused and not starting:
        favour.append("loop: it turned within the window")
    owing = [actor for actor in accused if actor.owes_s >= facts.hang_s]
    if function:
        against.append(f"function: {function}")
    elif owing:
        owed_s = max(actor.owes_s for actor in owing)
        against.append(f"function: work waits and nothing was finished for {owed_s:.1f} s")
    elif any(actor.works and actor.flat_s < facts.hang_s for actor in accused) and not starting:
        favour.append("function: work was finished within the window")
    if any(p.last_at is not None and facts.now - p.last_at < facts.hang_s for p in facts.kept) and not starting:
        favour.append(f"function: {facts.kept[0].topic} was produced within the window")
    missing = ""
    if facts.watched_s < facts.hang_s:
        missing = f"it was watched for {facts.watched_s:.1f} s only, the window is {facts.hang_s:.1f} s"
    elif len(against) < 2:
        missing = f"{len(against)} of 2 witnesses needed"
    elif favour:
        missing = favour[0]
    return Finding(
        kind=VerdictKind.UNSURE if missing else VerdictKind.HUNG,
        cause=cause,
        reason=reason,
        speaks_for=tuple(against),
        speaks_against=tuple(favour),
        action=Action.NONE if missing else action,
        withheld=f"{action}: {missing}" if missing else "",
        actor=accused[0].name if len(accused) == 1 else "",
    )


def frozen(facts: Facts, limit_s: float) -> tuple[ActorFacts, ...]:
    """Actors whose loop has not turned for `limit_s` and who marked no progress meanwhile."""
    return tuple(actor for actor in facts.actors if actor.still_s >= limit_s and actor.flat_s >= limit_s)


def all_turn(facts: Facts) -> bool:
    """There are actors and all of them turn."""
    return bool(facts.actors) and not frozen(facts, facts.hang_s)
