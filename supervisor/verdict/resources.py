"""Limits that are reached, or will be soon: by level, by slope, or because calls already fail for it.

The picture: a tank with a gauge. Nearly full is enough to act while there is time to stop in order; more than half full
and rising steadily is a leak with a date. A rise that levels off was a warm-up, and nobody touches it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from supervisor.verdict.conviction import tried
from supervisor.verdict.evidence import Evidence, Point
from supervisor.verdict.facts import Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.fingerprint import Prior
from supervisor.words import State, VerdictKind

NEAR = 0.9  # of a limit: no time is left for proof
FILLING = 0.6  # of a limit: a steady rise from here has a date
STEADY = 0.5  # the second half of the window rises at least this much of the first half: it does not level off
POINTS_LEAST = 8
AGAIN = "it was restarted for this already: its limit is too low for it, or it fills it at once"
_DISK = re.compile(r"disk|file|store|\bdb\b|data|journal|ledger|log|record", re.I)


def resources(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """Memory and descriptors of a ready child, and what its own calls say of disks and ports."""
    if evidence.state is not State.READY or evidence.history.incarnation != evidence.incarnation:
        return None
    kernel = evidence.history.kernel
    points = tuple(point for point in evidence.history.points if point.at >= evidence.observer.valid_since)
    if kernel is not None:
        for cause, unit, used, limit, of in (
            ("memory", " MiB", kernel.rss_mib, kernel.memory_limit_mib, _rss),
            ("descriptors", "", kernel.descriptors, kernel.descriptor_limit, _descriptors),
        ):
            if used is None or not limit:
                continue
            full_in_s = _full_in_s(points, of, float(limit))
            soon = full_in_s is not None and full_in_s <= facts.timing.drain_s and used >= FILLING * limit
            if used >= NEAR * limit or soon:
                again = tried(evidence, facts, cause)
                when = f", full in about {full_in_s:.0f} s at this rate" if full_in_s is not None else ""
                what = f"{used:.0f} of {limit:.0f}{unit} {cause} used{when}"
                return Finding(
                    kind=VerdictKind.EXHAUSTED,
                    cause=cause,
                    reason=f"{what}; {AGAIN if again else 'it is stopped in order while it still can be'}",
                    speaks_for=(f"kernel: {what}",),
                    action=Action.ALERT if again else Action.DRAIN,
                    withheld=f"drain: {AGAIN}" if again else "",
                )
    for one in evidence.dependencies:
        failed_at = one.used_failed_at
        if one.error != Prior.EXHAUSTION or failed_at is None or facts.now - failed_at > facts.timing.fresh_s:
            continue
        if one.failures >= 3 and (one.used_ok_at is None or one.used_ok_at < failed_at):
            cause = "disk" if _DISK.search(one.name) else "ports"
            return Finding(
                kind=VerdictKind.EXHAUSTED,
                cause=cause,
                reason=f"{one.failures} calls to {one.name} failed in a row because something is used up",
                speaks_for=(f"function: its calls to {one.name} fail ({one.error})",),
                action=Action.ALERT if cause == "disk" else Action.SHED,
                withheld="restart: it gives nothing back",
            )
    return None


def _rss(point: Point) -> float | None:
    return point.rss_mib


def _descriptors(point: Point) -> float | None:
    return None if point.descriptors is None else float(point.descriptors)


def _full_in_s(points: tuple[Point, ...], of: Callable[[Point], float | None], limit: float) -> float | None:
    """When a steady rise reaches the limit; None where it does not rise, levels off, or was not watched enough."""
    known = [(point.at, value) for point in points if (value := of(point)) is not None]
    if len(known) < POINTS_LEAST:
        return None
    middle = len(known) // 2
    early, late = _rate(known[: middle + 1]), _rate(known[middle:])
    if late <= 0 or late < STEADY * early:
        return None
    return max(0.0, limit - known[-1][1]) / late


def _rate(known: list[tuple[float, float]]) -> float:
    span_s = known[-1][0] - known[0][0]
    return (known[-1][1] - known[0][1]) / span_s if span_s > 0 else 0.0
