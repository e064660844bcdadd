"""The gate: each code by a row, the laws by properties, and the actor as short stories over its real journal words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.latch import Latch, write_latch
from actors.messages.account import AccountState, Position, Reconciled
from actors.messages.control import EssState, ExitsGuarded, Mode, RiskLimits, TradingMode
from actors.messages.market import CrossReading, FeedState, FeedStatus, Stale, Tick, Unavailable, Value
from actors.messages.orders import (
    CancelApproved,
    CancelIntent,
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
    Side,
)
from actors.risk_gate import RiskGate
from actors.rules.approval import verify
from actors.rules.money import Instrument
from actors.rules.orders import client_order_id
from actors.rules.risk_gate import CHECKS, Allow, Code, Deny, Exposure, Snapshot, Terms, check
from actors.venues.words import LatchSeen
from supervisor.message import Message
from supervisor.system import PhaseBegun
from tests.actors.recorded import RecordedContext, give, start

NOW_NS = 1_700_000_000_000_000_000
VENUE, BTC, ETH = "binanceusdm", "BTC/USDT:USDT", "ETH/USDT:USDT"
KEY = "k" * 32
replace = msgspec.structs.replace


def an_intent(**changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "intent_id": "momentum:s1", "account": "main", "strategy": "momentum", "venue": VENUE, "symbol": BTC,
        "side": Side.BUY, "kind": OrderKind.MARKET, "quantity": Decimal("0.010"), "stop_price": Decimal(49900),
        "signal_id": "s1", "confidence": 0.6, "created_ns": NOW_NS, "expires_ns": NOW_NS + 2_000_000_000,
    }  # fmt: skip
    return OrderIntent(**{**fields, **changes})


def an_exit(**changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "intent_id": "exit:1", "strategy": "exit", "side": Side.SELL, "reduce_only": True, "stop_price": None,
        "signal_id": "", "expires_ns": 0, "confidence": 0.0,
    }  # fmt: skip
    return an_intent(**{**fields, **changes})


LIMITS = RiskLimits(
    account="main", version=1, max_positions=2, max_order_notional=Decimal(1000), max_gross_notional=Decimal(2000),
    max_leverage=Decimal(1), risk_per_trade=Decimal("0.002"), day_loss_limit=Decimal("0.005"), max_divergence_bps=50.0,
    orders_per_minute=30, multiplier=Decimal(1), reason="", valid_until_ns=NOW_NS + 3_000_000_000,
)  # fmt: skip
ACCOUNT = AccountState(
    account="main", version=7, positions=(), cash=Decimal(10_000), equity=Decimal(10_000), unrealised=Decimal(0),
    day_start_equity=Decimal(10_000), unknown=(), fills=0, reconciled=True, at_ns=NOW_NS,
)  # fmt: skip
MODE = TradingMode(mode=Mode.RUN, reason="", valid_until_ns=NOW_NS + 3_000_000_000)
FEED = FeedState(venue=VENUE, symbol=BTC, status=FeedStatus.LIVE, reason="", since_ns=0, age_s=0.1)
STEPS = Instrument(symbol=BTC, tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), min_notional=Decimal(5))
GREEN = Snapshot(
    terms=Terms(min_confidence=0.5),
    instrument=STEPS,
    ess=EssState.INACTIVE,
    mode=MODE, mode_age_s=0.5, limits=LIMITS, limits_age_s=0.5, exits_age_s=0.5, account=ACCOUNT,
    account_age_s=0.5, reconciled=True, reconciled_age_s=30.0, feed=FEED, feed_age_s=0.5, bid=Decimal("49999.9"),
    ask=Decimal(50000), book_age_s=0.1, divergence=Value(value=3.0, age_s=0.2), divergence_age_s=0.3,
)  # fmt: skip


def held(symbol: str = BTC, position: str = "0.010", **changes: Any) -> Exposure:
    fields = {"position": Decimal(position), "told": Decimal(position), "price": Decimal(50000)}
    return Exposure(symbol=symbol, **{**fields, **changes})


def limits(**changes: Any) -> dict[str, Any]:
    return {"limits": replace(LIMITS, **changes)}


def account(**changes: Any) -> dict[str, Any]:
    return {"account": replace(ACCOUNT, **changes)}


def feed(**changes: Any) -> dict[str, Any]:
    return {"feed": replace(FEED, **changes)}


def mode(mode: Mode) -> dict[str, Any]:
    return {"mode": replace(MODE, mode=mode, reason="because")}


# code, changes of the intent, changes of the snapshot: one thing at a time, all else green
ROWS: list[tuple[Code, dict[str, Any], dict[str, Any]]] = [
    (Code.INSTRUMENT_UNKNOWN, {}, {"instrument": None}),
    (Code.UNSUPPORTED, {"kind": OrderKind.STOP_MARKET, "trigger_price": Decimal(51000)}, {}),
    (Code.UNSUPPORTED, {"kind": OrderKind.TAKE_PROFIT_MARKET}, {}),
    (Code.QTY_PRECISION, {"quantity": Decimal("0.0105")}, {}),
    (Code.QTY_PRECISION, {"quantity": Decimal(0)}, {}),
    (Code.QTY_PRECISION, {"quantity": Decimal("-0.010")}, {}),
    (Code.QTY_PRECISION, {"quantity": Decimal("NaN")}, {}),
    (Code.QTY_PRECISION, {"quantity": Decimal("1E+40")}, {}),
    (Code.DUPLICATE_INTENT, {}, {"twin": "momentum:s0"}),
    (Code.REDUCE_ONLY_INCREASES, {"reduce_only": True}, {}),
    (Code.REDUCE_ONLY_INCREASES, {"reduce_only": True, "side": Side.SELL}, {"exposures": (held(position="0.009"),)}),
    (Code.REDUCE_ONLY_INCREASES, {"reduce_only": True, "side": Side.BUY}, {"exposures": (held(),)}),
    (Code.ESS_ACTIVE, {}, {"ess": EssState.TRIGGERED}),
    (Code.ESS_ACTIVE, {}, {"ess": EssState.LOCKED}),
    (Code.SHUTTING_DOWN, {}, {"ending": "an operator's order (down)"}),
    (Code.MODE_UNKNOWN, {}, {"mode": None}),
    (Code.MODE_UNKNOWN, {}, {"mode_age_s": 3.1}),
    (Code.MODE_UNKNOWN, {}, {"mode_age_s": float("nan")}),
    (Code.MODE_UNKNOWN, {}, {"mode": replace(MODE, valid_until_ns=NOW_NS - 1)}),
    (Code.MODE_REDUCE_ONLY, {}, mode(Mode.REDUCE_ONLY)),
    (Code.MODE_HALT_NEW, {}, mode(Mode.HALT_NEW)),
    (Code.MODE_STOP, {}, mode(Mode.STOP)),
    (Code.LIMITS_UNKNOWN, {}, {"limits": None}),
    (Code.LIMITS_UNKNOWN, {}, {"limits_age_s": 3.1}),
    (Code.LIMITS_UNKNOWN, {}, limits(valid_until_ns=NOW_NS - 1)),
    (Code.RISK_HALTED, {}, limits(multiplier=Decimal(0), reason="equity is unknown")),
    (Code.EXITS_UNKNOWN, {}, {"exits_age_s": float("inf")}),
    (Code.EXITS_UNKNOWN, {}, {"exits_age_s": 3.1}),
    (Code.EXITS_UNKNOWN, {}, {"exits_age_s": float("nan")}),
    (Code.SNAPSHOT_STALE, {}, {"account": None}),
    (Code.SNAPSHOT_STALE, {}, {"account_age_s": 3.1}),
    (Code.NOT_RECONCILED, {}, {"reconciled": None}),
    (Code.NOT_RECONCILED, {}, {"reconciled": False}),
    (Code.NOT_RECONCILED, {}, {"reconciled_age_s": 181.0}),
    (Code.NOT_RECONCILED, {}, account(reconciled=False)),
    (Code.UNKNOWN_ORDER_PENDING, {}, {"unknown_orders": ("qt-1",)}),
    (Code.DATA_UNKNOWN, {}, {"feed": None}),
    (Code.DATA_UNKNOWN, {}, feed(status=FeedStatus.SYNCING)),
    (Code.DATA_UNKNOWN, {}, feed(status=FeedStatus.PARKED)),
    (Code.DATA_UNKNOWN, {}, {"ask": None}),
    (Code.DATA_UNKNOWN, {}, {"bid": None}),
    (Code.DATA_UNKNOWN, {}, {"bid": Decimal(50001)}),
    (Code.DATA_UNKNOWN, {}, {"exposures": (held(ETH, price=None),)}),
    (Code.DATA_GAP, {}, feed(status=FeedStatus.GAP)),
    (Code.DATA_STALE, {}, feed(status=FeedStatus.STALE)),
    (Code.DATA_STALE, {}, {"feed_age_s": 3.1}),
    (Code.DATA_STALE, {}, feed(age_s=3.1)),
    (Code.DATA_STALE, {}, {"book_age_s": 3.1}),
    (Code.DIVERGENCE_UNKNOWN, {}, {"divergence": None}),
    (Code.DIVERGENCE_UNKNOWN, {}, {"divergence": Stale(age_s=9.0)}),
    (Code.DIVERGENCE_UNKNOWN, {}, {"divergence": Unavailable(reason="too few samples")}),
    (Code.DIVERGENCE_UNKNOWN, {}, {"divergence_age_s": 2.9}),
    (Code.DIVERGENCE, {}, {"divergence": Value(value=-50.1, age_s=0.1)}),
    (Code.DIVERGENCE, {}, {"divergence": Value(value=float("nan"), age_s=0.1)}),
    (Code.PRICE_INVALID, {"kind": OrderKind.LIMIT}, {}),
    (Code.PRICE_INVALID, {"kind": OrderKind.LIMIT, "price": Decimal("50000.05")}, {}),
    (Code.PRICE_INVALID, {"kind": OrderKind.LIMIT, "price": Decimal(-1)}, {}),
    (Code.PRICE_INVALID, {"kind": OrderKind.LIMIT, "price": Decimal("NaN")}, {}),
    (Code.NOTIONAL_MIN, {}, {"instrument": replace(STEPS, min_notional=Decimal(501))}),
    (Code.NOTIONAL_MAX, {"quantity": Decimal("0.021")}, {}),
    (Code.NOTIONAL_MAX, {"quantity": Decimal("0.011")}, limits(multiplier=Decimal("0.5"))),
    (Code.RATE_LIMIT, {}, {"orders_last_minute": 30}),
    (Code.POSITIONS_MAX, {}, {"exposures": (held(ETH), held("SOL/USDT:USDT"))}),
    (Code.POSITIONS_MAX, {}, {"exposures": (held(ETH), held("SOL/USDT:USDT", "0", buying=Decimal("0.01")))}),
    (Code.POSITIONS_MAX, {}, limits(max_positions=0)),
    (Code.OPPOSITE_POSITION, {}, {"exposures": (held(position="-0.010"),)}),
    (Code.OPPOSITE_POSITION, {}, {"exposures": (held(position="0", selling=Decimal("0.010")),)}),
    (Code.OPPOSITE_POSITION, {"side": Side.SELL, "stop_price": Decimal(50100)}, {"exposures": (held(),)}),
    (Code.STOP_MISSING, {"stop_price": None}, {}),
    (Code.STOP_MISSING, {"stop_price": Decimal("NaN")}, {}),
    (Code.STOP_MISSING, {"stop_price": Decimal(50000)}, {}),
    (Code.STOP_MISSING, {"side": Side.SELL}, {}),
    (Code.EQUITY_UNKNOWN, {}, account(equity=None, unknown=(ETH,))),
    (Code.EQUITY_UNKNOWN, {}, account(equity=Decimal(0))),
    (Code.EQUITY_UNKNOWN, {}, account(day_start_equity=None)),
    (Code.EQUITY_UNKNOWN, {}, account(day_start_equity=Decimal(0))),
    (Code.RISK_PER_TRADE, {"stop_price": Decimal(48000)}, {}),
    (Code.RISK_PER_TRADE, {}, limits(risk_per_trade=Decimal("0.00014"))),
    (Code.LEVERAGE, {}, limits(max_leverage=Decimal("0.049"))),
    (Code.LEVERAGE, {}, {"exposures": (held(ETH),), **limits(max_leverage=Decimal("0.099"))}),
    (Code.GROSS_NOTIONAL, {}, {"exposures": (held(ETH, "0.031"),)}),
    (Code.GROSS_NOTIONAL, {}, {"exposures": (held(ETH, "0", buying=Decimal("0.031")),)}),
    (Code.GROSS_NOTIONAL, {}, {"exposures": (held(position="0.021", buying=Decimal("0.010")),)}),
    (Code.DAY_LOSS, {}, account(equity=Decimal(9_950))),
    (Code.SIGNAL_STALE, {"signal_id": ""}, {}),
    (Code.SIGNAL_STALE, {"expires_ns": 0}, {}),
    (Code.EXPIRED, {"expires_ns": NOW_NS - 1}, {}),
    (Code.CONFIDENCE, {"confidence": 0.49}, {}),
    (Code.CONFIDENCE, {"confidence": float("nan")}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "of_intent", "of_snapshot"), ROWS, ids=[f"{i}-{row[0]}" for i, row in enumerate(ROWS)]
)
def test_each_check_denies_with_its_code_and_a_sentence(
    code: Code, of_intent: dict[str, Any], of_snapshot: dict[str, Any]
) -> None:
    decision = check(an_intent(**of_intent), replace(GREEN, **of_snapshot), NOW_NS)
    assert isinstance(decision, Deny)
    assert decision.code is code
    assert len(decision.detail) > 10


def test_a_green_entry_passes_and_every_code_has_a_row() -> None:
    assert check(an_intent(), GREEN, NOW_NS) == Allow()
    assert {row[0] for row in ROWS} == set(Code) - {Code.GATE_ERROR}


@pytest.mark.parametrize(
    ("of_intent", "of_snapshot"),
    [
        ({}, {"mode_age_s": 3.0, "limits_age_s": 3.0, "account_age_s": 3.0, "feed_age_s": 3.0, "book_age_s": 3.0}),
        ({}, {"exits_age_s": 3.0}),
        ({}, {"divergence": Value(value=50.0, age_s=2.0), "divergence_age_s": 1.0}),
        ({"quantity": Decimal("0.020"), "stop_price": Decimal("49950")}, {}),
        ({}, {"orders_last_minute": 29}),
        ({}, {"exposures": (held(ETH),)}),
        ({}, {"exposures": (held(position="0.010"),)}),
        ({}, account(equity=Decimal("9950.01"))),
        ({"expires_ns": NOW_NS}, {}),
        ({"kind": OrderKind.LIMIT, "price": Decimal("50000.1")}, {}),
        ({"side": Side.SELL, "stop_price": Decimal(50100)}, {}),
    ],
)
def test_what_is_just_within_its_limit_passes(of_intent: dict[str, Any], of_snapshot: dict[str, Any]) -> None:
    assert check(an_intent(**of_intent), replace(GREEN, **of_snapshot), NOW_NS) == Allow()


def test_the_document_the_table_and_the_enum_say_the_same_in_the_same_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "risk_gate.md").read_text()
    documented = re.findall(r"^\| ([A-Z_]+) \| .+ \| (yes|no) \|$", page, re.MULTILINE)
    asked = [(str(code), "yes" if row.exits else "no") for row in CHECKS for code in row.codes]
    assert documented == [*asked, ("GATE_ERROR", "yes")]
    assert [code for code, _ in documented] == [str(code) for code in Code]


# --- laws ------------------------------------------------------------------------------------------------------------

bad_news = st.fixed_dictionaries(
    {},
    optional={
        "ess": st.sampled_from(list(EssState)),
        "mode": st.sampled_from([None, *(replace(MODE, mode=m) for m in Mode)]),
        "mode_age_s": st.sampled_from([0.0, 99.0]),
        "limits": st.sampled_from([None, replace(LIMITS, multiplier=Decimal(0)), replace(LIMITS, max_positions=0)]),
        "exits_age_s": st.sampled_from([0.0, float("inf")]),
        "account": st.sampled_from([None, replace(ACCOUNT, equity=None), replace(ACCOUNT, equity=Decimal(1))]),
        "account_age_s": st.sampled_from([0.0, 99.0]),
        "reconciled": st.sampled_from([None, False, True]),
        "unknown_orders": st.sampled_from([(), ("qt-1",)]),
        "feed": st.sampled_from([None, *(replace(FEED, status=s) for s in FeedStatus)]),
        "bid": st.sampled_from([None, Decimal(1)]),
        "ask": st.sampled_from([None, Decimal(2)]),
        "divergence": st.sampled_from([None, Stale(age_s=9.0), Unavailable(reason=""), Value(value=999.0, age_s=0.0)]),
        "orders_last_minute": st.integers(0, 1000),
    },
)
lots = st.integers(1, 50).map(lambda n: Decimal(n) / 1000)


@given(bad_news, lots, lots, st.sampled_from(list(OrderKind)), st.booleans())
def test_an_exit_that_truly_reduces_is_never_blocked(
    news: dict[str, Any], position: Decimal, quantity: Decimal, kind: OrderKind, long: bool
) -> None:
    exposure = held(position=str(position if long else -position), price=None)
    intent = an_exit(
        quantity=min(quantity, position), side=Side.SELL if long else Side.BUY, kind=kind, trigger_price=Decimal(1)
    )
    assert check(intent, replace(GREEN, exposures=(exposure,), **news), NOW_NS) == Allow()


@given(bad_news, lots)
def test_a_protective_stop_passes_before_the_gate_has_heard_of_the_fill(
    news: dict[str, Any], quantity: Decimal
) -> None:
    exposure = held(position="0", buying=quantity)  # approved; the exit brain heard of the fill first
    intent = an_exit(quantity=quantity, kind=OrderKind.STOP_MARKET, trigger_price=Decimal(49900))
    assert check(intent, replace(GREEN, exposures=(exposure,), **news), NOW_NS) == Allow()


@st.composite
def situations(draw: st.DrawFn) -> tuple[OrderIntent, Snapshot]:
    side = draw(st.sampled_from(list(Side)))
    offset = Decimal(draw(st.integers(1, 3000)))
    intent = an_intent(
        side=side, quantity=draw(lots), stop_price=50000 - offset if side is Side.BUY else 50000 + offset
    )
    exposures = tuple(
        held(symbol, str(draw(st.integers(-20, 20)) * Decimal("0.001")), buying=draw(lots) - Decimal("0.001"))
        for symbol in draw(st.sets(st.sampled_from([BTC, ETH, "SOL/USDT:USDT"])))
    )
    news = draw(st.one_of(st.just({}), bad_news))
    return intent, replace(GREEN, exposures=exposures, **news)


TIGHTER: dict[str, Callable[[RiskLimits], Any]] = {
    "max_positions": lambda it: max(it.max_positions - 1, 0),
    "max_order_notional": lambda it: it.max_order_notional / 2,
    "max_gross_notional": lambda it: it.max_gross_notional / 2,
    "max_leverage": lambda it: it.max_leverage / 20,
    "risk_per_trade": lambda it: it.risk_per_trade / 5,
    "day_loss_limit": lambda it: it.day_loss_limit / 2,
    "max_divergence_bps": lambda it: it.max_divergence_bps / 50,
    "orders_per_minute": lambda it: it.orders_per_minute // 2,
    "multiplier": lambda it: it.multiplier / 2,
    "valid_until_ns": lambda it: NOW_NS - 1,
}


@given(situations(), st.sets(st.sampled_from(sorted(TIGHTER)), min_size=1))
def test_a_tighter_limit_never_turns_a_no_into_a_yes(situation: tuple[OrderIntent, Snapshot], names: set[str]) -> None:
    intent, snapshot = situation
    if snapshot.limits is None:
        return
    tighter = replace(snapshot.limits, **{name: TIGHTER[name](snapshot.limits) for name in names})
    if isinstance(check(intent, replace(snapshot, limits=tighter), NOW_NS), Allow):
        assert check(intent, snapshot, NOW_NS) == Allow()


@given(situations())
def test_the_same_question_has_the_same_answer_and_never_an_error(situation: tuple[OrderIntent, Snapshot]) -> None:
    intent, snapshot = situation
    assert check(intent, snapshot, NOW_NS) == check(intent, snapshot, NOW_NS)


# --- the actor -------------------------------------------------------------------------------------------------------

INSTRUMENTS = {
    BTC: {"tick_size": "0.1", "lot_size": "0.001", "min_notional": "5"},
    ETH: {"tick_size": "0.01", "lot_size": "0.001", "min_notional": "5"},
}


class NoLatch:
    """The latch port of a home where nothing happens."""

    def __init__(self, post: Callable[[Message], None], *, home: str) -> None:
        self.now = Latch()

    def close(self) -> None: ...


def a_tick(symbol: str = BTC, price: float = 50000.0) -> Tick:
    return Tick(
        venue=VENUE, symbol=symbol, bid=price - 0.1, ask=price, bid_size=1.0, ask_size=1.0, bid_depth=5.0,
        ask_depth=5.0, bought=0.0, sold=0.0, book_seq=1,
    )  # fmt: skip


def a_reading(base: str = "BTC") -> CrossReading:
    value = Value(value=1.0, age_s=0.1)
    return CrossReading(base=base, basis_bps=value, divergence_bps=value, median_basis_bps=value, samples=100)


RECONCILED = Reconciled(account="main", ok=True, differences=(), at_ns=NOW_NS)
EXITS = ExitsGuarded(account="main")


def green_words(**of_limits: Any) -> list[Message]:
    far = NOW_NS + 10**15
    return [
        replace(LIMITS, valid_until_ns=far, **of_limits), replace(MODE, valid_until_ns=far), EXITS, ACCOUNT,
        RECONCILED, FEED, replace(FEED, symbol=ETH), a_tick(), a_tick(ETH), a_reading(), a_reading("ETH"),
    ]  # fmt: skip


def a_gate(
    *history: Message, latch: Any = NoLatch, home: str = "nowhere", words: list[Message] | None = None
) -> tuple[RiskGate, RecordedContext]:
    ctx = RecordedContext("risk_gate:main", tuple(history))
    ctx.stopped_at = NOW_NS / 1e9
    gate = RiskGate()
    start(gate, ctx, account="main", venue=VENUE, instruments=INSTRUMENTS, approval_key=KEY, home=home, latch=latch)
    give(gate, ctx, *(green_words() if words is None else words))
    return gate, ctx


def of(intent: OrderIntent) -> dict[str, Any]:
    """What the words of this intent's order have in common."""
    return {"client_order_id": client_order_id("main", intent.intent_id, 1), "account": "main", "at_ns": NOW_NS}


def a_fill(intent: OrderIntent, quantity: str | None = None) -> OrderFilled:
    return OrderFilled(
        **of(intent), venue=VENUE, symbol=intent.symbol, trade_id=f"t-{intent.intent_id}-{quantity}", side=intent.side,
        quantity=Decimal(quantity) if quantity else intent.quantity, price=Decimal(50000), fee=Decimal(0),
        fee_currency="USDT",
    )  # fmt: skip


def the_end(intent: OrderIntent) -> OrderCompleted:
    return OrderCompleted(**of(intent), filled_quantity=intent.quantity, average_price=Decimal(50000))


def test_an_approval_is_signed_short_lived_and_for_exactly_this_order() -> None:
    gate, ctx = a_gate()
    (said,) = give(gate, ctx, an_intent())
    assert isinstance(said, OrderApproved)
    assert said.intent == an_intent()
    assert verify(said, KEY.encode())
    assert said.expires_ns - said.approved_ns == 500_000_000
    assert said.snapshot_version == 7
    assert ctx.marks == ["decision"]


def test_a_gate_that_has_heard_nothing_denies_entries_and_passes_exits_and_cancels() -> None:
    gate, ctx = a_gate(words=[])
    entry, leave = give(gate, ctx, an_intent(), an_exit())
    (cancel,) = give(
        gate, ctx, CancelIntent(intent_id="c", account="main", venue=VENUE, symbol=BTC, client_order_id="qt-1")
    )
    assert isinstance(entry, OrderDenied)
    assert entry.code == Code.MODE_UNKNOWN
    assert isinstance(leave, OrderApproved)
    assert isinstance(cancel, CancelApproved)
    assert verify(cancel, KEY.encode())


@pytest.mark.parametrize(
    ("silent", "code"),
    [
        ("TradingMode", Code.MODE_UNKNOWN),
        ("RiskLimits", Code.LIMITS_UNKNOWN),
        ("ExitsGuarded", Code.EXITS_UNKNOWN),
        ("AccountState", Code.SNAPSHOT_STALE),
        ("FeedState", Code.DATA_STALE),
        ("Tick", Code.DATA_STALE),
        ("CrossReading", Code.DIVERGENCE_UNKNOWN),
    ],
)
def test_who_falls_silent_for_more_than_three_seconds_closes_the_gate(silent: str, code: Code) -> None:
    gate, ctx = a_gate()
    ctx.offset_s = 3.01
    give(gate, ctx, *(word for word in green_words() if type(word).__name__ != silent))
    (said,) = give(gate, ctx, an_intent(expires_ns=NOW_NS + 10**12))
    assert isinstance(said, OrderDenied)
    assert said.code == code


def test_while_no_exit_brain_lives_nobody_enters_and_exits_pass() -> None:
    """Trading is halted while a safety child is not ready: entries were approved that nobody would have protected."""
    words = [word for word in green_words() if word is not EXITS]
    gate, ctx = a_gate(a_fill(an_intent(intent_id="old")), words=[*words, replace(EXITS, account="other")])
    entry, leave = give(gate, ctx, an_intent(), an_exit())
    assert isinstance(entry, OrderDenied)
    assert entry.code == Code.EXITS_UNKNOWN
    assert isinstance(leave, OrderApproved)
    more = an_intent(intent_id="momentum:s2", signal_id="s2")
    assert isinstance(give(gate, ctx, EXITS, more)[0], OrderApproved)


@pytest.mark.parametrize(
    ("at_ns", "passes"), [(NOW_NS, True), (NOW_NS - 179 * 10**9, True), (NOW_NS - 181 * 10**9, False), (0, False)]
)
def test_a_comparison_with_the_venue_that_is_recalled_is_as_old_as_it_says(at_ns: int, passes: bool) -> None:
    words = [word for word in green_words() if word is not RECONCILED]
    gate, ctx = a_gate(replace(RECONCILED, at_ns=at_ns), words=words)
    (said,) = give(gate, ctx, an_intent())
    assert (said.code if isinstance(said, OrderDenied) else None) == (None if passes else Code.NOT_RECONCILED)


@pytest.mark.parametrize("status", [status for status in FeedStatus if status is not FeedStatus.LIVE])
def test_while_a_book_is_anything_but_live_entries_are_denied_for_its_data_and_exits_pass(status: FeedStatus) -> None:
    gate, ctx = a_gate(a_fill(an_intent(intent_id="old")))
    give(gate, ctx, replace(FEED, status=status, reason="as told"))
    entry, leave = give(gate, ctx, an_intent(), an_exit())
    assert isinstance(entry, OrderDenied)
    assert entry.code.startswith("DATA_")
    assert isinstance(leave, OrderApproved)
    give(gate, ctx, FEED)
    (again,) = give(gate, ctx, an_intent(intent_id="momentum:s9", signal_id="s9"))
    assert not isinstance(again, OrderDenied) or not again.code.startswith("DATA_")


def test_one_intent_has_one_decision_also_after_a_restart() -> None:
    gate, ctx = a_gate()
    denied = an_intent(intent_id="momentum:s2", signal_id="s2", stop_price=None)
    assert [type(word) for word in give(gate, ctx, an_intent(), denied)] == [OrderApproved, OrderDenied]
    assert give(gate, ctx, an_intent(), denied) == []
    again, after = a_gate(*ctx.published)
    assert give(again, after, an_intent(), denied) == []


def test_a_signal_that_had_its_entry_gets_no_second_one_under_another_name() -> None:
    gate, ctx = a_gate()
    give(gate, ctx, an_intent(), a_fill(an_intent()), the_end(an_intent()))
    (said,) = give(gate, ctx, an_intent(intent_id="other"))
    assert isinstance(said, OrderDenied)
    assert said.code == Code.DUPLICATE_INTENT


def test_the_same_exit_twice_within_a_second_is_one_too_many_until_the_first_has_ended() -> None:
    entry, first = an_intent(), an_exit()
    gate, ctx = a_gate(a_fill(entry))
    retries = [an_exit(intent_id=f"exit:{n}") for n in (2, 3, 4)]
    assert [type(word) for word in give(gate, ctx, first, retries[0])] == [OrderApproved, OrderDenied]
    rejected = OrderRejected(**of(first), reason="no margin")
    assert [type(word) for word in give(gate, ctx, rejected, retries[1])] == [OrderApproved]
    ctx.offset_s = 1.1  # nothing is known of that one, and the position has to go
    assert [type(word) for word in give(gate, ctx, retries[2])] == [OrderApproved]


def test_an_entry_on_its_way_counts_like_a_position_over_a_crash_and_until_its_end() -> None:
    words = green_words(max_positions=1)
    gate, ctx = a_gate(words=words)
    give(gate, ctx, an_intent())
    eth = [an_intent(intent_id=f"e{n}", symbol=ETH, signal_id=f"e{n}") for n in range(4)]
    (said,) = give(gate, ctx, eth[0])
    assert isinstance(said, OrderDenied)
    assert said.code == Code.POSITIONS_MAX
    again, after = a_gate(*ctx.published, words=words)
    (said,) = give(again, after, eth[1])
    assert isinstance(said, OrderDenied)
    assert said.code == Code.POSITIONS_MAX
    expired = OrderExpired(**of(an_intent()), reason="APPROVAL_EXPIRED")
    assert [type(word) for word in give(again, after, expired, eth[2])] == [OrderApproved]


@pytest.mark.parametrize("ending", [OrderCancelled, OrderRejected, OrderExpired])
def test_what_was_filled_before_the_end_stays_and_the_rest_is_released(ending: Any) -> None:
    entry = an_intent(quantity=Decimal("0.018"), stop_price=Decimal(49950))
    gate, ctx = a_gate(words=green_words(max_gross_notional=Decimal(1000)))
    give(gate, ctx, entry, a_fill(entry, "0.004"))
    more = [an_intent(intent_id=f"m{n}", signal_id=f"m{n}", quantity=Decimal("0.016")) for n in range(2)]
    (said,) = give(gate, ctx, more[0])
    assert isinstance(said, OrderDenied)
    assert said.code == Code.GROSS_NOTIONAL
    (said,) = give(gate, ctx, ending(**of(entry), reason="so"), more[1])
    assert isinstance(said, OrderApproved)


def test_an_approval_nobody_could_send_is_released_after_a_minute_and_taken_again_if_it_was_sent() -> None:
    words = green_words(max_positions=1)
    gate, ctx = a_gate(words=words)
    give(gate, ctx, an_intent())
    ctx.offset_s = 61.0
    late = NOW_NS + 100_000_000_000
    eth = [an_intent(intent_id=f"e{n}", symbol=ETH, signal_id=f"e{n}", expires_ns=late) for n in range(2)]
    submitted = OrderSubmitted(client_order_id=client_order_id("main", "momentum:s1", 1), intent=an_intent())
    (approved,) = give(gate, ctx, *words, eth[0])
    assert isinstance(approved, OrderApproved)
    (denied,) = give(gate, ctx, OrderRejected(**of(eth[0]), reason="so"), submitted, eth[1])
    assert isinstance(denied, OrderDenied)
    assert denied.code == Code.POSITIONS_MAX


def test_an_approval_that_was_sent_is_held_as_long_as_it_lives() -> None:
    words = green_words(max_positions=1)
    gate, ctx = a_gate(words=words)
    submitted = OrderSubmitted(client_order_id=client_order_id("main", "momentum:s1", 1), intent=an_intent())
    give(gate, ctx, an_intent(), submitted)
    ctx.offset_s = 3600.0
    eth = an_intent(intent_id="e", symbol=ETH, signal_id="e", expires_ns=NOW_NS + 10**13)
    (denied,) = give(gate, ctx, *words, eth)
    assert isinstance(denied, OrderDenied)
    assert denied.code == Code.POSITIONS_MAX


def test_a_fill_is_counted_once_not_as_position_and_reservation() -> None:
    gate, ctx = a_gate(words=green_words(max_gross_notional=Decimal(1000)))
    more = an_intent(intent_id="m", signal_id="m")
    fill = a_fill(an_intent())
    said = give(gate, ctx, an_intent(), fill, fill, more)  # told twice; 0.010 held, 0.010 wished, 50,000 each
    assert [type(word) for word in said] == [OrderApproved, OrderApproved]


def test_an_end_recalled_before_its_beginning_is_still_the_end() -> None:
    gate, ctx = a_gate()
    (approval,) = give(gate, ctx, an_intent())
    submitted = OrderSubmitted(client_order_id=client_order_id("main", "momentum:s1", 1), intent=an_intent())
    expired = OrderExpired(**of(an_intent()), reason="APPROVAL_EXPIRED")
    again, after = a_gate(expired, approval, submitted, words=green_words(max_positions=1))
    eth = an_intent(intent_id="e", symbol=ETH, signal_id="e")
    assert isinstance(give(again, after, eth)[0], OrderApproved)


def test_an_unknown_order_closes_its_instrument_until_it_is_known() -> None:
    gate, ctx = a_gate()
    unknown = OrderUnknown(
        client_order_id="qt-x", account="main", venue=VENUE, symbol=BTC, reason="no answer", at_ns=NOW_NS
    )
    btc = [an_intent(intent_id=f"b{n}", signal_id=f"b{n}") for n in range(2)]
    (said,) = give(gate, ctx, unknown, btc[0])
    assert isinstance(said, OrderDenied)
    assert said.code == Code.UNKNOWN_ORDER_PENDING
    assert isinstance(give(gate, ctx, an_intent(intent_id="e", symbol=ETH, signal_id="e"))[0], OrderApproved)
    known = OrderAccepted(client_order_id="qt-x", account="main", venue_order_id="9", at_ns=NOW_NS)
    assert isinstance(give(gate, ctx, known, btc[1])[0], OrderApproved)


def test_the_ledger_and_the_own_fold_are_both_believed_where_they_are_worse() -> None:
    gate, ctx = a_gate()
    short = Position(
        venue=VENUE, symbol=BTC, quantity=Decimal("-0.010"), entry_price=Decimal(50000), realised=Decimal(0),
        fees=Decimal(0),
    )  # fmt: skip
    (said,) = give(gate, ctx, replace(ACCOUNT, positions=(short,)), an_intent())
    assert isinstance(said, OrderDenied)
    assert said.code == Code.OPPOSITE_POSITION
    assert isinstance(give(gate, ctx, an_exit(side=Side.BUY))[0], OrderApproved)


def test_entries_are_counted_over_the_last_minute_of_market_time() -> None:
    gate, ctx = a_gate(words=green_words(orders_per_minute=1))
    give(gate, ctx, an_intent(), OrderRejected(**of(an_intent()), reason="no"))
    late = NOW_NS + 10**12
    more = [an_intent(intent_id=f"m{n}", signal_id=f"m{n}", expires_ns=late) for n in range(2)]
    (said,) = give(gate, ctx, more[0])
    assert isinstance(said, OrderDenied)
    assert said.code == Code.RATE_LIMIT
    ctx.offset_s = 60.5
    assert isinstance(give(gate, ctx, *green_words(orders_per_minute=1), more[1])[0], OrderApproved)


@pytest.mark.parametrize(("approved_s_later", "code"), [(59, Code.RATE_LIMIT), (3_600, None), (-61, None)])
def test_an_approval_of_a_former_life_counts_only_within_a_minute_of_now(
    approved_s_later: int, code: Code | None
) -> None:
    """A home where the market of today was traded may replay a recording of years ago."""
    gate, ctx = a_gate()
    (approval,) = give(gate, ctx, an_intent())
    ended = OrderExpired(**of(an_intent()), reason="APPROVAL_EXPIRED")
    other = replace(approval, approved_ns=NOW_NS + approved_s_later * 10**9)
    again, after = a_gate(other, ended, words=green_words(orders_per_minute=1))
    (said,) = give(again, after, an_intent(intent_id="m", signal_id="m"))
    assert (said.code if isinstance(said, OrderDenied) else None) == code


def test_a_broken_price_denies_the_entry_and_not_the_exit() -> None:
    gate, ctx = a_gate(a_fill(an_intent(intent_id="old")))
    give(gate, ctx, replace(a_tick(), ask=float("nan")))
    entry, leave = give(gate, ctx, an_intent(), an_exit())
    assert isinstance(entry, OrderDenied)
    assert entry.code == Code.DATA_UNKNOWN
    assert isinstance(leave, OrderApproved)


def test_a_check_that_breaks_is_a_denial_and_the_gate_goes_on() -> None:
    gate, ctx = a_gate()
    broken = replace(LIMITS, valid_until_ns=NOW_NS + 10**15, max_order_notional="a lot")
    (said,) = give(gate, ctx, broken, an_intent())
    assert isinstance(said, OrderDenied)
    assert said.code == Code.GATE_ERROR
    assert "TypeError" in said.detail
    again = an_intent(intent_id="momentum:s2", signal_id="s2")
    assert isinstance(give(gate, ctx, *green_words(), again)[0], OrderApproved)


def test_other_accounts_are_not_our_business() -> None:
    gate, ctx = a_gate()
    assert give(gate, ctx, an_intent(account="other"), replace(ACCOUNT, account="other", equity=None)) == []
    assert isinstance(give(gate, ctx, an_intent())[0], OrderApproved)


def test_the_emergency_stop_on_disk_closes_the_gate_within_a_moment(tmp_path: Path) -> None:
    gate, ctx = a_gate(a_fill(an_intent(intent_id="old")), latch="actors.latch:watch", home=str(tmp_path))
    try:
        write_latch(tmp_path, Latch(state=EssState.TRIGGERED, reason="a person said so", who="test"))
        seen: list[Message] = []
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            message = ctx.next(0.1)
            if isinstance(message, LatchSeen):
                seen.append(message)
        entry, leave = give(gate, ctx, *seen, an_intent(), an_exit())
        assert isinstance(entry, OrderDenied)
        assert entry.code == Code.ESS_ACTIVE
        assert "a person said so" in entry.detail
        assert isinstance(leave, OrderApproved)
    finally:
        gate.terminate("test")


def test_once_the_server_ends_nobody_enters_and_exits_pass() -> None:
    gate, ctx = a_gate(a_fill(an_intent(intent_id="old")))
    begun = PhaseBegun(phase="stop-intake", reason="an operator's order (down)", within_s=2.0)
    entry, leave = give(gate, ctx, begun, an_intent(), an_exit())
    assert ctx.phases_done == ["stop-intake"]
    assert isinstance(entry, OrderDenied)
    assert entry.code == Code.SHUTTING_DOWN
    assert isinstance(leave, OrderApproved)


def test_settings_that_cannot_be_are_refused_at_start() -> None:
    with pytest.raises(ValueError, match="has 3 bytes"):
        start(
            RiskGate(), RecordedContext(), account="main", venue=VENUE, instruments=INSTRUMENTS, approval_key="abc",
            home="nowhere", latch=NoLatch,
        )  # fmt: skip


# An order's life as the venue makes it, interleaved at will with wishes of two strategies.
moves = st.lists(
    st.tuples(st.sampled_from(["wish", "wish", "wish", "fill", "complete", "reject", "crash"]), st.integers(0, 10**6)),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(moves)
def test_positions_and_reservations_never_exceed_a_limit_under_any_interleaving(steps: list[tuple[str, int]]) -> None:
    gate, ctx = a_gate(words=green_words(max_gross_notional=Decimal(1500)))
    left: dict[str, tuple[OrderIntent, Decimal]] = {}  # approved and not ended: what the venue may still fill
    positions: dict[str, Decimal] = {}
    words: list[Message] = []

    def tell(word: Message) -> None:
        words.append(word)
        give(gate, ctx, word)

    for n, (move, chance) in enumerate(steps):
        if move == "crash":
            gate, ctx = a_gate(
                *ctx.history, *ctx.published, *words, words=green_words(max_gross_notional=Decimal(1500))
            )
            words = []
        elif move == "wish":
            side = (Side.BUY, Side.SELL)[chance % 2]
            wish = an_intent(
                intent_id=f"i{n}", signal_id=f"s{n}", strategy=("a", "b")[chance // 2 % 2],
                symbol=(BTC, ETH)[chance // 4 % 2], side=side, quantity=Decimal(chance % 20 + 1) / 1000,
                stop_price=Decimal(49950 if side is Side.BUY else 50050),
            )  # fmt: skip
            (said,) = give(gate, ctx, wish)
            if isinstance(said, OrderApproved):
                left[wish.intent_id] = (wish, wish.quantity)
        elif left:
            wish, rest = left[sorted(left)[chance % len(left)]]
            if move == "fill" and rest:
                part = min(rest, Decimal(chance % 7 + 1) / 1000)
                change = part if wish.side is Side.BUY else -part
                positions[wish.symbol] = positions.get(wish.symbol, Decimal(0)) + change
                left[wish.intent_id] = (wish, rest - part)
                tell(replace(a_fill(wish, str(part)), trade_id=f"t{n}"))
            elif move == "complete" and not rest:
                del left[wish.intent_id]
                tell(the_end(wish))
            elif move == "reject":
                del left[wish.intent_id]
                tell(OrderRejected(**of(wish), reason="so"))
        worst = sum((abs(quantity) for quantity in positions.values()), Decimal(0))
        worst += sum((rest for _, rest in left.values()), Decimal(0))
        assert worst * 50000 <= 1500
