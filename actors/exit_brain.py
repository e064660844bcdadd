"""`exit_brain:<account>`: the only owner of exits. Every open position has a stop and a take-profit at the venue.

Picture: a fill moves the fold and the `Guard` of its instrument; `actors/rules/exits.py: plan` says which leg to ask
for or to cancel, and this actor says it to the gate as `OrderIntent` and `CancelIntent`. Each word about a leg moves
the guard again. Protection is asked for in the very transaction that handles the fill. Starting is recovering: fold
what was recorded, own intents included; what was asked for already is not asked for again. Once a second it says that
it lives: nobody enters where nobody would see to the way out.

It reads no signal, opens nothing, and leaves instruments that it has no settings for to a person, loudly.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from actors.messages.control import Alert, ExitsGuarded, SecondPassed
from actors.messages.market import Tick
from actors.messages.orders import (
    CancelIntent,
    OrderAccepted,
    OrderCancelled,
    OrderCompleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntent,
    OrderRejected,
    OrderSubmitted,
)
from actors.rules import exits as rules
from actors.rules.exits import Cancel, Guard, Part, Settings, Want
from actors.rules.money import ZERO, to_decimal
from actors.rules.positions import Fills
from supervisor.actor import Actor
from supervisor.message import Delivery, Message

BOOK_AGE_S = 3.0
BARE_S = 2.0  # a position without a resting stop for longer is alarming
HINTS_KEPT = 1_000
HEARD = (
    OrderSubmitted, OrderAccepted, OrderFilled, OrderCompleted, OrderRejected, OrderCancelled, OrderExpired,
    OrderDenied,
)  # fmt: skip


class RetryDue(Message, frozen=True, kw_only=True):
    """Private timer: a failed leg may be asked for again."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    symbol: str


class ExitBrain(Actor):
    """One account at one venue."""

    subscribes = (*HEARD, Tick)
    publishes = (OrderIntent, CancelIntent, Alert, ExitsGuarded)

    def init(
        self,
        account: str,
        venue: str,
        instruments: Mapping[str, Mapping[str, Any]],
        min_stop_bps: float | Decimal = 10.0,
        take_profit_r: float | Decimal = 2.0,
        max_holding_s: float = 60.0,
    ) -> None:
        """`instruments`: symbol → {"tick_size", …}. `max_holding_s` is event time.

        Raises:
            ValueError: a setting that is not positive and finite, named with its value.
        """
        limits = {"min_stop_bps": min_stop_bps, "take_profit_r": take_profit_r, "max_holding_s": max_holding_s}
        limits |= {f"tick_size of {symbol}": steps["tick_size"] for symbol, steps in instruments.items()}
        for name, value in limits.items():
            if not (math.isfinite(float(value)) and float(value) > 0):
                raise ValueError(f"exit_brain:{account} {name} is {value}; it must be positive and finite")
        self._account, self._venue = account, venue
        self._settings = {
            symbol: Settings(
                tick=Decimal(str(steps["tick_size"])),
                min_stop_bps=Decimal(str(min_stop_bps)),
                take_profit_r=Decimal(str(take_profit_r)),
                max_holding_s=float(max_holding_s),
            )
            for symbol, steps in instruments.items()
        }
        self._fills = Fills(account)
        self._guards: dict[str, Guard] = {}
        self._books: dict[str, tuple[float, float, float]] = {}  # bid, ask, receipt
        self._hints: OrderedDict[str, Decimal] = OrderedDict()  # entry's client order id -> the stop it was sized for
        self._bare_at: dict[str, float] = {}  # since when a position has no resting stop, monotonic
        self._bare_told: set[str] = set()
        for word in self.ctx.recall(OrderIntent, CancelIntent, *HEARD):
            self._note(word, recalled=True)
        self._forget_done()
        self.ctx.after(1.0, SecondPassed())

    def handle(self, message: Message) -> None:
        match message:
            case Tick():
                if message.venue == self._venue:
                    self._books[message.symbol] = (message.bid, message.ask, self.ctx.monotonic())
                    if message.symbol in self._guards:
                        self._act(message.symbol)
            case SecondPassed():
                self.ctx.after(1.0, SecondPassed())
                for symbol in list(self._guards):
                    self._act(symbol)
                    self._watch(symbol)
                self.ctx.publish(ExitsGuarded(account=self._account))
                self.ctx.progress("second")
            case RetryDue():
                if message.symbol in self._guards:
                    self._act(message.symbol)
            case _:
                for symbol in self._note(message, recalled=False):
                    self._act(symbol)

    # --- what happened ---

    def _note(self, word: Message, *, recalled: bool) -> Iterable[str]:
        """Fold one recorded word; the instruments it concerns."""
        mono = self.ctx.monotonic()
        match word:
            case OrderFilled() if word.account == self._account and word.venue == self._venue:
                return self._filled(word, word.at_ns / 1e9 if recalled else self.ctx.now(), mono)
            case OrderSubmitted() if word.intent.account == self._account:
                intent = word.intent
                if intent.strategy == rules.STRATEGY:
                    self._keep(rules.sent(self._guard(intent.symbol), intent, word.client_order_id, mono))
                    return (intent.symbol,)
                if intent.stop_price is not None and not intent.reduce_only:
                    self._hints[word.client_order_id] = intent.stop_price
                    if len(self._hints) > HINTS_KEPT:
                        self._hints.popitem(last=False)
            case OrderIntent() if word.account == self._account and word.strategy == rules.STRATEGY:
                self._keep(rules.asked(self._guard(word.symbol), word, mono))
            case CancelIntent() if word.account == self._account:
                self._keep(rules.cancel_asked(self._guard(word.symbol), word.client_order_id, mono))
            case OrderDenied() if word.account == self._account:
                return self._ended(word.intent_id, f"denied, {word.code}: {word.detail}", mono, recalled=recalled)
            case OrderAccepted() if word.account == self._account:
                guard = self._guard_of(word.client_order_id)
                if guard is not None:
                    self._keep(rules.rests(guard, word.client_order_id))
                    return (guard.symbol,)
            case OrderCompleted() if word.account == self._account:
                return self._ended(word.client_order_id, "", mono, recalled=recalled)
            case OrderRejected() | OrderCancelled() | OrderExpired() if word.account == self._account:
                said = type(word).__name__.removeprefix("Order").lower()
                return self._ended(word.client_order_id, f"{said}: {word.reason}", mono, recalled=recalled)
        return ()

    def _filled(self, fill: OrderFilled, now_s: float, mono: float) -> Iterable[str]:
        symbol = fill.symbol
        if not self._fills.apply(fill):
            return ()
        holding = self._fills.holdings[fill.venue, symbol]
        guard = rules.leg_filled(self._guard(symbol), fill.client_order_id, fill.quantity)
        settings = self._settings.get(symbol)
        if settings is None:
            if holding.quantity:
                self._alert("critical", symbol, f"position {holding.quantity} has no exit: no settings for {symbol}")
            return ()
        hint = self._hints.get(fill.client_order_id)
        self._keep(rules.moved(guard, holding.quantity, holding.entry_price, fill.trade_id, hint, settings, now_s))
        self.ctx.progress("fill")
        return (symbol,)

    def _ended(self, leg_id: str, failure: str, mono: float, *, recalled: bool) -> Iterable[str]:
        """A leg is over; `failure` is "" when it was filled."""
        guard = self._guard_of(leg_id)
        if guard is None:
            return ()
        after = rules.ended(guard, leg_id, mono, failed=bool(failure))
        self._keep(after)
        if after.failures != guard.failures and not recalled:
            self._alert("warning", guard.symbol, f"exit {leg_id} of {guard.quantity} {guard.symbol} {failure}")
            self.ctx.after(max(after.retry_at.values()) - mono, RetryDue(symbol=guard.symbol))
        return (guard.symbol,)

    def _guard(self, symbol: str) -> Guard:
        return self._guards.get(symbol) or Guard(account=self._account, venue=self._venue, symbol=symbol)

    def _guard_of(self, leg_id: str) -> Guard | None:
        for guard in self._guards.values():
            if any(leg_id in (leg.client_order_id, leg.intent_id) for leg in guard.legs):
                return guard
        return None

    def _keep(self, guard: Guard) -> None:
        self._guards[guard.symbol] = guard

    def _forget_done(self) -> None:
        self._guards = {symbol: guard for symbol, guard in self._guards.items() if not guard.done}

    # --- what to do ---

    def _act(self, symbol: str) -> None:
        now_s, mono = self.ctx.now(), self.ctx.monotonic()
        settings = self._settings.get(symbol)
        if settings is None:
            return
        guard = rules.lost(self._guard(symbol), mono)
        if guard.opened_s > now_s:  # of a former life under another clock (a replay begins at the wall's time)
            guard = rules.opened(guard, now_s)
        for action in rules.plan(guard, settings, self._book(symbol, mono), now_s, mono):
            guard = self._want(guard, action, mono) if isinstance(action, Want) else self._cancel(guard, action, mono)
        self._keep(guard)
        if guard.done:
            del self._guards[symbol]
            self._bare_at.pop(symbol, None)
            self._bare_told.discard(symbol)

    def _want(self, guard: Guard, want: Want, mono: float) -> Guard:
        intent = rules.intent_of(guard, want, int(self.ctx.now() * 1e9))
        self.ctx.publish(intent)
        self.ctx.progress(f"{want.part} {guard.symbol}")
        if want.part is Part.CLOSE and want.alarming:
            text = f"closing {guard.quantity} {guard.symbol} at the market: {want.why}"
            self._alert("critical", guard.symbol, text)
        return rules.asked(guard, intent, mono)

    def _cancel(self, guard: Guard, cancel: Cancel, mono: float) -> Guard:
        leg = cancel.leg
        self.ctx.publish(
            CancelIntent(
                intent_id=f"{leg.intent_id}:cancel:{leg.cancels + 1}",
                account=self._account,
                venue=self._venue,
                symbol=guard.symbol,
                client_order_id=leg.client_order_id,
                reason=cancel.why,
            )
        )
        return rules.cancel_asked(guard, leg.client_order_id, mono)

    def _book(self, symbol: str, mono: float) -> tuple[Decimal, Decimal] | None:
        bid, ask, at = self._books.get(symbol, (0.0, 0.0, -math.inf))
        if mono - at > BOOK_AGE_S or not (math.isfinite(bid) and math.isfinite(ask) and 0 < bid <= ask):
            return None
        return to_decimal(bid), to_decimal(ask)

    def _watch(self, symbol: str) -> None:
        """A position whose stop does not rest after `BARE_S` is told, once until it does."""
        guard = self._guards.get(symbol)
        if guard is None or guard.quantity == ZERO or guard.protected:
            self._bare_at.pop(symbol, None)
            self._bare_told.discard(symbol)
            return
        bare_s = self.ctx.monotonic() - self._bare_at.setdefault(symbol, self.ctx.monotonic())
        if bare_s >= BARE_S and symbol not in self._bare_told:
            self._bare_told.add(symbol)
            legs = ", ".join(f"{leg.part} {leg.version} {leg.state}" for leg in guard.legs) or "none"
            text = f"{guard.quantity} {symbol} has had no resting stop for more than {BARE_S:g} s; its orders: {legs}"
            self._alert("critical", symbol, text)

    def _alert(self, severity: str, symbol: str, text: str) -> None:
        at_ns = int(self.ctx.now() * 1e9)
        subject = f"exit_brain {self._account} {symbol}"
        self.ctx.publish(Alert(severity=severity, subject=subject, text=text, at_ns=at_ns))
