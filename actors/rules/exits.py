"""How a position gets out: what rests at the venue for it, what must change, and when to stop waiting. Pure.

Picture: a `Guard` follows one instrument. From flat to flat is one *epoch*, named after the fill that opened it; in it
the guard wants one stop and one take-profit, each for the whole position, and at the end of its time a market close.
A *leg* is one such order on its way or at rest. A leg is never changed: the old one is cancelled, and when its end is
known the next version is asked for, so that never two stops rest. `plan` compares what is wanted with the legs.

A stop never loosens within an epoch. Everything is reduce-only. Times of holding are event times (`now_s`), those of
retries are monotonic (`mono`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from actors.messages.orders import OrderIntent, OrderKind, Side
from actors.rules.money import BPS, ZERO, ceil_to, floor_to
from actors.rules.orders import client_order_id

MAX_FAILURES = 5  # of one part in one epoch; then the position is closed at the market
RETRY_FIRST_S = 0.2  # the gate may just not have heard of the fill yet
RETRY_S = 1.0
RETRY_CAP_S = 10.0  # of the market close, which is never given up
CANCEL_AGAIN_S = 5.0
LOST_S = 15.0  # an intent nobody answered
CLOSE_LOST_S = 30.0
STRATEGY = "exit"


class Part(StrEnum):
    STOP = "stop"
    TAKE = "take"
    CLOSE = "close"


KINDS = {
    Part.STOP: OrderKind.STOP_MARKET,
    Part.TAKE: OrderKind.TAKE_PROFIT_MARKET,
    Part.CLOSE: OrderKind.MARKET,
}
PARTS = {kind: part for part, kind in KINDS.items()}


class LegState(StrEnum):
    ASKED = "asked"  # the intent is said
    SENT = "sent"  # on its way to the venue
    RESTING = "resting"  # the venue has it


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One exit order that has not ended."""

    part: Part
    epoch: str
    version: int
    intent_id: str
    client_order_id: str
    quantity: Decimal
    trigger: Decimal | None
    at: float  # monotonic, when it was asked for
    state: LegState = LegState.ASKED
    filled: Decimal = ZERO
    cancels: int = 0
    cancelled_at: float = 0.0  # monotonic, when its end was asked for

    @property
    def left(self) -> Decimal:
        return self.quantity - self.filled


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one instrument."""

    tick: Decimal
    min_stop_bps: Decimal
    take_profit_r: Decimal  # in multiples of the distance between entry and stop
    max_holding_s: float


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's position, its levels and its legs. Flat and without legs it can be forgotten."""

    account: str
    venue: str
    symbol: str
    epoch: str = ""
    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    stop: Decimal = ZERO
    take: Decimal = ZERO
    opened_s: float = 0.0
    versions: int = 0
    legs: tuple[Leg, ...] = ()
    failures: dict[Part, int] = {}
    retry_at: dict[Part, float] = {}

    @property
    def side(self) -> int:
        """1 long, -1 short, 0 flat."""
        return (self.quantity > 0) - (self.quantity < 0)

    @property
    def done(self) -> bool:
        return not self.quantity and not self.legs

    def of(self, part: Part) -> list[Leg]:
        """The legs of this epoch, oldest first."""
        return sorted((x for x in self.legs if x.part is part and x.epoch == self.epoch), key=lambda x: x.version)

    @property
    def protected(self) -> bool:
        """A stop rests at the venue."""
        return any(leg.state is LegState.RESTING for leg in self.of(Part.STOP))


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a leg."""

    part: Part
    quantity: Decimal
    trigger: Decimal | None
    why: str = ""
    alarming: bool = False  # not a plan that came true, but one that failed


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the end of a leg."""

    leg: Leg
    why: str


Action = Want | Cancel


# --- what happened ---------------------------------------------------------------------------------------------------


def moved(
    guard: Guard,
    quantity: Decimal,
    entry: Decimal,
    trade_id: str,
    hint: Decimal | None,
    settings: Settings,
    now_s: float,
) -> Guard:
    """The position became this by the fill `trade_id`; `hint` is the stop its entry was sized for, if known."""
    was = guard.quantity
    if quantity * was <= 0:  # opened, closed, or went through zero: another epoch
        guard = msgspec.structs.replace(
            guard,
            epoch=trade_id.replace(":", "_") if quantity else guard.epoch,
            stop=ZERO,
            take=ZERO,
            opened_s=now_s,
            versions=0 if quantity else guard.versions,
            failures={},
            retry_at={},
        )
    guard = msgspec.structs.replace(guard, quantity=quantity, entry=entry)
    if not quantity or (guard.stop and abs(quantity) <= abs(was)):
        return guard
    stop, take = levels(guard.side, entry, hint, guard.stop or None, settings)
    return msgspec.structs.replace(guard, stop=stop, take=take)


def opened(guard: Guard, now_s: float) -> Guard:
    """The holding time counts from now."""
    return msgspec.structs.replace(guard, opened_s=now_s)


def levels(
    side: int, entry: Decimal, hint: Decimal | None, before: Decimal | None, settings: Settings
) -> tuple[Decimal, Decimal]:
    """Stop and take-profit, on the tick. The stop is where the entry's risk was sized for, at least the minimum away
    from the entry, and never looser than `before`; the take-profit is a multiple of that distance away.
    """
    least = entry * settings.min_stop_bps / BPS
    asked = side * (entry - hint) if hint is not None and hint.is_finite() and hint > 0 else ZERO
    distance = max(least, asked)
    stop = _away(entry - side * distance, -side, settings.tick)
    if before is not None:
        stop = tighter(side, stop, before)
    risk = max(least, side * (entry - stop))
    take = _away(entry + side * settings.take_profit_r * risk, side, settings.tick)
    return max(stop, settings.tick), max(take, settings.tick)


def tighter(side: int, one: Decimal, other: Decimal) -> Decimal:
    """The stop that loses less."""
    return max(one, other) if side > 0 else min(one, other)


def _away(price: Decimal, direction: int, tick: Decimal) -> Decimal:
    return ceil_to(price, tick) if direction > 0 else floor_to(price, tick)


def asked(guard: Guard, intent: OrderIntent, mono: float) -> Guard:
    """An exit intent of ours was said, or is remembered. What is known already changes nothing."""
    part = PARTS.get(intent.kind)
    if part is None or any(leg.intent_id == intent.intent_id for leg in guard.legs):
        return guard
    _, epoch, _, version = intent.intent_id.rsplit(":", 3)
    leg = Leg(
        part=part,
        epoch=epoch,
        version=int(version),
        intent_id=intent.intent_id,
        client_order_id=client_order_id(intent.account, intent.intent_id, 1),
        quantity=intent.quantity,
        trigger=intent.trigger_price,
        at=mono,
    )
    guard = msgspec.structs.replace(guard, legs=(*guard.legs, leg))
    if guard.epoch != epoch:
        return guard
    stop = guard.stop
    if part is Part.STOP and intent.trigger_price is not None and guard.side:
        stop = tighter(guard.side, stop, intent.trigger_price) if stop else intent.trigger_price
    return msgspec.structs.replace(guard, versions=max(guard.versions, leg.version), stop=stop)


def cancel_asked(guard: Guard, client_id: str, mono: float) -> Guard:
    """A cancel of ours was said, or is remembered."""
    return _changed(guard, client_id, lambda leg: {"cancels": leg.cancels + 1, "cancelled_at": mono})


def sent(guard: Guard, intent: OrderIntent, client_id: str, mono: float) -> Guard:
    """The executor is sending it, also when we had given it up."""
    guard = asked(guard, intent, mono)
    legs = tuple(
        msgspec.structs.replace(
            leg, client_order_id=client_id, state=LegState.SENT if leg.state is LegState.ASKED else leg.state
        )
        if leg.intent_id == intent.intent_id
        else leg
        for leg in guard.legs
    )
    return msgspec.structs.replace(guard, legs=legs)


def rests(guard: Guard, client_id: str) -> Guard:
    """The venue has it."""
    return _changed(guard, client_id, lambda leg: {"state": LegState.RESTING})


def leg_filled(guard: Guard, client_id: str, quantity: Decimal) -> Guard:
    """Some of a leg was filled."""
    return _changed(guard, client_id, lambda leg: {"filled": min(leg.quantity, leg.filled + quantity)})


def ended(guard: Guard, leg_id: str, mono: float, *, failed: bool) -> Guard:
    """A leg is over (by client order or intent id). Unless we asked for its end, `failed` counts against its part."""
    leg = next((leg for leg in guard.legs if leg_id in (leg.client_order_id, leg.intent_id)), None)
    if leg is None:
        return guard
    guard = msgspec.structs.replace(guard, legs=tuple(other for other in guard.legs if other is not leg))
    if not failed or leg.cancels or leg.epoch != guard.epoch or not guard.quantity:
        return guard
    count = guard.failures.get(leg.part, 0) + 1
    wait_s = RETRY_FIRST_S if count == 1 else RETRY_S
    if leg.part is Part.CLOSE:
        wait_s = min(RETRY_CAP_S, wait_s * max(1, count - MAX_FAILURES))
    return msgspec.structs.replace(
        guard,
        failures={**guard.failures, leg.part: count},
        retry_at={**guard.retry_at, leg.part: mono + wait_s},
    )


def lost(guard: Guard, mono: float) -> Guard:
    """Give up what nobody answers: an intent without an order, a market close without an end. Should it come to life
    after all, it is a leg too many and is cancelled; reduce-only, it can do no harm meanwhile.
    """
    for leg in guard.legs:
        limit_s = CLOSE_LOST_S if leg.part is Part.CLOSE else LOST_S if leg.state is LegState.ASKED else None
        if limit_s is not None and mono - leg.at > limit_s:
            guard = ended(guard, leg.intent_id, mono, failed=True)
    return guard


def _changed(guard: Guard, client_id: str, change: Callable[[Leg], dict[str, Any]]) -> Guard:
    legs = tuple(
        msgspec.structs.replace(leg, **change(leg)) if leg.client_order_id == client_id else leg for leg in guard.legs
    )
    return msgspec.structs.replace(guard, legs=legs)


# --- what to do ------------------------------------------------------------------------------------------------------


def plan(
    guard: Guard, settings: Settings, book: tuple[Decimal, Decimal] | None, now_s: float, mono: float
) -> tuple[Action, ...]:
    """What to do now. `book` is the fresh bid and ask, None when there is none."""
    stale = [leg for leg in guard.legs if not guard.quantity or leg.epoch != guard.epoch]
    actions = _cancel(stale, "the position it belonged to is gone", mono)
    if not guard.quantity:
        return tuple(actions)
    size = abs(guard.quantity)
    closing = bool(guard.of(Part.CLOSE))
    why, alarming = why_close(guard, settings, book, now_s)
    if why and not closing and mono >= guard.retry_at.get(Part.CLOSE, mono):
        actions.append(Want(part=Part.CLOSE, quantity=size, trigger=None, why=why, alarming=alarming))
        closing = True
    for part, trigger in ((Part.STOP, guard.stop), (Part.TAKE, guard.take)):
        legs = guard.of(part)
        newest = legs[-1] if legs else None
        actions += _cancel(legs[:-1], "a newer one stands in its place", mono)
        if closing:
            continue  # what rests may rest: the close and the legs reduce the same position and nothing else
        if newest is None:
            patient = mono >= guard.retry_at.get(part, mono) and guard.failures.get(part, 0) < MAX_FAILURES
            if patient and not beyond(guard, part, book):
                actions.append(Want(part=part, quantity=size, trigger=trigger))
        elif newest.left != size or newest.trigger != trigger:
            actions += _cancel([newest], f"it is for {newest.left} at {newest.trigger}, not {size} at {trigger}", mono)
    return tuple(actions)


def why_close(guard: Guard, settings: Settings, book: tuple[Decimal, Decimal] | None, now_s: float) -> tuple[str, bool]:
    """Why the position must be closed at the market, "" if it need not, and whether that is alarming."""
    for part in (Part.STOP, Part.TAKE):
        if guard.failures.get(part, 0) >= MAX_FAILURES:
            return f"the {part} failed {MAX_FAILURES} times", True
    for part, price in ((Part.STOP, guard.stop), (Part.TAKE, guard.take)):
        if not guard.of(part) and beyond(guard, part, book):
            return f"the price is beyond the {part} at {price}, which does not rest", part is Part.STOP
    held_s = now_s - guard.opened_s
    if held_s >= settings.max_holding_s:
        return f"held for {held_s:.1f} s, the limit is {settings.max_holding_s:g} s", False
    return "", False


def beyond(guard: Guard, part: Part, book: tuple[Decimal, Decimal] | None) -> bool:
    """The venue would refuse this leg because it would trigger at once. Unknown prices are beyond nothing."""
    if book is None:
        return False
    price = book[0] if guard.side > 0 else book[1]  # what a close would get
    if part is Part.STOP:
        return guard.side * (price - guard.stop) <= 0
    return guard.side * (price - guard.take) >= 0


def _cancel(legs: list[Leg], why: str, mono: float) -> list[Action]:
    """Cancels for legs at rest (a leg still on its way is waited for), each said again only after a while."""
    due = (
        leg
        for leg in legs
        if leg.part is not Part.CLOSE
        and leg.left > 0  # all of it is filled: the word that it is over is on its way
        and (leg.state is LegState.RESTING or (leg.state is LegState.SENT and mono - leg.at > CANCEL_AGAIN_S))
        and (not leg.cancels or mono - leg.cancelled_at > CANCEL_AGAIN_S)
    )
    return [Cancel(leg=leg, why=why) for leg in due]


def intent_of(guard: Guard, want: Want, now_ns: int) -> OrderIntent:
    """The order for a wanted leg, under the next version's id: the same history gives the same id."""
    return OrderIntent(
        intent_id=f"{guard.account}:{guard.symbol}:{guard.epoch}:{want.part}:{guard.versions + 1}",
        account=guard.account,
        strategy=STRATEGY,
        venue=guard.venue,
        symbol=guard.symbol,
        side=Side.SELL if guard.side > 0 else Side.BUY,
        kind=KINDS[want.part],
        quantity=want.quantity,
        trigger_price=want.trigger,
        reduce_only=True,
        created_ns=now_ns,
    )
