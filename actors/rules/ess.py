"""What the emergency stop does next, as a pure function of its latch and of what the venues just showed.

INACTIVE → TRIGGERED → CANCELLING → FLATTENING → LOCKED. Only a person goes back to INACTIVE. Each step is safe to do
again, so that a crash anywhere resumes by reading the latch and looking at the venues. A venue that cannot be read is
neither empty nor flat: nothing ends before every venue has shown both, twice, `FLAT_APART_S` apart.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.control import EssState

FLAT_APART_S = 2.0
AGAIN_S = 0.25  # between looks while there is work
CAP_S = 5.0
LOCKED_LOOK_S = 5.0


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What one venue showed. With a `problem` the rest means nothing."""

    venue: str
    problem: str = ""
    orders: tuple[str, ...] = ()  # symbols with open orders, conditional ones included
    positions: tuple[tuple[str, Decimal], ...] = ()  # symbol, signed quantity, never zero


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: write the latch first if `state` is new, then cancel and flatten, then wait."""

    state: EssState
    cancel: tuple[str, ...] = ()  # venues
    flatten: tuple[str, ...] = ()
    flat_at: float | None = None  # when everything was first seen flat
    wait_s: float = AGAIN_S
    note: str = ""


def next_step(state: EssState, sights: tuple[Sight, ...], flat_at: float | None, failures: int, now: float) -> Step:
    """The next step. `now` is monotonic; `failures` counts looks in a row in which some venue could not be read."""
    if state is EssState.INACTIVE:
        return Step(state=state, wait_s=0.05)
    if state is EssState.TRIGGERED:
        return Step(state=EssState.CANCELLING, wait_s=0.0, note="all orders will be cancelled")
    cancel = tuple(sight.venue for sight in sights if not sight.problem and sight.orders)
    flatten = tuple(sight.venue for sight in sights if not sight.problem and sight.positions and not sight.orders)
    blind = [f"{sight.venue} cannot be read: {sight.problem}" for sight in sights if sight.problem]
    wait_s = min(CAP_S, AGAIN_S * 2 ** min(failures, 10)) if blind else AGAIN_S
    note = "; ".join(
        [
            *blind,
            *(f"{s.venue}: open orders in {', '.join(s.orders)}" for s in sights if not s.problem and s.orders),
            *(f"{s.venue}: {symbol} {quantity}" for s in sights if not s.problem for symbol, quantity in s.positions),
        ]
    )
    if not sights:
        return Step(state=EssState.CANCELLING, wait_s=CAP_S, note="no venue is configured: nothing can be verified")
    if cancel or flatten or blind:
        # orders first: what rests may fill, and a resting reduce-only order competes with ours
        after_cancel = not cancel and not blind
        target = EssState.FLATTENING if after_cancel else EssState.CANCELLING
        if state is EssState.LOCKED and blind and not cancel and not flatten:
            return Step(state=EssState.LOCKED, wait_s=LOCKED_LOOK_S, note=note)
        if state is EssState.FLATTENING and not cancel:
            target = EssState.FLATTENING
        return Step(state=target, cancel=cancel, flatten=flatten, wait_s=wait_s, note=note)
    if state is EssState.LOCKED:
        return Step(state=state, flat_at=flat_at, wait_s=LOCKED_LOOK_S, note="no orders, no positions")
    if state is EssState.CANCELLING:
        return Step(state=EssState.FLATTENING, flat_at=now, note="no open orders; positions are flat, seen once")
    if flat_at is None:
        return Step(state=EssState.FLATTENING, flat_at=now, wait_s=FLAT_APART_S, note="flat, seen once")
    if now - flat_at < FLAT_APART_S:
        left_s = FLAT_APART_S - (now - flat_at)
        return Step(state=EssState.FLATTENING, flat_at=flat_at, wait_s=max(0.05, left_s), note="flat, seen once")
    return Step(
        state=EssState.LOCKED, flat_at=flat_at, wait_s=LOCKED_LOOK_S, note="no orders, no positions; seen twice"
    )
