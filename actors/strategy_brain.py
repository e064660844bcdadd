"""Turns a signal into at most one wish: a market entry with a stop, sized by risk. The gate decides what becomes of it.

Picture: per instrument one place, free or taken. It is taken while a position is open, while an own entry is on its way
(wished, not yet ended), and for `cooldown_s` after the last one. A signal that finds its place free is sized
(`actors/rules/sizing.py`) and becomes an `OrderIntent` whose id derives from the signal's: the same signal never makes
two wishes. What it does not know (equity, an old account) makes no wish.

It never exits a position, and it knows no venue, no approval and no order beyond its own entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from actors.messages.account import AccountState
from actors.messages.control import RiskLimits
from actors.messages.orders import (
    OrderCancelled,
    OrderCompleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntent,
    OrderKind,
    OrderRejected,
    Side,
)
from actors.messages.signals import Action, Signal
from actors.rules.money import instruments as instruments_of
from actors.rules.money import to_decimal
from actors.rules.orders import client_order_id
from actors.rules.positions import Fills
from actors.rules.sizing import Nothing, Size, Terms, size
from supervisor.actor import Actor
from supervisor.message import Message
from supervisor.system import PhaseBegun

ACCOUNT_AGE_S = 3.0
LIMITS_AGE_S = 3.0


class StrategyBrain(Actor):
    """One strategy for one account."""

    subscribes = (
        Signal, AccountState, RiskLimits, OrderDenied, OrderFilled, OrderCompleted, OrderRejected, OrderCancelled,
        OrderExpired,
    )  # fmt: skip
    publishes = (OrderIntent,)

    def init(  # the arguments are this actor's settings
        self,
        *,
        account: str,
        venue: str,
        instruments: Mapping[str, Mapping[str, Any]],
        risk_per_trade: Decimal | str,
        max_order_notional: Decimal | str,
        entry_expires_s: float,
        stop_volatilities: float,
        min_stop_bps: float,
        cooldown_s: float,
        strategy: str = "momentum",
    ) -> None:
        """Fold the own wishes and all fills.

        Args:
            instruments: symbol -> {tick_size, lot_size, min_notional}; signals of others are not for us.
            risk_per_trade: share of equity that a stopped-out entry may cost, fees included.
            entry_expires_s: after the signal's event time; nobody sends the entry later.
            stop_volatilities: distance of the stop in standard deviations of the signal's horizon.
            cooldown_s: event time between two entries in one instrument.

        Raises:
            ValueError: a setting no trade can be sized under, or a broken instrument; names it.
        """
        self.account, self.venue, self.strategy = account, venue, strategy
        self.instruments = instruments_of(instruments)
        self.terms = Terms(
            risk_per_trade=to_decimal(risk_per_trade),
            max_order_notional=to_decimal(max_order_notional),
            stop_volatilities=stop_volatilities,
            min_stop_bps=min_stop_bps,
        )
        if not (entry_expires_s > 0 and cooldown_s >= 0):
            raise ValueError(
                f"strategy entry_expires_s {entry_expires_s}, cooldown_s {cooldown_s}: wanted > 0 and >= 0"
            )
        self.expires_ns = round(entry_expires_s * 1e9)
        self.cooldown_ns = round(cooldown_s * 1e9)
        self.state: AccountState | None = None
        self.state_at_s = 0.0  # monotonic
        self.limits: RiskLimits | None = None
        self.limits_at_s = 0.0
        self.fills = Fills(account)  # the ledger's word may come after the next signal
        self.pending: dict[str, OrderIntent] = {}  # symbol -> the entry that has not ended
        self.entered_ns: dict[str, int] = {}  # symbol -> event time of the last entry
        self.ending = False  # the server's shutdown has begun: no new wishes
        for word in self.ctx.recall(
            OrderIntent, OrderDenied, OrderFilled, OrderCompleted, OrderRejected, OrderCancelled, OrderExpired
        ):
            if isinstance(word, OrderIntent):
                if word.account == account and word.strategy == strategy and not word.reduce_only:
                    self._wished(word)
            else:
                self._fold(word)

    def handle(self, message: Message) -> None:
        match message:
            case Signal():
                self._signal(message)
            case AccountState():
                if message.account == self.account:
                    self.state, self.state_at_s = message, self.ctx.monotonic()
            case RiskLimits():
                if message.account == self.account:
                    self.limits, self.limits_at_s = message, self.ctx.monotonic()
            case PhaseBegun():
                self.ending = True
                self.ctx.phase_done(message.phase)
            case _:
                self._fold(message)

    def _fold(self, word: Message) -> None:
        match word:
            case OrderFilled():
                self.fills.apply(word)
            case OrderDenied() if word.account == self.account:
                self._end(lambda intent: intent.intent_id == word.intent_id)
            case OrderCompleted() | OrderRejected() | OrderCancelled() | OrderExpired() if word.account == self.account:
                self._end(lambda intent: client_order_id(self.account, intent.intent_id, 1) == word.client_order_id)

    def _end(self, is_it: Callable[[OrderIntent], bool]) -> None:
        for symbol, intent in list(self.pending.items()):
            if is_it(intent):
                del self.pending[symbol]

    def _wished(self, intent: OrderIntent) -> None:
        self.pending[intent.symbol] = intent
        self.entered_ns[intent.symbol] = intent.created_ns

    def _signal(self, signal: Signal) -> None:
        instrument = self.instruments.get(signal.symbol)
        if signal.venue != self.venue or instrument is None or signal.action is Action.HOLD:
            return
        if self._taken(signal):
            return
        state = self.state
        if state is None or self.ctx.monotonic() - self.state_at_s > ACCOUNT_AGE_S or state.equity is None:
            return
        side = Side.BUY if signal.action is Action.BUY else Side.SELL
        multiplier, max_notional = self._stricter(state.equity)
        found = size(
            side, signal.bid, signal.ask, signal.volatility, state.equity, self.terms, instrument,
            multiplier=multiplier, max_notional=max_notional,
        )  # fmt: skip
        if isinstance(found, Nothing):
            return
        intent = self._intent(signal, side, found)
        self._wished(intent)
        self.ctx.publish(intent, event_ns=signal.event_ns)
        self.ctx.progress("intent")

    def _taken(self, signal: Signal) -> bool:
        """Whether this instrument takes no entry now: the place is taken, the signal old, or the server ends."""
        if self.ending:
            return True
        symbol = signal.symbol
        held = self.state is not None and any(
            position.quantity
            for position in self.state.positions
            if (position.venue, position.symbol) == (self.venue, symbol)
        )
        if held or self.fills.quantity(self.venue, symbol):
            return True
        if symbol in self.pending:
            return True
        last_ns = self.entered_ns.get(symbol)
        if last_ns is not None and 0 <= signal.event_ns - last_ns < self.cooldown_ns:
            return True
        return self.ctx.now() * 1e9 > signal.event_ns + self.expires_ns

    def _stricter(self, equity: Decimal) -> tuple[Decimal, Decimal | None]:
        """Multiplier and cap of the risk brain's last word. Without one we size by our own terms; the gate will not."""
        limits = self.limits
        if limits is None or self.ctx.monotonic() - self.limits_at_s > LIMITS_AGE_S:
            return Decimal(1), None
        return limits.multiplier, min(limits.max_order_notional * limits.multiplier, equity * limits.max_leverage)

    def _intent(self, signal: Signal, side: Side, found: Size) -> OrderIntent:
        return OrderIntent(
            intent_id=f"{self.strategy}:{signal.signal_id}",
            account=self.account,
            strategy=self.strategy,
            venue=self.venue,
            symbol=signal.symbol,
            side=side,
            kind=OrderKind.MARKET,
            quantity=found.quantity,
            stop_price=found.stop_price,
            signal_id=signal.signal_id,
            confidence=signal.confidence,
            created_ns=signal.event_ns,
            expires_ns=signal.event_ns + self.expires_ns,
        )
