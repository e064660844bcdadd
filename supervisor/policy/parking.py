"""When a crash is deterministic: the same end three times in a row, no useful work in between, the same inputs.

Picture a coin that shows the same side three times and has only one. A kill from outside says nothing about the child
and leaves the count where it is. Parking is not a budget: a child that fails in ever new ways spends its budget, one
that fails in the same way is parked after `LIMIT` starts.
"""

from __future__ import annotations

import msgspec

from supervisor.words import ExitKind, ExitReason

LIMIT = 3


class Streak(msgspec.Struct, frozen=True):
    """How often in a row a child ended in this way."""

    way: str = ""
    count: int = 0


NONE = Streak()


def way_of(reason: ExitReason, inputs: str) -> str:
    """What makes two ends the same. Without a fingerprint the kernel's facts must do."""
    print_ = reason.fingerprint or f"code {reason.code}, signal {reason.signal}"
    return f"{reason.kind}|{print_}|{inputs}"


def follow(streak: Streak, reason: ExitReason, *, worked: bool, inputs: str) -> Streak:
    """The streak after one more exit."""
    if worked:
        return NONE
    if reason.kind is ExitKind.KILLED:
        return streak
    way = way_of(reason, inputs)
    return Streak(way, streak.count + 1 if way == streak.way else 1)


def is_loop(streak: Streak) -> bool:
    """True when trying the same thing again is no longer honest."""
    return streak.count >= LIMIT
