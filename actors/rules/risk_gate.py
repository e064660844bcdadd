"""The gate's question: may this order go out, given what is known now? Checks in fixed order; the first no wins.

Picture: `CHECKS` is a table, top to bottom; each row looks at the intent and one frozen `Snapshot` and says `Deny` or
nothing. What is unknown, old or silent is a no. Exits walk only the rows marked for them: no loss, mode, data or
emergency stop ever keeps anybody from getting smaller. docs/risk_gate.md is this table for people, compared by a test.

Pure: the same intent, snapshot and `now_ns` give the same answer. Ages in a snapshot are seconds since receipt, by the
gate's own monotonic clock; only what a sender limited itself (`valid_until_ns`, `expires_ns`) is compared with
`now_ns`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from actors.messages.account import AccountState
from actors.messages.control import EssState, Mode, RiskLimits, TradingMode
from actors.messages.market import FeedState, FeedStatus, Reading, Value
from actors.messages.orders import OrderIntent, OrderKind, Side
from actors.rules.limits import day_loss
from actors.rules.money import ZERO, Instrument, on_step
from actors.rules.sizing import COSTS

T = TypeVar("T")

NEVER_S = float("inf")  # the age of what was never heard


class Code(StrEnum):
    """Why an order is denied, in the order in which it is asked. GATE_ERROR is asked by nobody: a check broke."""

    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    UNSUPPORTED = "UNSUPPORTED"
    QTY_PRECISION = "QTY_PRECISION"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    REDUCE_ONLY_INCREASES = "REDUCE_ONLY_INCREASES"
    ESS_ACTIVE = "ESS_ACTIVE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    MODE_UNKNOWN = "MODE_UNKNOWN"
    MODE_REDUCE_ONLY = "MODE_REDUCE_ONLY"
    MODE_HALT_NEW = "MODE_HALT_NEW"
    MODE_STOP = "MODE_STOP"
    LIMITS_UNKNOWN = "LIMITS_UNKNOWN"
    RISK_HALTED = "RISK_HALTED"
    EXITS_UNKNOWN = "EXITS_UNKNOWN"
    SNAPSHOT_STALE = "SNAPSHOT_STALE"
    NOT_RECONCILED = "NOT_RECONCILED"
    UNKNOWN_ORDER_PENDING = "UNKNOWN_ORDER_PENDING"
    DATA_UNKNOWN = "DATA_UNKNOWN"
    DATA_GAP = "DATA_GAP"
    DATA_STALE = "DATA_STALE"
    DIVERGENCE_UNKNOWN = "DIVERGENCE_UNKNOWN"
    DIVERGENCE = "DIVERGENCE"
    PRICE_INVALID = "PRICE_INVALID"
    NOTIONAL_MIN = "NOTIONAL_MIN"
    NOTIONAL_MAX = "NOTIONAL_MAX"
    RATE_LIMIT = "RATE_LIMIT"
    POSITIONS_MAX = "POSITIONS_MAX"
    OPPOSITE_POSITION = "OPPOSITE_POSITION"
    STOP_MISSING = "STOP_MISSING"
    EQUITY_UNKNOWN = "EQUITY_UNKNOWN"
    RISK_PER_TRADE = "RISK_PER_TRADE"
    LEVERAGE = "LEVERAGE"
    GROSS_NOTIONAL = "GROSS_NOTIONAL"
    DAY_LOSS = "DAY_LOSS"
    SIGNAL_STALE = "SIGNAL_STALE"
    EXPIRED = "EXPIRED"
    CONFIDENCE = "CONFIDENCE"
    GATE_ERROR = "GATE_ERROR"


class Allow(msgspec.Struct, frozen=True):
    """It may go out as it is."""


class Deny(msgspec.Struct, frozen=True):
    """It may not: the code, and a sentence with the value against the limit."""

    code: Code
    detail: str


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What is held and what may come, in one instrument. `price` values it; None when no fresh book says so."""

    symbol: str
    position: Decimal  # the gate's own fold over fills
    told: Decimal  # what the ledger says; equal to `position` but for milliseconds
    buying: Decimal = ZERO  # approved entries that have not ended: what is left to fill
    selling: Decimal = ZERO
    price: Decimal | None = None

    @property
    def high(self) -> Decimal:
        """The most positive position this can become without a further decision of ours."""
        return max(self.position, self.told) + self.buying

    @property
    def low(self) -> Decimal:
        """The most negative one."""
        return min(self.position, self.told) - self.selling

    @property
    def size(self) -> Decimal:
        """Its largest absolute value."""
        return max(self.high, -self.low, ZERO)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's own settings."""

    min_confidence: float = 0.0
    feed_age_s: float = 3.0
    snapshot_age_s: float = 3.0
    reconciled_age_s: float = 180.0  # execution compares once a minute


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that the gate knows when it is asked about one instrument. None: never heard."""

    terms: Terms
    instrument: Instrument | None
    ess: EssState
    ess_reason: str = ""
    ending: str = ""  # why the server ends, once its shutdown has begun
    mode: TradingMode | None = None
    mode_age_s: float = NEVER_S
    limits: RiskLimits | None = None
    limits_age_s: float = NEVER_S
    exits_age_s: float = NEVER_S  # since the exit brain last said that it lives
    account: AccountState | None = None
    account_age_s: float = NEVER_S
    reconciled: bool | None = None
    reconciled_age_s: float = NEVER_S
    unknown_orders: tuple[str, ...] = ()  # client order ids in this instrument whose fate is unknown
    feed: FeedState | None = None
    feed_age_s: float = NEVER_S
    bid: Decimal | None = None
    ask: Decimal | None = None
    book_age_s: float = NEVER_S
    divergence: Reading | None = None
    divergence_age_s: float = NEVER_S
    exposures: tuple[Exposure, ...] = ()  # all instruments with a position or an entry on its way
    orders_last_minute: int = 0  # approved entries
    twin: str = ""  # intent id of the same order, already approved

    @property
    def version(self) -> int:
        return self.account.version if self.account else 0

    def exposure(self, symbol: str) -> Exposure:
        for exposure in self.exposures:
            if exposure.symbol == symbol:
                return exposure
        return Exposure(symbol=symbol, position=ZERO, told=ZERO)


def check(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Allow | Deny:
    """Ask all rows that concern this order, in the order of `CHECKS`."""
    for row in CHECKS:
        if row.exits or not intent.reduce_only:
            denied = row.ask(intent, snapshot, now_ns)
            if denied is not None:
                return denied
    return Allow()


# --- rows for every order --------------------------------------------------------------------------------------------


def _instrument(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    if snapshot.instrument is None:
        return Deny(Code.INSTRUMENT_UNKNOWN, f"{intent.venue} {intent.symbol} is not among the account's instruments")
    return None


def _supported(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    if intent.kind in (OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET) and not intent.reduce_only:
        return Deny(Code.UNSUPPORTED, f"a {intent.kind} order must be reduce-only; it would enter unseen")
    return None


def _quantity(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    lot = _known(snapshot.instrument).lot_size
    if not (intent.quantity.is_finite() and intent.quantity > 0 and on_step(intent.quantity, lot)):
        return Deny(Code.QTY_PRECISION, f"quantity {intent.quantity} is no positive multiple of the lot {lot}")
    return None


def _duplicate(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    if snapshot.twin:
        return Deny(Code.DUPLICATE_INTENT, f"the same order was approved as {snapshot.twin}")
    return None


def _reduces(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    # An unreconciled gate does not know the position; the venue enforces reduce-only, too, so the exit goes out.
    if not intent.reduce_only or snapshot.reconciled is not True:
        return None
    exposure = snapshot.exposure(intent.symbol)
    # What may still fill counts: the exit brain may hear of a fill before the gate does.
    reducible = exposure.high if intent.side is Side.SELL else -exposure.low
    if intent.quantity > max(reducible, ZERO):
        return Deny(
            Code.REDUCE_ONLY_INCREASES,
            f"a reduce-only {intent.side} of {intent.quantity} is more than the position of {exposure.position}"
            f" with {exposure.buying} buying and {exposure.selling} selling",
        )
    return None


# --- rows for entries: may anybody enter at all? ---------------------------------------------------------------------


def _ess(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    if snapshot.ess is not EssState.INACTIVE:
        why = snapshot.ess_reason or "no reason given"
        return Deny(Code.ESS_ACTIVE, f"the emergency stop is {snapshot.ess}: {why}")
    return None


def _ending(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    return Deny(Code.SHUTTING_DOWN, f"the server ends: {snapshot.ending}") if snapshot.ending else None


_MODE_CODES = {
    Mode.REDUCE_ONLY: Code.MODE_REDUCE_ONLY,
    Mode.HALT_NEW: Code.MODE_HALT_NEW,
    Mode.STOP: Code.MODE_STOP,
}


def _mode(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    said = snapshot.mode
    if said is None:
        return Deny(Code.MODE_UNKNOWN, "the CEO brain has not spoken yet")
    old = _old(snapshot.mode_age_s, snapshot.terms.snapshot_age_s, said.valid_until_ns, now_ns)
    if old:
        return Deny(Code.MODE_UNKNOWN, f"the CEO brain's last word, {said.mode}, {old}")
    code = _MODE_CODES.get(said.mode)
    return Deny(code, f"the mode is {said.mode}: {said.reason}") if code else None


def _limits(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    limits = snapshot.limits
    if limits is None:
        return Deny(Code.LIMITS_UNKNOWN, "the risk brain has not spoken yet")
    old = _old(snapshot.limits_age_s, snapshot.terms.snapshot_age_s, limits.valid_until_ns, now_ns)
    if old:
        return Deny(Code.LIMITS_UNKNOWN, f"the risk brain's last word {old}")
    if not limits.multiplier > 0:
        return Deny(Code.RISK_HALTED, f"the risk brain allows nothing: {limits.reason or 'no reason given'}")
    return None


def _old(age_s: float, limit_s: float, valid_until_ns: int, now_ns: int) -> str:
    if not age_s <= limit_s:
        return f"came {age_s:.1f} s ago, limit {limit_s:g} s"
    if now_ns > valid_until_ns:
        return f"was valid until {(now_ns - valid_until_ns) / 1e9:.3f} s ago"
    return ""


def _exits(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    age_s, limit_s = snapshot.exits_age_s, snapshot.terms.snapshot_age_s
    if age_s == NEVER_S:
        return Deny(Code.EXITS_UNKNOWN, "the exit brain has not spoken yet: nobody would protect the position")
    if not age_s <= limit_s:
        return Deny(Code.EXITS_UNKNOWN, f"the exit brain's last word came {age_s:.1f} s ago, limit {limit_s:g} s")
    return None


def _account(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    terms = snapshot.terms
    if snapshot.account is None:
        return Deny(Code.SNAPSHOT_STALE, "the ledger has not spoken yet")
    if not snapshot.account_age_s <= terms.snapshot_age_s:
        return Deny(
            Code.SNAPSHOT_STALE,
            f"the ledger's last word came {snapshot.account_age_s:.1f} s ago, limit {terms.snapshot_age_s:g} s",
        )
    if snapshot.reconciled is None:
        return Deny(Code.NOT_RECONCILED, "execution has not compared books and venue yet")
    if not (snapshot.reconciled and snapshot.account.reconciled):
        return Deny(Code.NOT_RECONCILED, "books and venue differ, or the ledger has not seen them agree")
    if not snapshot.reconciled_age_s <= terms.reconciled_age_s:
        return Deny(
            Code.NOT_RECONCILED,
            f"books and venue were compared {snapshot.reconciled_age_s:.0f} s ago, limit {terms.reconciled_age_s:g} s",
        )
    if snapshot.unknown_orders:
        return Deny(
            Code.UNKNOWN_ORDER_PENDING,
            f"nobody knows what became of {', '.join(snapshot.unknown_orders[:3])} in {intent.symbol}",
        )
    return None


# --- is the market known? --------------------------------------------------------------------------------------------


def _data(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    feed, limit_s = snapshot.feed, snapshot.terms.feed_age_s
    if feed is None:
        return Deny(Code.DATA_UNKNOWN, f"the feed of {intent.symbol} has not spoken yet")
    if feed.status is FeedStatus.GAP:
        return Deny(Code.DATA_GAP, f"the book of {intent.symbol} has a gap: {feed.reason}")
    if feed.status is FeedStatus.STALE or not snapshot.feed_age_s <= limit_s or not feed.age_s <= limit_s:
        age_s = max(snapshot.feed_age_s, feed.age_s)
        return Deny(Code.DATA_STALE, f"{intent.symbol} is {feed.status}, {age_s:.1f} s old, limit {limit_s:g} s")
    if feed.status is not FeedStatus.LIVE:
        return Deny(Code.DATA_UNKNOWN, f"the book of {intent.symbol} is {feed.status}: {feed.reason}")
    if snapshot.bid is None or snapshot.ask is None or snapshot.ask < snapshot.bid:
        return Deny(Code.DATA_UNKNOWN, f"{intent.symbol} has no usable price: bid {snapshot.bid}, ask {snapshot.ask}")
    if not snapshot.book_age_s <= limit_s:
        age_s = snapshot.book_age_s
        return Deny(Code.DATA_STALE, f"the last tick of {intent.symbol} came {age_s:.1f} s ago, limit {limit_s:g} s")
    for exposure in snapshot.exposures:
        if exposure.size and exposure.price is None and exposure.symbol != intent.symbol:
            return Deny(Code.DATA_UNKNOWN, f"{exposure.symbol} is held and has no fresh price: exposure is unknown")
    return None


def _divergence(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    reading, limit_s = snapshot.divergence, snapshot.terms.feed_age_s
    base = intent.symbol.partition("/")[0]
    if not isinstance(reading, Value):
        return Deny(Code.DIVERGENCE_UNKNOWN, f"no divergence of {base}: {reading or 'nobody has read it yet'}")
    age_s = snapshot.divergence_age_s + reading.age_s
    if not age_s <= limit_s:
        return Deny(Code.DIVERGENCE_UNKNOWN, f"the divergence of {base} is {age_s:.1f} s old, limit {limit_s:g} s")
    limit = _known(snapshot.limits).max_divergence_bps
    if not abs(reading.value) <= limit:
        return Deny(Code.DIVERGENCE, f"{base} diverges by {reading.value:.1f} bps, limit {limit:g} bps")
    return None


# --- is this order within the limits? --------------------------------------------------------------------------------


def _price(intent: OrderIntent, snapshot: Snapshot) -> Decimal:
    """What an entry is valued at: its limit where that is worse, else the side of the book it takes."""
    book = _known(snapshot.ask if intent.side is Side.BUY else snapshot.bid)
    return max(book, intent.price) if intent.price is not None else book


def _limit_price(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    tick = _known(snapshot.instrument).tick_size
    price = intent.price
    if intent.kind is OrderKind.LIMIT and price is None:
        return Deny(Code.PRICE_INVALID, "a limit order has no price")
    if price is not None and not (price.is_finite() and price > 0 and on_step(price, tick)):
        return Deny(Code.PRICE_INVALID, f"price {price} is no positive multiple of the tick {tick}")
    return None


def _notional(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    instrument, limits = _known(snapshot.instrument), _known(snapshot.limits)
    notional = intent.quantity * _price(intent, snapshot)
    if notional < instrument.min_notional:
        return Deny(Code.NOTIONAL_MIN, f"notional {notional:.2f}, the venue's minimum is {instrument.min_notional}")
    limit = limits.max_order_notional * min(limits.multiplier, Decimal(1))
    if not notional <= limit:
        return Deny(Code.NOTIONAL_MAX, f"notional {notional:.2f} is above {limit:.2f} (multiplier {limits.multiplier})")
    return None


def _rate(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    limit = _known(snapshot.limits).orders_per_minute
    if snapshot.orders_last_minute >= limit:
        return Deny(Code.RATE_LIMIT, f"{snapshot.orders_last_minute} entries in the last minute, limit {limit}")
    return None


def _positions(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    limit = _known(snapshot.limits).max_positions
    taken = {exposure.symbol for exposure in snapshot.exposures if exposure.size} | {intent.symbol}
    if len(taken) > limit:
        return Deny(Code.POSITIONS_MAX, f"it would be position {len(taken)}, with those on their way; limit {limit}")
    return None


def _opposite(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    exposure = snapshot.exposure(intent.symbol)
    if (exposure.low < 0) if intent.side is Side.BUY else (exposure.high > 0):
        return Deny(
            Code.OPPOSITE_POSITION,
            f"a {intent.side} against a position of {exposure.position} ({exposure.low} to {exposure.high} with what"
            " is on its way) must be reduce-only",
        )
    return None


def _stop(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    stop, price = intent.stop_price, _price(intent, snapshot)
    if stop is None or not stop.is_finite() or stop <= 0:
        return Deny(Code.STOP_MISSING, f"the entry's stop is {stop}; an entry says where its loss is cut")
    if not (stop < price if intent.side is Side.BUY else stop > price):
        return Deny(Code.STOP_MISSING, f"stop {stop} is not on the losing side of a {intent.side} at {price}")
    return None


def _equity(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    account = _known(snapshot.account)
    if account.equity is None or not account.equity.is_finite() or account.equity <= 0:
        unknown = f"; without a mark: {', '.join(account.unknown)}" if account.unknown else ""
        return Deny(Code.EQUITY_UNKNOWN, f"equity is {account.equity}{unknown}")
    if day_loss(account.equity, account.day_start_equity) is None:
        return Deny(Code.EQUITY_UNKNOWN, f"the day started with an equity of {account.day_start_equity}")
    return None


def _risk(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    limits, price = _known(snapshot.limits), _price(intent, snapshot)
    loss = (abs(price - _known(intent.stop_price)) + price * COSTS) * intent.quantity
    budget = _known(_known(snapshot.account).equity) * limits.risk_per_trade * min(limits.multiplier, Decimal(1))
    if not loss <= budget:
        return Deny(Code.RISK_PER_TRADE, f"{loss:.2f} at risk with costs, budget {budget:.2f}")
    return None


def _gross(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    limits, price = _known(snapshot.limits), _price(intent, snapshot)
    gross = intent.quantity * price + sum(
        (e.size * (price if e.symbol == intent.symbol else _known(e.price)) for e in snapshot.exposures if e.size), ZERO
    )
    equity = _known(_known(snapshot.account).equity)
    if not gross <= equity * limits.max_leverage:
        return Deny(Code.LEVERAGE, f"gross {gross:.2f} is {gross / equity:.2f} x equity, limit {limits.max_leverage} x")
    if not gross <= limits.max_gross_notional:
        return Deny(Code.GROSS_NOTIONAL, f"gross {gross:.2f} after this order, limit {limits.max_gross_notional}")
    return None


def _loss(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    account, limit = _known(snapshot.account), _known(snapshot.limits).day_loss_limit
    loss = _known(day_loss(account.equity, account.day_start_equity))
    if not loss < limit:
        return Deny(Code.DAY_LOSS, f"day loss {loss:.3%}, limit {limit:.3%}")
    return None


def _signal(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Deny | None:
    if not intent.signal_id or intent.expires_ns <= 0:
        return Deny(Code.SIGNAL_STALE, "the entry names no signal or no expiry: its age is unknown")
    if now_ns > intent.expires_ns:
        return Deny(Code.EXPIRED, f"the entry expired {(now_ns - intent.expires_ns) / 1e9:.3f} s ago")
    if not intent.confidence >= snapshot.terms.min_confidence:
        return Deny(Code.CONFIDENCE, f"confidence {intent.confidence:.3f}, floor {snapshot.terms.min_confidence:.3f}")
    return None


def _known(value: T | None) -> T:
    """What an earlier row made sure of. Missing, it is a mistake of the table, and the gate says GATE_ERROR."""
    if value is None:
        raise LookupError("a check needs something that no earlier check made sure of; see CHECKS")
    return value


# --- the table -------------------------------------------------------------------------------------------------------


class Check(NamedTuple):
    """One row: what it asks, which codes it may answer, and whether exits are asked, too."""

    ask: Callable[[OrderIntent, Snapshot, int], Deny | None]
    codes: tuple[Code, ...]
    exits: bool = False


CHECKS: tuple[Check, ...] = (
    Check(_instrument, (Code.INSTRUMENT_UNKNOWN,), exits=True),
    Check(_supported, (Code.UNSUPPORTED,)),
    Check(_quantity, (Code.QTY_PRECISION,), exits=True),
    Check(_duplicate, (Code.DUPLICATE_INTENT,), exits=True),
    Check(_reduces, (Code.REDUCE_ONLY_INCREASES,), exits=True),
    Check(_ess, (Code.ESS_ACTIVE,)),
    Check(_ending, (Code.SHUTTING_DOWN,)),
    Check(_mode, (Code.MODE_UNKNOWN, Code.MODE_REDUCE_ONLY, Code.MODE_HALT_NEW, Code.MODE_STOP)),
    Check(_limits, (Code.LIMITS_UNKNOWN, Code.RISK_HALTED)),
    Check(_exits, (Code.EXITS_UNKNOWN,)),
    Check(_account, (Code.SNAPSHOT_STALE, Code.NOT_RECONCILED, Code.UNKNOWN_ORDER_PENDING)),
    Check(_data, (Code.DATA_UNKNOWN, Code.DATA_GAP, Code.DATA_STALE)),
    Check(_divergence, (Code.DIVERGENCE_UNKNOWN, Code.DIVERGENCE)),
    Check(_limit_price, (Code.PRICE_INVALID,)),
    Check(_notional, (Code.NOTIONAL_MIN, Code.NOTIONAL_MAX)),
    Check(_rate, (Code.RATE_LIMIT,)),
    Check(_positions, (Code.POSITIONS_MAX,)),
    Check(_opposite, (Code.OPPOSITE_POSITION,)),
    Check(_stop, (Code.STOP_MISSING,)),
    Check(_equity, (Code.EQUITY_UNKNOWN,)),
    Check(_risk, (Code.RISK_PER_TRADE,)),
    Check(_gross, (Code.LEVERAGE, Code.GROSS_NOTIONAL)),
    Check(_loss, (Code.DAY_LOSS,)),
    Check(_signal, (Code.SIGNAL_STALE, Code.EXPIRED, Code.CONFIDENCE)),
)
