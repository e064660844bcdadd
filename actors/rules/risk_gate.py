"""The one door: is this order allowed, on what is known now? Fixed checks in fixed order; the first no is the answer.

Picture: a row of inspectors over one photograph (`Snapshot`). Each asks one question and may only say "go on" or "no,
code, sentence"; none can say "yes". Whatever is unknown is a no. An order that truly reduces a position passes the
inspectors of money, mode and data without being asked: getting out must always be possible. The photograph is frozen;
`now_ns` is passed in; nothing here signs, sends or remembers. `docs/risk_gate.md` is `table()`, and a test compares.

Sources: SEC rule 15c3-5 and MiFID II RTS 6 art. 15 (pre-trade controls), nautilus' denial codes, and the predecessor's
incidents: unknown state that was read as permission.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from actors.messages.account import AccountState
from actors.messages.control import EssState, Mode, RiskLimits, TradingMode
from actors.messages.market import CrossReading, FeedState, FeedStatus, Tick
from actors.messages.orders import OrderIntent, OrderKind, Side
from actors.rules import money
from actors.rules.limits import day_loss
from actors.rules.money import ZERO, Instrument, is_amount, on_step
from actors.rules.positions import Key, signed
from actors.rules.readings import usable
from actors.rules.sizing import COSTS

CONDITIONAL = (OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET)
CLOCK_SLACK_NS = 1_000_000_000  # clocks of two processes of one machine, and a step of its time service

T = TypeVar("T")


class Code(StrEnum):
    """Why not. The order is that of the checks."""

    ESS_ACTIVE = "ESS_ACTIVE"
    MODE_UNKNOWN = "MODE_UNKNOWN"
    MODE_REDUCE_ONLY = "MODE_REDUCE_ONLY"
    MODE_HALTED = "MODE_HALTED"
    MODE_STOPPED = "MODE_STOPPED"
    SNAPSHOT_STALE = "SNAPSHOT_STALE"
    LIMITS_UNKNOWN = "LIMITS_UNKNOWN"
    NOT_RECONCILED = "NOT_RECONCILED"
    UNKNOWN_ORDER_PENDING = "UNKNOWN_ORDER_PENDING"
    DATA_UNKNOWN = "DATA_UNKNOWN"
    DATA_GAP = "DATA_GAP"
    DATA_STALE = "DATA_STALE"
    DIVERGENCE_UNKNOWN = "DIVERGENCE_UNKNOWN"
    DIVERGENCE = "DIVERGENCE"
    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    UNSUPPORTED = "UNSUPPORTED"
    QTY_INVALID = "QTY_INVALID"
    PRICE_INVALID = "PRICE_INVALID"
    NOT_REDUCING = "NOT_REDUCING"
    PRICE_PRECISION = "PRICE_PRECISION"
    QTY_PRECISION = "QTY_PRECISION"
    NOTIONAL_MIN = "NOTIONAL_MIN"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    RATE_LIMIT = "RATE_LIMIT"
    EQUITY_UNKNOWN = "EQUITY_UNKNOWN"
    DAY_LOSS = "DAY_LOSS"
    RISK_HALTED = "RISK_HALTED"
    NOTIONAL_MAX = "NOTIONAL_MAX"
    POSITIONS_MAX = "POSITIONS_MAX"
    OPPOSITE_POSITION = "OPPOSITE_POSITION"
    STOP_MISSING = "STOP_MISSING"
    RISK_PER_TRADE = "RISK_PER_TRADE"
    GROSS = "GROSS"
    LEVERAGE = "LEVERAGE"
    SIGNAL_STALE = "SIGNAL_STALE"
    CONFIDENCE = "CONFIDENCE"
    EXPIRED = "EXPIRED"
    GATE_ERROR = "GATE_ERROR"


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How old, by receipt, each part of the photograph may be, in seconds, and the floors of a signal."""

    mode_s: float = 3.0
    limits_s: float = 3.0
    account_s: float = 3.0
    reconciled_s: float = 180.0
    feed_s: float = 3.0
    tick_s: float = 2.5
    cross_s: float = 3.0
    signal_s: float = 5.0
    min_confidence: float = 1.0 / 3.0  # of three classes: no better than a guess


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Ages by receipt, monotonic seconds; infinite when never heard."""

    mode_s: float = math.inf
    limits_s: float = math.inf
    account_s: float = math.inf
    reconciled_s: float = math.inf
    feed_s: float = math.inf
    tick_s: float = math.inf
    cross_s: float = math.inf


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when an intent is judged: of the house, and of the intent's instrument."""

    heard: Heard = Heard()
    freshness: Freshness = Freshness()
    ess: EssState = EssState.TRIGGERED  # what is not known is the worst
    mode: TradingMode | None = None
    limits: RiskLimits | None = None
    account: AccountState | None = None
    reconciled: bool = False
    reconciled_detail: str = "no reconciliation heard"
    feed: FeedState | None = None
    tick: Tick | None = None
    cross: CrossReading | None = None
    instrument: Instrument | None = None
    held: Mapping[Key, Decimal] = {}  # signed open quantities
    reserved: Mapping[Key, Decimal] = {}  # signed quantities approved entries may still add
    marks: Mapping[Key, Decimal] = {}  # of everything held, reserved or intended; what is missing is unknown
    unknown_orders: tuple[str, ...] = ()  # client order ids on this instrument whose fate is not known
    signal_used: bool = False  # the same wish was approved under another id
    twin_open: bool = False  # an identical order of the same strategy is in flight or resting
    entries_within_minute: int = 0


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's no: code for machines, number against limit for people."""

    code: Code
    detail: str


class Allow(msgspec.Struct, frozen=True, kw_only=True):
    """No check objected."""


Question = Callable[[OrderIntent, Snapshot, int], Deny | None]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One inspector. `exits`: reduce-only orders are asked, too."""

    ask: Question
    codes: tuple[Code, ...]
    question: str
    exits: bool = False


def check(intent: OrderIntent, snapshot: Snapshot, now_ns: int) -> Allow | Deny:
    """The decision. Never raises: what cannot be evaluated is denied with `GATE_ERROR`."""
    try:
        for item in CHECKS:
            if intent.reduce_only and not item.exits:
                continue
            objection = item.ask(intent, snapshot, now_ns)
            if objection is not None:
                return objection
    except Exception as error:  # noqa: BLE001  a gate that crashes on an intent would crash on it again; it must answer no
        return Deny(code=Code.GATE_ERROR, detail=f"the gate could not judge it: {type(error).__name__}: {error}"[:300])
    return Allow()


def reduces(intent: OrderIntent, held: Decimal) -> bool:
    """True when the order can only make this position smaller, by no more than there is."""
    change = signed(intent.side, intent.quantity)
    return intent.reduce_only and held * change < 0 and intent.quantity <= abs(held)


def gross(quantities: Mapping[Key, Decimal], marks: Mapping[Key, Decimal]) -> Decimal | None:
    """Sum of absolute values at the marks; None when one is missing."""
    total = ZERO
    for key, quantity in quantities.items():
        if quantity:
            mark = marks.get(key)
            if mark is None:
                return None
            total += abs(quantity) * mark
    return total


def exposed(snapshot: Snapshot) -> Decimal | None:
    """Value of what is held and of what approved entries may still add, each at its full size."""
    open_, promised = gross(snapshot.held, snapshot.marks), gross(snapshot.reserved, snapshot.marks)
    return None if open_ is None or promised is None else open_ + promised


# --- the questions, in the order of the checks -----------------------------------------------------------------------


def _deny(code: Code, detail: str) -> Deny:
    return Deny(code=code, detail=detail)


def _ess(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    return None if s.ess is EssState.INACTIVE else _deny(Code.ESS_ACTIVE, f"the emergency stop is {s.ess}")


def _mode(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if s.mode is None:
        return _deny(Code.MODE_UNKNOWN, "the CEO brain has said no mode yet")
    if s.heard.mode_s > s.freshness.mode_s or now_ns > s.mode.valid_until_ns:
        return _deny(
            Code.MODE_UNKNOWN, f"the mode was heard {s.heard.mode_s:.1f} s ago, limit {s.freshness.mode_s:g} s"
        )
    code = {
        Mode.REDUCE_ONLY: Code.MODE_REDUCE_ONLY, Mode.HALT_NEW: Code.MODE_HALTED, Mode.STOP: Code.MODE_STOPPED,
    }.get(s.mode.mode)  # fmt: skip
    return None if code is None else _deny(code, f"mode {s.mode.mode}: {s.mode.reason}")


def _account(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if s.account is None:
        return _deny(Code.SNAPSHOT_STALE, "the ledger has said nothing yet")
    if s.heard.account_s > s.freshness.account_s:
        return _deny(
            Code.SNAPSHOT_STALE,
            f"the account state was heard {s.heard.account_s:.1f} s ago (limit {s.freshness.account_s:g} s)",
        )
    return None


def _limits(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if s.limits is None:
        return _deny(Code.LIMITS_UNKNOWN, "the risk brain has said no limits yet")
    if s.heard.limits_s > s.freshness.limits_s or now_ns > s.limits.valid_until_ns:
        return _deny(
            Code.LIMITS_UNKNOWN,
            f"the limits were heard {s.heard.limits_s:.1f} s ago (limit {s.freshness.limits_s:g} s), or have ended",
        )
    return None


def _reconciled(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if not s.reconciled:
        return _deny(Code.NOT_RECONCILED, s.reconciled_detail)
    if s.heard.reconciled_s > s.freshness.reconciled_s:
        return _deny(
            Code.NOT_RECONCILED,
            f"it was last heard to be {s.heard.reconciled_s:.0f} s ago (limit {s.freshness.reconciled_s:g} s)",
        )
    return None


def _unknown_order(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if s.unknown_orders:
        return _deny(
            Code.UNKNOWN_ORDER_PENDING,
            f"{intent.symbol}: unknown is the fate of {', '.join(s.unknown_orders)}",
        )
    return None


def _data(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    where = f"{intent.venue}:{intent.symbol}"
    if s.feed is None or s.heard.feed_s > s.freshness.feed_s:
        return _deny(
            Code.DATA_UNKNOWN,
            f"{where}: feed heard {s.heard.feed_s:.1f} s ago (limit {s.freshness.feed_s:g} s)",
        )
    if s.feed.status is FeedStatus.GAP or s.feed.status is FeedStatus.SYNCING:
        return _deny(Code.DATA_GAP, f"{where} is {s.feed.status}: {s.feed.reason}")
    if s.feed.status is FeedStatus.STALE:
        return _deny(Code.DATA_STALE, f"{where} is {s.feed.status}: {s.feed.reason}")
    if s.feed.status is not FeedStatus.LIVE:
        return _deny(Code.DATA_UNKNOWN, f"{where} is {s.feed.status}: {s.feed.reason}")
    if s.tick is None or money.mid(s.tick.bid, s.tick.ask) is None:
        return _deny(Code.DATA_UNKNOWN, f"{where}: no usable tick yet")
    if s.heard.tick_s > s.freshness.tick_s:
        return _deny(
            Code.DATA_STALE,
            f"{where}: last tick heard {s.heard.tick_s:.1f} s ago (limit {s.freshness.tick_s:g} s)",
        )
    return None


def _divergence(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    base = intent.symbol.partition("/")[0]
    if s.cross is None or s.heard.cross_s > s.freshness.cross_s:
        return _deny(
            Code.DIVERGENCE_UNKNOWN, f"{base}: heard {s.heard.cross_s:.1f} s ago (limit {s.freshness.cross_s:g} s)"
        )
    bps = usable(s.cross.divergence_bps)
    if bps is None:
        return _deny(Code.DIVERGENCE_UNKNOWN, f"{base}: {s.cross.divergence_bps}")
    limit = _known(s.limits).max_divergence_bps
    if not abs(bps) <= limit:
        return _deny(Code.DIVERGENCE, f"{base} is {bps:.1f} bps from its usual basis (limit {limit:g})")
    return None


def _instrument(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if s.instrument is None:
        return _deny(Code.INSTRUMENT_UNKNOWN, f"{intent.venue}:{intent.symbol} is not an instrument of this account")
    return None


def _supported(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if intent.kind in CONDITIONAL and not intent.reduce_only:
        return _deny(Code.UNSUPPORTED, f"a {intent.kind} order must be reduce-only")
    return None


def _amounts(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if not is_amount(intent.quantity):
        return _deny(Code.QTY_INVALID, f"quantity is {intent.quantity}; it must be finite and above zero")
    wanted = {"price": intent.kind is OrderKind.LIMIT, "trigger_price": intent.kind in CONDITIONAL, "stop_price": False}
    for name, needed in wanted.items():
        value: Decimal | None = getattr(intent, name)
        if (needed or value is not None) and not is_amount(value):
            return _deny(Code.PRICE_INVALID, f"{name} is {value}; it must be finite and above zero")
    return None


def _reducing(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    held = s.held.get((intent.venue, intent.symbol), ZERO)
    if intent.reduce_only and not reduces(intent, held):
        return _deny(
            Code.NOT_REDUCING, f"{intent.side} {intent.quantity} reduce-only does not reduce a position of {held}"
        )
    return None


def _grid(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    grid = _known(s.instrument)
    if intent.price is not None and not on_step(intent.price, grid.tick_size):
        return _deny(Code.PRICE_PRECISION, f"price {intent.price} is off the grid of {grid.tick_size}")
    if not on_step(intent.quantity, grid.lot_size):
        return _deny(Code.QTY_PRECISION, f"quantity {intent.quantity} is off the lot of {grid.lot_size}")
    notional = intent.quantity * _price(intent, s)
    if notional < grid.min_notional:
        return _deny(Code.NOTIONAL_MIN, f"notional {notional} is below the venue's {grid.min_notional}")
    return None


def _duplicate(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if s.signal_used:
        return _deny(Code.DUPLICATE_INTENT, f"signal {intent.signal_id} was used for {intent.symbol} already")
    if s.twin_open:
        return _deny(Code.DUPLICATE_INTENT, f"an identical order of {intent.strategy} for {intent.symbol} is open")
    return None


def _rate(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    limit = _known(s.limits).orders_per_minute
    if s.entries_within_minute >= limit:
        return _deny(Code.RATE_LIMIT, f"{s.entries_within_minute} entries within a minute (limit {limit})")
    return None


def _equity(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    account = _known(s.account)
    if account.equity is None or account.equity <= 0:
        why = ", ".join(account.unknown) or "no balance yet"
        return _deny(Code.EQUITY_UNKNOWN, f"equity is {account.equity}; without a mark: {why}")
    if _loss(account) is None:
        return _deny(Code.EQUITY_UNKNOWN, f"the day's starting equity is {account.day_start_equity}")
    if exposed(s) is None:
        return _deny(Code.EQUITY_UNKNOWN, "something held or promised has no mark")
    return None


def _day_loss(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    loss, limit = _known(_loss(_known(s.account))), _known(s.limits).day_loss_limit
    if loss >= limit:
        return _deny(Code.DAY_LOSS, f"the day has lost {loss:.4%} of its starting equity (limit {limit:.4%})")
    return None


def _halted(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    limits = _known(s.limits)
    if not limits.multiplier > 0:
        return _deny(Code.RISK_HALTED, f"the risk brain allows nothing: {limits.reason}")
    return None


def _notional(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    limits = _known(s.limits)
    notional, limit = intent.quantity * _price(intent, s), limits.max_order_notional * limits.multiplier
    if notional > limit:
        return _deny(
            Code.NOTIONAL_MAX,
            f"notional {notional} (limit {limit} = {limits.max_order_notional} × {limits.multiplier})",
        )
    return None


def _positions(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    taken = {key for book in (s.held, s.reserved) for key, quantity in book.items() if quantity}
    count, limit = len(taken | {(intent.venue, intent.symbol)}), _known(s.limits).max_positions
    if count > limit:
        return _deny(Code.POSITIONS_MAX, f"it would be position number {count}, approved ones included (limit {limit})")
    return None


def _opposite(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    key, change = (intent.venue, intent.symbol), signed(intent.side, intent.quantity)
    for what, book in (("position", s.held), ("approved entry", s.reserved)):
        if book.get(key, ZERO) * change < 0:
            return _deny(Code.OPPOSITE_POSITION, f"{intent.symbol}: there is an open {what} of {book[key]}")
    return None


def _risk(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    entry, stop = _price(intent, s), intent.stop_price
    if stop is None:
        return _deny(Code.STOP_MISSING, "an entry needs a stop price")
    if (entry - stop) * (1 if intent.side is Side.BUY else -1) <= 0:
        return _deny(Code.STOP_MISSING, f"stop {stop} is on the wrong side of the price {entry} for a {intent.side}")
    limits = _known(s.limits)
    risk = intent.quantity * (abs(entry - stop) + entry * COSTS)
    budget = _known(_known(s.account).equity) * limits.risk_per_trade * limits.multiplier
    if risk > budget:
        return _deny(Code.RISK_PER_TRADE, f"the stop would cost {risk:.4f} (limit {budget:.4f})")
    return None


def _gross(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    limits, equity = _known(s.limits), _known(_known(s.account).equity)
    total = _known(exposed(s)) + intent.quantity * _price(intent, s)
    if total > limits.max_gross_notional:
        return _deny(Code.GROSS, f"gross would be {total:.2f}, promises included (limit {limits.max_gross_notional})")
    if total > equity * limits.max_leverage:
        return _deny(
            Code.LEVERAGE, f"gross {total:.2f} would be {total / equity:.3f} times equity (limit {limits.max_leverage})"
        )
    return None


def _signal(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    age_s = (now_ns - intent.created_ns) / 1e9
    if age_s > s.freshness.signal_s or now_ns < intent.created_ns - CLOCK_SLACK_NS:
        return _deny(Code.SIGNAL_STALE, f"the signal is {age_s:.2f} s old (limit {s.freshness.signal_s:g} s)")
    if not s.freshness.min_confidence <= intent.confidence <= 1.0:
        return _deny(Code.CONFIDENCE, f"confidence {intent.confidence:.3f} (floor {s.freshness.min_confidence:.3f})")
    return None


def _expired(intent: OrderIntent, s: Snapshot, now_ns: int) -> Deny | None:
    if intent.expires_ns and now_ns > intent.expires_ns:
        return _deny(Code.EXPIRED, f"the intent expired {(now_ns - intent.expires_ns) / 1e9:.3f} s ago")
    return None


def _price(intent: OrderIntent, s: Snapshot) -> Decimal:
    """What the entry may cost per unit: the side of the book it takes, or its limit if that is more."""
    tick = _known(s.tick)
    taken = money.to_decimal(tick.ask if intent.side is Side.BUY else tick.bid)
    return taken if intent.price is None else max(taken, intent.price)


def _loss(account: AccountState) -> Decimal | None:
    return day_loss(account.equity, account.day_start_equity)


class MissingFact(LookupError):
    """A check relied on a fact that an earlier check should have demanded."""


def _known(fact: T | None) -> T:
    if fact is None:
        raise MissingFact("a fact is missing that an earlier check should have demanded")
    return fact


CHECKS: tuple[Check, ...] = (
    Check(ask=_ess, codes=(Code.ESS_ACTIVE,), question="Is the emergency stop's latch inactive?"),
    Check(
        ask=_mode,
        codes=(Code.MODE_UNKNOWN, Code.MODE_REDUCE_ONLY, Code.MODE_HALTED, Code.MODE_STOPPED),
        question="Is the mode known, fresh and RUN?",
    ),
    Check(ask=_account, codes=(Code.SNAPSHOT_STALE,), question="Is the ledger's account state fresh?"),
    Check(ask=_limits, codes=(Code.LIMITS_UNKNOWN,), question="Are the risk limits known and valid?"),
    Check(ask=_reconciled, codes=(Code.NOT_RECONCILED,), question="Do books and venue agree, lately?"),
    Check(
        ask=_unknown_order,
        codes=(Code.UNKNOWN_ORDER_PENDING,),
        question="Is the fate of every order on the instrument known?",
    ),
    Check(
        ask=_data,
        codes=(Code.DATA_UNKNOWN, Code.DATA_GAP, Code.DATA_STALE),
        question="Is the instrument's book LIVE, and its tick fresh?",
    ),
    Check(
        ask=_divergence,
        codes=(Code.DIVERGENCE_UNKNOWN, Code.DIVERGENCE),
        question="Is the base's divergence known and within its limit?",
    ),
    Check(
        ask=_instrument,
        codes=(Code.INSTRUMENT_UNKNOWN,),
        question="Is it an instrument of this account?",
        exits=True,
    ),
    Check(
        ask=_supported,
        codes=(Code.UNSUPPORTED,),
        question="Is it a kind of order that may do this?",
        exits=True,
    ),
    Check(
        ask=_amounts,
        codes=(Code.QTY_INVALID, Code.PRICE_INVALID),
        question="Are quantity and prices finite and above zero?",
        exits=True,
    ),
    Check(
        ask=_reducing,
        codes=(Code.NOT_REDUCING,),
        question="Does a reduce-only order truly reduce what is held?",
        exits=True,
    ),
    Check(
        ask=_grid,
        codes=(Code.PRICE_PRECISION, Code.QTY_PRECISION, Code.NOTIONAL_MIN),
        question="Is it on the venue's grid and within the venue's sizes?",
    ),
    Check(
        ask=_duplicate,
        codes=(Code.DUPLICATE_INTENT,),
        question="Is it the only order of this wish?",
        exits=True,
    ),
    Check(ask=_rate, codes=(Code.RATE_LIMIT,), question="Are there fewer entries within a minute than allowed?"),
    Check(ask=_equity, codes=(Code.EQUITY_UNKNOWN,), question="Are equity, the day's start and all marks known?"),
    Check(ask=_day_loss, codes=(Code.DAY_LOSS,), question="Is the day's loss below its limit?"),
    Check(ask=_halted, codes=(Code.RISK_HALTED,), question="Does the risk brain allow any size at all?"),
    Check(ask=_notional, codes=(Code.NOTIONAL_MAX,), question="Is the order's value within the scaled limit?"),
    Check(
        ask=_positions,
        codes=(Code.POSITIONS_MAX,),
        question="Are there few enough positions, approved entries included?",
    ),
    Check(ask=_opposite, codes=(Code.OPPOSITE_POSITION,), question="Is nothing open on the other side?"),
    Check(
        ask=_risk,
        codes=(Code.STOP_MISSING, Code.RISK_PER_TRADE),
        question="Is there a stop, and is the loss at it, fees included, within budget?",
    ),
    Check(
        ask=_gross,
        codes=(Code.GROSS, Code.LEVERAGE),
        question="Do positions, promises and this order stay within gross and leverage?",
    ),
    Check(
        ask=_signal,
        codes=(Code.SIGNAL_STALE, Code.CONFIDENCE),
        question="Is the signal young and sure enough?",
    ),
    Check(ask=_expired, codes=(Code.EXPIRED,), question="Is the intent still wanted?"),
)


def table() -> str:
    """The checks as the Markdown table of docs/risk_gate.md."""
    rows = ["| # | question | codes | entries | reduce-only |", "|---|---|---|---|---|"]
    for number, item in enumerate(CHECKS, start=1):
        codes = ", ".join(f"`{code}`" for code in item.codes)
        rows.append(f"| {number} | {item.question} | {codes} | asked | {'asked' if item.exits else 'passes'} |")
    rows.append("| – | Could every question be answered without an error? | `GATE_ERROR` | asked | asked |")
    return "\n".join(rows) + "\n"
