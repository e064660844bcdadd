"""Words of an order's life, in its order. *Denied* is ours, *rejected* is the venue's, *cancelled* was asked for,
*expired* was not. Every one of them is recorded before it is sent.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from supervisor.message import Delivery, Message


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderKind(StrEnum):
    """Market and limit enter or leave; the two conditional kinds rest at the venue and are reduce-only."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    TAKE_PROFIT_MARKET = "take_profit_market"


class OrderIntent(Message, frozen=True, kw_only=True):
    """Somebody wants an order. Only the risk gate reads it."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    intent_id: str  # stable over a crash: the same wish has the same id
    account: str
    strategy: str  # "momentum", "exit"
    venue: str
    symbol: str
    side: Side
    kind: OrderKind
    quantity: Decimal
    price: Decimal | None = None  # limit price
    trigger_price: Decimal | None = None  # of a conditional order
    stop_price: Decimal | None = None  # where the loss of an entry will be cut: the risk of the trade
    reduce_only: bool = False
    signal_id: str = ""
    confidence: float = 0.0
    created_ns: int = 0
    expires_ns: int = 0

    def key(self) -> str:
        return self.account


class CancelIntent(Message, frozen=True, kw_only=True):
    """Somebody wants a resting order gone. Cancels are never refused."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    intent_id: str
    account: str
    venue: str
    symbol: str
    client_order_id: str
    reason: str = ""

    def key(self) -> str:
        return self.account


class OrderApproved(Message, frozen=True, kw_only=True):
    """The gate's yes, signed for exactly this order and short-lived: the only thing the executor accepts."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    intent: OrderIntent
    approval_id: str
    approved_ns: int
    expires_ns: int
    snapshot_version: int
    signature: str  # HMAC-SHA256 over the canonical encoding of all of the above

    def key(self) -> str:
        return self.intent.account


class CancelApproved(Message, frozen=True, kw_only=True):
    """The gate's pass-through of a cancel, signed like an approval."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    intent: CancelIntent
    approved_ns: int
    signature: str

    def key(self) -> str:
        return self.intent.account


class OrderDenied(Message, frozen=True, kw_only=True):
    """The gate's no: code, sentence, and the number against the limit."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    intent_id: str
    account: str
    venue: str
    symbol: str
    code: str
    detail: str
    denied_ns: int
    reduce_only: bool = False
    strategy: str = ""

    def key(self) -> str:
        return self.account


class OrderSubmitted(Message, frozen=True, kw_only=True):
    """On disk before the first byte leaves: this order, under this client order id."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str  # derived from the intent: the same intent has the same id after a crash
    intent: OrderIntent
    attempt: int = 1
    submitted_ns: int = 0

    def key(self) -> str:
        return self.intent.account


class OrderAccepted(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    account: str
    venue_order_id: str
    at_ns: int

    def key(self) -> str:
        return self.account


class OrderFilled(Message, frozen=True, kw_only=True):
    """One fill. De-duplicated by (venue, symbol, trade id)."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    account: str
    venue: str
    symbol: str
    trade_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    at_ns: int
    reduce_only: bool = False

    def key(self) -> str:
        return self.account


class OrderCompleted(Message, frozen=True, kw_only=True):
    """The order is entirely filled; quantity and average price for people."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    account: str
    filled_quantity: Decimal
    average_price: Decimal | None
    at_ns: int

    def key(self) -> str:
        return self.account


class OrderRejected(Message, frozen=True, kw_only=True):
    """The venue said no, for sure."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    account: str
    reason: str
    at_ns: int

    def key(self) -> str:
        return self.account


class OrderCancelled(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    account: str
    reason: str
    at_ns: int

    def key(self) -> str:
        return self.account


class OrderExpired(Message, frozen=True, kw_only=True):
    """Ended without being asked: approval too old, time in force, or the venue dropped it."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    account: str
    reason: str
    at_ns: int

    def key(self) -> str:
        return self.account


class OrderUnknown(Message, frozen=True, kw_only=True):
    """We could not find out what became of it. The symbol takes no new risk until we do."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    account: str
    venue: str
    symbol: str
    reason: str
    at_ns: int

    def key(self) -> str:
        return self.account
