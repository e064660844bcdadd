"""What one account holds and what it has promised: positions, approved orders not yet final, and decisions taken.

Picture: a restaurant's book. An approval is a reservation for its whole quantity; each fill moves a part of it to the
tables (positions); a final state frees the rest. Everything is a fold over recorded words, in whatever order they come
from different senders, so a restarted gate holds the same book. It values nothing and decides nothing. Pure.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from decimal import Decimal
from typing import TypeVar

import msgspec

from actors.messages.orders import (
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderCompleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntent,
    OrderKind,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from actors.rules.money import ZERO
from actors.rules.orders import client_order_id
from actors.rules.positions import Fills, Key, signed
from supervisor.message import Message

WORDS = (
    OrderApproved, OrderDenied, OrderSubmitted, OrderAccepted, OrderFilled, OrderCompleted, OrderCancelled,
    OrderRejected, OrderExpired, OrderUnknown,
)  # fmt: skip
DECISIONS_KEPT = 50_000
GRACE_NS = 10_000_000_000  # an approval this long past its end that nobody submitted was lost
MINUTE_NS = 60_000_000_000

T = TypeVar("T")


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """An approved order that is not final."""

    intent: OrderIntent
    approved_ns: int
    expires_ns: int
    filled: Decimal = ZERO
    owed: Decimal | None = None  # the venue counts this much filled, and some of it has not been told yet
    submitted: bool = False
    unknown: bool = False

    @property
    def left(self) -> Decimal:
        """Quantity that may still be filled."""
        total = self.intent.quantity if self.owed is None else self.owed
        return max(ZERO, total - self.filled)


class Exposure:
    """The fold for one account."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.fills = Fills(account)
        self.in_flight: dict[str, InFlight] = {}  # by client order id
        self.unknown: dict[str, Key] = {}  # client order id → instrument
        self.decided: OrderedDict[str, None] = OrderedDict()
        self._entries_ns: deque[int] = deque()
        self._signals: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def fold(self, word: Message) -> None:
        """Take in one recorded word; another account's changes nothing."""
        match word:
            case OrderApproved() if word.intent.account == self.account:
                self._approved(word)
            case OrderDenied() if word.account == self.account:
                self._decide(word.intent_id)
                order_id = client_order_id(self.account, word.intent_id, 1)
                held = self.in_flight.get(order_id)
                if held is not None and not held.submitted:
                    del self.in_flight[order_id]  # the executor would not send it
            case OrderSubmitted() if word.intent.account == self.account:
                held = self.in_flight.get(word.client_order_id)
                if held is None:
                    held = InFlight(intent=word.intent, approved_ns=word.submitted_ns, expires_ns=word.submitted_ns)
                self.in_flight[word.client_order_id] = msgspec.structs.replace(held, submitted=True)
            case OrderAccepted() if word.account == self.account:
                self._known(word.client_order_id)
            case OrderFilled() if word.account == self.account:
                self._filled(word)
            case OrderCompleted() if word.account == self.account:
                self._known(word.client_order_id)
                self._completed(word)
            case OrderCancelled() | OrderRejected() | OrderExpired() if word.account == self.account:
                self._known(word.client_order_id)
                self.in_flight.pop(word.client_order_id, None)
            case OrderUnknown() if word.account == self.account:
                self.unknown[word.client_order_id] = (word.venue, word.symbol)
                held = self.in_flight.get(word.client_order_id)
                if held is not None:
                    self.in_flight[word.client_order_id] = msgspec.structs.replace(held, unknown=True)

    def expire(self, now_ns: int) -> None:
        """Release approvals that were never submitted, well past their end; a late submission brings one back."""
        lost = [
            order_id
            for order_id, held in self.in_flight.items()
            if not held.submitted and now_ns > held.expires_ns + GRACE_NS
        ]
        for order_id in lost:
            del self.in_flight[order_id]

    def entries_within_minute(self, now_ns: int) -> int:
        """Approved entries of the last 60 s."""
        return sum(1 for at_ns in self._entries_ns if now_ns - at_ns < MINUTE_NS)

    def signal_used(self, intent: OrderIntent) -> bool:
        """True when an entry on the same signal, instrument and side was approved under another intent id."""
        return bool(intent.signal_id) and _wish(intent) in self._signals

    def twin_open(self, intent: OrderIntent) -> bool:
        """True when an identical order of the same strategy is in flight or resting. One whose fate is unknown does not
        stand in the way of a stop: a second reduce-only stop does no harm, a missing one does.
        """
        return any(
            _shape(held.intent) == _shape(intent)
            for held in self.in_flight.values()
            if not (held.unknown and intent.reduce_only and intent.kind is not OrderKind.MARKET)
        )

    def reserved(self) -> dict[Key, Decimal]:
        """Signed quantities that approved entries may still add."""
        found: dict[Key, Decimal] = {}
        for held in self.in_flight.values():
            if not held.intent.reduce_only:
                key = (held.intent.venue, held.intent.symbol)
                found[key] = found.get(key, ZERO) + signed(held.intent.side, held.left)
        return {key: quantity for key, quantity in found.items() if quantity}

    # --- the words ---

    def _approved(self, word: OrderApproved) -> None:
        intent = word.intent
        self._decide(intent.intent_id)
        order_id = client_order_id(self.account, intent.intent_id, 1)
        self.in_flight[order_id] = InFlight(intent=intent, approved_ns=word.approved_ns, expires_ns=word.expires_ns)
        if not intent.reduce_only:
            self._entries_ns.append(word.approved_ns)
            while self._entries_ns and word.approved_ns - self._entries_ns[0] >= MINUTE_NS:
                self._entries_ns.popleft()
            if intent.signal_id:
                _remember(self._signals, _wish(intent))

    def _filled(self, word: OrderFilled) -> None:
        if not self.fills.apply(word):
            return
        self._known(word.client_order_id)
        held = self.in_flight.get(word.client_order_id)
        if held is not None:
            held = msgspec.structs.replace(held, filled=held.filled + word.quantity)
            self.in_flight[word.client_order_id] = held
            if held.owed is not None and not held.left:
                del self.in_flight[word.client_order_id]

    def _completed(self, word: OrderCompleted) -> None:
        held = self.in_flight.get(word.client_order_id)
        if held is None:
            return
        if held.filled >= word.filled_quantity:
            del self.in_flight[word.client_order_id]
        else:  # the end overtook a fill: what is filled is neither table nor free yet
            self.in_flight[word.client_order_id] = msgspec.structs.replace(held, owed=word.filled_quantity)

    def _known(self, order_id: str) -> None:
        self.unknown.pop(order_id, None)
        held = self.in_flight.get(order_id)
        if held is not None:
            self.in_flight[order_id] = msgspec.structs.replace(held, unknown=False, submitted=True)

    def _decide(self, intent_id: str) -> None:
        _remember(self.decided, intent_id)


def _wish(intent: OrderIntent) -> tuple[str, ...]:
    return (intent.strategy, intent.venue, intent.symbol, intent.side, intent.signal_id)


def _shape(intent: OrderIntent) -> tuple[object, ...]:
    return (
        intent.strategy, intent.venue, intent.symbol, intent.side, intent.kind, intent.quantity, intent.price,
        intent.trigger_price, intent.reduce_only, intent.signal_id,
    )  # fmt: skip


def _remember(kept: OrderedDict[T, None], item: T) -> None:
    kept[item] = None
    if len(kept) > DECISIONS_KEPT:
        kept.popitem(last=False)
