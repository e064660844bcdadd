"""The one door to a conviction, and the pause before it when many are accused at once.

Two keys kill a live process: two different witnesses against it, nobody for it, and an observer that was well for the
whole window. A declared check is not a witness: it can neither convict nor acquit. When half of the children look ill
together, the cause is more likely what they share (the host, a dependency, us) than all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from supervisor.verdict.facts import ActorFacts, Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.timing import SEEDS, Timing
from supervisor.words import VerdictKind


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


_COSTLY = (Action.KILL, Action.RESTART)


def correlate(verdicts: Mapping[str, Verdict], now: float, timing: Timing = SEEDS) -> dict[str, Verdict]:
    """The verdicts of all live children, before anything is done.

    If at least max(2, half) of them became suspect (HUNG) within one window, no costly action is advised; after
    `CANARY_S` of lasting suspicion the one accused first is tried out alone, and its result decides about the others.
    SIGCONT stays allowed: it costs nobody anything.
    """
    accused = sorted(
        (v for v in verdicts.values() if v.kind is VerdictKind.HUNG and v.action is not Action.NONE),
        key=lambda v: (v.since, v.name),
    )
    needed = max(2, (len(verdicts) + 1) // 2)
    together: list[Verdict] = []
    for index, first in enumerate(accused):  # the largest group whose suspicions began within one window
        group = [v for v in accused[index:] if v.since - first.since <= timing.correlated_s]
        if len(group) > len(together):
            together = group
    if len(together) < needed:
        return dict(verdicts)
    names = ", ".join(v.name for v in together)
    why = (
        f"{len(together)} of {len(verdicts)} children became suspect within {timing.correlated_s:.0f} s ({names}): "
        "look at what they share first"
    )
    canary = together[0].name if now - together[-1].since >= timing.canary_s else ""
    result = dict(verdicts)
    for verdict in together:
        if verdict.action in _COSTLY and verdict.name != canary:
            result[verdict.name] = msgspec.structs.replace(
                verdict, action=Action.NONE, withheld=f"{verdict.action}: {why}"
            )
    return result
