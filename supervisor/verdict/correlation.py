"""The pause before anything is done when many are accused at once.

The picture: all lamps of a street go out. One does not change bulbs; one asks for the fuse. When at least half of the
children become suspect together, what they share comes first: the sentinel (the house stands still), a dependency, the
host's CPU, our own ear, a set of checks. Only if nothing shared explains it is one of them tried out, and its result
decides about the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from supervisor.verdict.evidence import Evidence
from supervisor.verdict.finding import Action, Verdict
from supervisor.verdict.timing import SEEDS, Timing
from supervisor.words import VerdictKind

COSTLY = frozenset({Action.KILL, Action.RESTART, Action.RESTART_ACTOR, Action.DRAIN})
HELD = "correlation"  # name of the rule that changed a verdict for what the others say
CANARY = "correlation canary"  # … and of the one that let it act on this one alone
CPU_PRESSURE = 0.6  # share of the time in which somebody waits for a CPU


class Trial(msgspec.Struct, frozen=True):
    """The one of many that was tried out: its name, and since when."""

    name: str
    begun: float


def suspicious(verdict: Verdict) -> bool:
    """Whether this verdict is worth comparing with the others."""
    return accused(verdict) or verdict.cause in ("main-thread-silent", "check-unexplained")


def accused(verdict: Verdict) -> bool:
    return verdict.action in COSTLY or (verdict.kind is VerdictKind.HUNG and verdict.action is not Action.NONE)


def correlate(
    verdicts: Mapping[str, Verdict],
    now: float,
    timing: Timing = SEEDS,
    told: Mapping[str, Evidence] | None = None,
    trial: Trial | None = None,
) -> dict[str, Verdict]:
    """The verdicts of all live children, before anything is done. `told`: the evidence behind those judged just now.

    If at least max(2, half) of them became suspect within one window, no costly action is advised; after `canary_s` of
    lasting suspicion the one accused first is tried out alone (its rule is `CANARY`). `trial`: the last one that was.
    Until its new life is judged the others are held; if it is well for a window the others follow, if it is accused
    again, or not well for another `canary_s`, the next one is tried. SIGCONT stays allowed: it costs nobody anything.
    """
    result, told = dict(verdicts), told or {}
    needed = max(2, (len(verdicts) + 1) // 2)
    suspects, deaf, red = [], [], []
    for verdict in verdicts.values():
        held = verdict.rule == HELD  # at an earlier judgement; it still counts
        if verdict.cause == "main-thread-silent" or (held and verdict.cause == "blind"):
            deaf.append(verdict)
        elif verdict.cause in ("check-unexplained", "many checks"):
            red.append(verdict)
        elif held or accused(verdict):
            suspects.append(verdict)
    together = _together(suspects, timing)
    if together and trial is not None and trial.begun < together[0].since:
        trial = None  # of an earlier event
    absent = trial is not None and _runs(trial, now, timing) and all(v.name != trial.name for v in together)
    if len(together) + absent >= needed:  # the one that is tried out is one of them still
        _hold(result, together, now, timing, told, trial)
    if len(together := _together(deaf, timing)) >= needed:
        why = f"{len(together)} of {len(verdicts)} nodes turn and are not heard at once: our own ear is at fault"
        _instead_of(result, together, VerdictKind.OBSERVER_STALL, "blind", why, Action.VOID)
    if len(together := _together(red, timing)) >= needed:
        why = f"the checks of {len(together)} of {len(verdicts)} children turned red at once and nothing else did"
        _instead_of(result, together, VerdictKind.CHECK_FAULT, "many checks", why, Action.STRIP_CHECK)
    return result


def _together(suspects: list[Verdict], timing: Timing) -> list[Verdict]:
    """The largest group whose suspicions began within one window, the first first."""
    suspects.sort(key=lambda v: (v.since, v.name))
    best: list[Verdict] = []
    for index, first in enumerate(suspects):
        group = [v for v in suspects[index:] if v.since - first.since <= timing.correlated_s]
        if len(group) > len(best):
            best = group
    return best


def _runs(trial: Trial, now: float, timing: Timing) -> bool:
    return now - trial.begun < timing.canary_s


def _helped(trial: Trial, verdict: Verdict | None, now: float, timing: Timing) -> bool:
    """Its new life is well, and has been for longer than the others needed to fall ill together."""
    well = verdict is not None and verdict.kind in (VerdictKind.HEALTHY, VerdictKind.BUSY)
    return well and verdict is not None and verdict.since > trial.begun and now - verdict.since >= timing.correlated_s


def _hold(
    result: dict[str, Verdict],
    together: list[Verdict],
    now: float,
    timing: Timing,
    told: Mapping[str, Evidence],
    trial: Trial | None,
) -> None:
    names = ", ".join(v.name for v in together[:10]) + (" …" if len(together) > 10 else "")
    many = f"{len(together)} of {len(result)} children became suspect within {timing.correlated_s:.0f} s ({names})"
    kind, cause, what, action = _shared([told[v.name] for v in together if v.name in told], now, timing)
    helped = trial is not None and _helped(trial, result.get(trial.name), now, timing)
    canary = ""
    if now - together[-1].since >= timing.canary_s and (trial is None or not _runs(trial, now, timing)):
        again = [v.name for v in together if trial is None or v.name != trial.name]
        canary = (again or [together[0].name])[0]
    for verdict in together:
        if verdict.action not in COSTLY:
            continue
        if what:
            result[verdict.name] = _instead(verdict, kind, cause, f"{many}: {what}", action)
        elif verdict.name == canary:
            result[verdict.name] = msgspec.structs.replace(verdict, rule=CANARY)
        elif not helped:
            result[verdict.name] = msgspec.structs.replace(
                verdict,
                action=Action.NONE,
                withheld=f"{verdict.action}: {many}: look at what they share first",
                rule=HELD,
            )


def _shared(told: list[Evidence], now: float, timing: Timing) -> tuple[VerdictKind, str, str, Action]:
    """What explains them all, with an empty sentence where nothing does."""
    nothing = VerdictKind.HUNG, "", "", Action.NONE
    if len(told) < 2:
        return nothing
    host = max((one.host for one in told), key=lambda host: host.at)
    fresh = now - host.at <= 2 * timing.suspect_s
    late_s = host.sentinel_late_s
    if fresh and late_s is not None and 2 * timing.late_s <= late_s <= timing.settle_max_s:
        what = f"the sentinel that only beats is {late_s:.1f} s late too"
        return VerdictKind.OBSERVER_STALL, "sentinel-late", what, Action.VOID
    down = [
        {one.name for one in evidence.dependencies if one.owner_up is False or one.probe_ok is False}
        for evidence in told
    ]
    common = set.intersection(*down)
    if common:
        what = f"they share {', '.join(sorted(common))}, which is down"
        return VerdictKind.UPSTREAM, "blocked", what, Action.GATE
    if fresh and (host.cpu_pressure or 0.0) >= CPU_PRESSURE and told[0].observer.factor > 1.0:
        what = f"the host is short of CPU ({host.cpu_pressure:.0%} of the time somebody waits), we ourselves were late"
        return VerdictKind.BUSY, "starved", what, Action.NONE
    return nothing


def _instead_of(
    result: dict[str, Verdict], group: list[Verdict], kind: VerdictKind, cause: str, why: str, action: Action
) -> None:
    for verdict in group:
        if verdict.rule != HELD:
            result[verdict.name] = _instead(verdict, kind, cause, why, action)


def _instead(verdict: Verdict, kind: VerdictKind, cause: str, why: str, action: Action) -> Verdict:
    return msgspec.structs.replace(
        verdict,
        kind=kind,
        cause=cause,
        reason=f"{why}; alone it would be {verdict.kind}.{verdict.cause}: {verdict.reason}",
        action=action,
        withheld=f"{verdict.action}: {why}" if verdict.action in COSTLY else verdict.withheld,
        rule=HELD,
    )
