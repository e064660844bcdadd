"""How many restarts are too many, and what then.

A sliding window of monotonic times, one per child (its `Budget`) and one per supervisor (its intensity, which sees a
common cause). OTP's window counts whole seconds, ours floats; the boundary is inclusive in both. When a window is full
the next restart is not granted, and `when_spent` says who answers for it: a message that climbs, not a death that
spreads. Nothing that holds a safety child, and not the root, is ever given up for lack of budget.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from supervisor.spec import Law
from supervisor.words import ExitKind, ExitReason, OnExhausted

Window: TypeAlias = tuple[float, ...]
"""When restarts were granted, oldest first."""

FREE = frozenset({ExitKind.KILLED})
"""Exits that spend nothing where the law says so: a kill from outside is not the child's doing. Backoff paces them."""


UPSTREAM = "upstream"
"""A prior (verdict/fingerprint.py) that spends nothing where the law says so: what it leans on was away. One that is
parked for that does not come back with its dependency; backoff paces it, and an open gate brings it back at once."""


def costs(reason: ExitReason, law: Law) -> bool:
    """Whether a restart after such an exit is paid from the windows."""
    if law.kills_are_free and reason.kind in FREE:
        return False
    return not (law.upstream_is_free and reason.prior == UPSTREAM)


def within(window: Window, period_s: float, now: float) -> Window:
    """The part of the window that still counts."""
    return tuple(at for at in window if at >= now - period_s)


def grant(window: Window, intensity: int, period_s: float, now: float) -> Window | None:
    """The window with one more restart in it, None when it is full (statements 52, 53, 55)."""
    inside = within(window, period_s, now)
    return (*inside, now) if len(inside) < intensity else None


def overdraw(window: Window, intensity: int, period_s: float, now: float) -> Window:
    """The window of one that goes on beyond its limit: the newest restarts count, one more than allowed."""
    return (*within(window, period_s, now), now)[-intensity - 1 :]


class Spent(StrEnum):
    """Who answers when a window is full."""

    PARK = "park"  # the unit whose window it is goes into quarantine, with all below it
    ASK_UP = "ask_up"  # its supervisor answers in its place
    FAIL_UP = "fail_up"  # the unit ends abnormally and its supervisor decides like after a crash
    LEAVE = "leave"  # the unit ends with reason shutdown, which OTP takes for an orderly end
    CARRY_ON = "carry_on"  # only what failed is parked; if it must not be, it is restarted with capped backoff
    GIVE_UP = "give_up"  # the root ends, because its spec says so


_CHILD = {
    OnExhausted.QUARANTINE: Spent.PARK,
    OnExhausted.HALT: Spent.PARK,
    OnExhausted.ESCALATE: Spent.ASK_UP,
    OnExhausted.SHUTDOWN: Spent.ASK_UP,
}
_SUPERVISOR = {
    OnExhausted.QUARANTINE: Spent.PARK,
    OnExhausted.HALT: Spent.PARK,
    OnExhausted.ESCALATE: Spent.FAIL_UP,
    OnExhausted.SHUTDOWN: Spent.LEAVE,
}


def when_spent(answer: OnExhausted, *, supervisor: bool, root: bool, safety: bool) -> Spent:
    """Who answers for a full window of a unit. `safety`: it is a safety child, or holds one."""
    if safety:
        return Spent.CARRY_ON
    if root:
        return Spent.GIVE_UP if answer is OnExhausted.SHUTDOWN else Spent.CARRY_ON
    return (_SUPERVISOR if supervisor else _CHILD)[answer]


def asked_up(answer: OnExhausted, supervisor_says: OnExhausted) -> OnExhausted:
    """What the supervisor answers for its child: its own word, or OTP's shutdown if the child's spec demands that."""
    return OnExhausted.SHUTDOWN if answer is OnExhausted.SHUTDOWN else supervisor_says
