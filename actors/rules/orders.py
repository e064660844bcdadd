"""An order's life, as pure functions: what an approval is worth, what an answer means, what a report changes.

Picture: an order goes SUBMITTED → ACCEPTED → PARTIAL → FILLED, or ends CANCELLED, REJECTED, EXPIRED, and may be UNKNOWN
beside any state in flight. Reports of the venue come twice, late and in the wrong order; fills may come before the
acceptance and after the end. Each function takes the order as it is and a report, and gives the order as it becomes and
the words to publish. Folding the published words (`fold`) gives the same order again: that is the recovery.

Final states stick; quantities never shrink; a fill counts once. No socket, no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from decimal import Decimal
from enum import StrEnum

import msgspec

from actors.messages.control import EssState
from actors.messages.orders import (
    CancelApproved,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderFilled,
    OrderIntent,
    OrderKind,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    Side,
)
from actors.rules.approval import verify
from supervisor.message import Message

ZERO = Decimal(0)
QUERY_AFTER_S = (0.2, 0.5, 1.0, 2.0, 5.0)
PROOF_AFTER_S = 6.0  # the venue refuses a request whose timestamp is older than its receive window of 5 s
ID_HEX = 28


class OrderState(StrEnum):
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What we know of one order of ours."""

    client_order_id: str
    intent: OrderIntent
    attempt: int
    submitted_ns: int
    state: OrderState = OrderState.SUBMITTED
    venue_order_id: str = ""
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    venue_filled: Decimal | None = None  # what the venue says was filled, once it calls the order done

    @property
    def conditional(self) -> bool:
        return self.intent.kind in (OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET)

    @property
    def settled(self) -> bool:
        """Final, and no fill is missing."""
        return self.state in FINAL and (self.venue_filled is None or self.filled >= self.venue_filled)


class VenueStatus(StrEnum):
    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the venue reports it, by stream or answer."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    status: VenueStatus
    filled: Decimal
    at_ns: int
    reason: str = ""
    triggered_order_id: str = ""  # of a conditional order: the order that its trigger placed


class VenueFill(msgspec.Struct, frozen=True, kw_only=True):
    """One fill as the venue reports it. The client order id is "" where the venue does not say it."""

    trade_id: str
    venue_order_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    at_ns: int
    reduce_only: bool = False


# --- before the wire -------------------------------------------------------------------------------------------------


def client_order_id(account: str, intent_id: str, attempt: int) -> str:
    """The same wish has the same id after a crash: 3 + 28 hex digits + attempt, within Binance's alphabet and 36 chars.

    Raises:
        ValueError: attempt outside 1..999.
    """
    if not 1 <= attempt <= 999:
        raise ValueError(f"attempt of intent {intent_id} is {attempt}; it must be within 1..999")
    digest = hashlib.sha256(f"{account}\x00{intent_id}\x00{attempt}".encode()).hexdigest()
    return f"qt-{digest[:ID_HEX]}-{attempt}"


class Refused(StrEnum):
    """The executor's own codes of `OrderDenied`; the gate's are in `actors/rules/risk_gate.py`."""

    APPROVAL_UNSIGNED = "APPROVAL_UNSIGNED"
    WRONG_ACCOUNT = "WRONG_ACCOUNT"
    ESS_LATCHED = "ESS_LATCHED"
    APPROVAL_EXPIRED = "APPROVAL_EXPIRED"
    BAD_QUANTITY = "BAD_QUANTITY"
    BAD_PRICE = "BAD_PRICE"
    NOT_REDUCE_ONLY = "NOT_REDUCE_ONLY"


class Refusal(msgspec.Struct, frozen=True):
    """Why the executor does not send it: a code for machines, a sentence for people."""

    code: Refused
    detail: str


def refusal(approval: OrderApproved, key: bytes, now_ns: int, ess: EssState, account: str) -> Refusal | None:
    """None when this approval may be sent now."""
    intent = approval.intent
    if not verify(approval, key):
        return Refusal(
            Refused.APPROVAL_UNSIGNED, f"the approval of intent {intent.intent_id} is not signed with our key"
        )
    if intent.account != account:
        return Refusal(Refused.WRONG_ACCOUNT, f"the approval is for account {intent.account}; this is {account}")
    if ess is not EssState.INACTIVE and not intent.reduce_only:
        return Refusal(Refused.ESS_LATCHED, f"the emergency stop is {ess}; only reduce-only orders pass")
    if now_ns > approval.expires_ns:
        late_s = (now_ns - approval.expires_ns) / 1e9
        return Refusal(
            Refused.APPROVAL_EXPIRED, f"the approval of intent {intent.intent_id} expired {late_s:.3f} s ago"
        )
    if not (intent.quantity.is_finite() and intent.quantity > 0):
        return Refusal(Refused.BAD_QUANTITY, f"quantity is {intent.quantity}; it must be positive and finite")
    if intent.kind is OrderKind.LIMIT and not _is_price(intent.price):
        return Refusal(Refused.BAD_PRICE, f"limit price is {intent.price}; it must be positive and finite")
    if intent.kind in (OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET):
        if not intent.reduce_only:
            return Refusal(Refused.NOT_REDUCE_ONLY, f"a {intent.kind} order must be reduce-only")
        if not _is_price(intent.trigger_price):
            return Refusal(
                Refused.BAD_PRICE, f"trigger price is {intent.trigger_price}; it must be positive and finite"
            )
    return None


def _is_price(price: Decimal | None) -> bool:
    return price is not None and price.is_finite() and price > 0


def cancel_refusal(approval: CancelApproved, key: bytes, account: str) -> Refusal | None:
    """None when this cancel may be sent. Cancels do not expire and pass in every mode."""
    if not verify(approval, key):
        return Refusal(Refused.APPROVAL_UNSIGNED, f"the cancel {approval.intent.intent_id} is not signed with our key")
    if approval.intent.account != account:
        return Refusal(Refused.WRONG_ACCOUNT, f"the cancel is for account {approval.intent.account}; this is {account}")
    return None


# --- what an answer means --------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """Class of a failed call that should have reached the venue."""

    REJECTED = "rejected"  # for sure: the venue, or ccxt before it, said no
    RETRY = "retry"  # for sure not accepted: too many requests, clock
    UNKNOWN = "unknown"  # ask the venue
    ABSENT = "absent"  # the venue does not know the order


_REJECTED = frozenset(
    {
        "InsufficientFunds", "InvalidOrder", "BadSymbol", "AuthenticationError", "PermissionDenied",
        "AccountNotEnabled", "AccountSuspended", "ArgumentsRequired", "NotSupported", "MarketClosed",
    }
)  # fmt: skip
_RETRY = frozenset({"RateLimitExceeded", "DDoSProtection", "InvalidNonce"})


def outcome_of(names: Collection[str], text: str) -> Outcome:
    """Class of an error by its class names (with bases) and text. Everything not known for sure is UNKNOWN."""
    if "OrderNotFound" in names:
        return Outcome.ABSENT
    if "DuplicateOrderId" in names or "uplicat" in text:
        return Outcome.UNKNOWN  # an order with our id is there: ours, sent before
    if _RETRY.intersection(names):
        return Outcome.RETRY
    if _REJECTED.intersection(names):
        return Outcome.REJECTED
    if "BadRequest" in names and '"code":-' in text.replace(" ", ""):
        return Outcome.REJECTED
    return Outcome.UNKNOWN


def query_after_s(tries: int) -> float | None:
    """How long to wait before the next question about an unknown order; None when the questions are used up."""
    return QUERY_AFTER_S[tries] if tries < len(QUERY_AFTER_S) else None


class Absent(StrEnum):
    """What to do with an order that two endpoints of the venue do not know."""

    WAIT = "wait"  # it may still arrive
    RESEND = "resend"  # same id, same attempt
    EXPIRE = "expire"


def absent(order: Order, sent_s: float, approval_lives: bool) -> Absent:
    """The resend rule. A resting order may be sent again under its id at once (the venue refuses a second open one);
    a market order only when the last request can no longer be accepted; neither after the approval has expired.

    Args:
        sent_s: seconds since the last request, of a clock that does not jump.
    """
    resting = order.intent.kind is not OrderKind.MARKET
    proven = overdue(sent_s)
    if approval_lives:
        return Absent.RESEND if resting or proven else Absent.WAIT
    return Absent.EXPIRE if proven else Absent.WAIT


def overdue(sent_s: float) -> bool:
    """True when a request of so many seconds ago can no longer arrive at the venue."""
    return sent_s > PROOF_AFTER_S


# --- what a report changes -------------------------------------------------------------------------------------------


def submitted(word: OrderSubmitted) -> Order:
    """The order that begins with this word."""
    return Order(
        client_order_id=word.client_order_id,
        intent=word.intent,
        attempt=word.attempt,
        submitted_ns=word.submitted_ns,
    )


def fold(order: Order, word: Message) -> Order:
    """The order after one of its published words."""
    match word:
        case OrderAccepted():
            state = OrderState.ACCEPTED if order.state in (OrderState.SUBMITTED, OrderState.UNKNOWN) else order.state
            return msgspec.structs.replace(order, state=state, venue_order_id=word.venue_order_id)
        case OrderFilled():
            return msgspec.structs.replace(
                order,
                state=order.state if order.state in FINAL else OrderState.PARTIAL,
                filled=order.filled + word.quantity,
                cost=order.cost + word.quantity * word.price,
            )
        case OrderCompleted():
            return _ended(order, OrderState.FILLED)
        case OrderRejected():
            return _ended(order, OrderState.REJECTED)
        case OrderCancelled():
            return _ended(order, OrderState.CANCELLED)
        case OrderExpired():
            return _ended(order, OrderState.EXPIRED)
        case OrderUnknown():
            return order if order.state in FINAL else msgspec.structs.replace(order, state=OrderState.UNKNOWN)
    return order


def _ended(order: Order, state: OrderState) -> Order:
    return order if order.state in FINAL else msgspec.structs.replace(order, state=state)


def reported(order: Order, report: VenueOrder) -> tuple[Order, list[Message]]:
    """The venue said how the order stands."""
    words: list[Message] = []
    account = order.intent.account
    if order.state in (OrderState.SUBMITTED, OrderState.UNKNOWN) and report.status is not VenueStatus.REJECTED:
        order, words = _say(order, words, _accepted(order, report.venue_order_id, report.at_ns))
    if report.status is VenueStatus.OPEN or order.state in FINAL:
        if order.state in FINAL and report.status is VenueStatus.FILLED:
            order = msgspec.structs.replace(order, venue_filled=max(report.filled, order.venue_filled or ZERO))
        return order, words
    order = msgspec.structs.replace(order, venue_filled=max(report.filled, order.venue_filled or ZERO))
    same = {"client_order_id": order.client_order_id, "account": account, "at_ns": report.at_ns}
    if report.status is VenueStatus.FILLED:
        return _complete(order, words, report.at_ns)  # or wait for the fills that the venue counts already
    reason = report.reason or f"the venue reports {report.status}"
    match report.status:
        case VenueStatus.CANCELLED:
            return _say(order, words, OrderCancelled(reason=reason, **same))  # type: ignore[arg-type]
        case VenueStatus.REJECTED:
            return _say(order, words, OrderRejected(reason=reason, **same))  # type: ignore[arg-type]
        case _:
            return _say(order, words, OrderExpired(reason=reason, **same))  # type: ignore[arg-type]


def filled(order: Order, fill: VenueFill, word: OrderFilled) -> tuple[Order, list[Message]]:
    """A fill, seen for the first time; `word` is what is published for it."""
    words: list[Message] = []
    if order.state in (OrderState.SUBMITTED, OrderState.UNKNOWN):
        order, words = _say(order, words, _accepted(order, fill.venue_order_id, fill.at_ns))
    order, words = _say(order, words, word)
    return _complete(order, words, fill.at_ns)


def _complete(order: Order, words: list[Message], at_ns: int) -> tuple[Order, list[Message]]:
    whole = order.venue_filled is not None and order.venue_filled > 0 and order.filled >= order.venue_filled
    if order.state in FINAL or not (whole or order.filled >= order.intent.quantity):
        return order, words
    average = order.cost / order.filled if order.filled else None
    return _say(
        order,
        words,
        OrderCompleted(
            client_order_id=order.client_order_id,
            account=order.intent.account,
            filled_quantity=order.filled,
            average_price=average,
            at_ns=at_ns,
        ),
    )


def _accepted(order: Order, venue_order_id: str, at_ns: int) -> OrderAccepted:
    return OrderAccepted(
        client_order_id=order.client_order_id,
        account=order.intent.account,
        venue_order_id=venue_order_id,
        at_ns=at_ns,
    )


def _say(order: Order, words: list[Message], word: Message) -> tuple[Order, list[Message]]:
    return fold(order, word), [*words, word]


def fill_word(fill: VenueFill, order: Order | None, *, account: str, venue: str) -> OrderFilled:
    """The word for a fill. One of no order of ours (liquidation, emergency stop, a person) is told all the same,
    under the venue's own id: a position is a fold over all fills.
    """
    return OrderFilled(
        client_order_id=order.client_order_id if order else fill.client_order_id or f"venue-{fill.venue_order_id}",
        account=account,
        venue=venue,
        symbol=fill.symbol,
        trade_id=fill.trade_id,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        at_ns=fill.at_ns,
        reduce_only=order.intent.reduce_only if order else fill.reduce_only,
    )


# --- reconciliation --------------------------------------------------------------------------------------------------


def signed(side: Side, quantity: Decimal) -> Decimal:
    """Positive when bought."""
    return quantity if side is Side.BUY else -quantity


def differences(ours: dict[str, Decimal], theirs: dict[str, Decimal]) -> tuple[str, ...]:
    """One sentence per instrument where the fold over fills is not what the venue says."""
    return tuple(
        f"{symbol}: fills give {ours.get(symbol, ZERO)}, the venue says {theirs.get(symbol, ZERO)}"
        for symbol in sorted({*ours, *theirs})
        if ours.get(symbol, ZERO) != theirs.get(symbol, ZERO)
    )
