"""The executor at a real simulated venue through unmodified ccxt: the happy ways, and those that lose answers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.ess import trigger
from actors.execution import Execution
from actors.messages.account import Reconciled, VenueAccount
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
from actors.rules.approval import sign
from actors.rules.orders import client_order_id
from actors.venues import exchange
from supervisor.message import Message
from tests.actors.recorded import RecordedContext, give, run_until, start
from tests.actors.venue import Venue, venue

KEY = b"k" * 32
SYMBOL = "BTC/USDT:USDT"
numbers = itertools.count(1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Venue]:
    with venue(tmp_path / "venue") as running:
        yield running


class Running:
    """An executor on a recording context, speaking to the venue for real."""

    def __init__(self, home: Path, url: str, history: list[Message] | None = None, ready: bool = True) -> None:
        self.ctx = RecordedContext("execution:main", tuple(history or ()))
        self.actor = Execution()
        start(
            self.actor,
            self.ctx,
            account="main",
            venue="binanceusdm",
            product="usdm",
            symbols=(SYMBOL, "ETH/USDT:USDT"),
            approval_key=KEY,
            home=str(home),
            url=url,
        )
        if ready:
            run_until(self.actor, self.ctx, lambda: self.ctx.is_ready)

    def until(self, done: Callable[[], Any], timeout_s: float = 30.0) -> None:
        run_until(self.actor, self.ctx, done, timeout_s)

    def order(self, approval: OrderApproved, *ends: type[Message]) -> list[Message]:
        """Give it; run until one of each `ends` was said about this order."""
        name = client_order_id("main", approval.intent.intent_id, 1)
        give(self.actor, self.ctx, approval)
        self.until(lambda: all(self.said(name, kind) for kind in ends))
        return self.said(name)

    def said(self, name: str, *kinds: type[Message]) -> list[Message]:
        words = [m for m in self.ctx.published if getattr(m, "client_order_id", None) == name]
        return [m for m in words if not kinds or isinstance(m, kinds)]

    def stop(self) -> list[Message]:
        self.actor.terminate("end of test")
        return [*self.ctx.history, *self.ctx.published]


@pytest.fixture
def executor(tmp_path: Path, served: Venue) -> Iterator[Running]:
    running = Running(tmp_path / "home", served.url)
    yield running
    running.stop()


def approved(lives_s: float = 30.0, **changes: Any) -> OrderApproved:
    now = time.time_ns()
    fields: dict[str, Any] = {
        "intent_id": f"wish-{next(numbers)}",
        "account": "main",
        "strategy": "test",
        "venue": "binanceusdm",
        "symbol": SYMBOL,
        "side": Side.BUY,
        "kind": OrderKind.MARKET,
        "quantity": Decimal("0.010"),
    }
    unsigned = OrderApproved(
        intent=OrderIntent(**{**fields, **changes}),
        approval_id="a",
        approved_ns=now,
        expires_ns=now + int(lives_s * 1e9),
        snapshot_version=1,
        signature="",
    )
    return sign(unsigned, KEY)


def cancel_of(approval: OrderApproved) -> CancelApproved:
    name = client_order_id("main", approval.intent.intent_id, 1)
    wish = CancelIntent(intent_id="c", account="main", venue="binanceusdm", symbol=SYMBOL, client_order_id=name)
    return sign(CancelApproved(intent=wish, approved_ns=time.time_ns(), signature=""), KEY)


def resting(served: Venue, **changes: Any) -> OrderApproved:
    price = Decimal(f"{served.price('usdm', 'BTCUSDT') * 0.9:.1f}")
    return approved(kind=OrderKind.LIMIT, price=price, **changes)


def protecting(served: Venue, away: float, **changes: Any) -> OrderApproved:
    price = Decimal(f"{served.price('usdm', 'BTCUSDT') - away:.1f}")
    fields = {"side": Side.SELL, "kind": OrderKind.STOP_MARKET, "trigger_price": price, "reduce_only": True, **changes}
    return approved(**fields)


def person(served: Venue) -> Any:
    """Another hand on the same account."""
    hand = exchange.plain("usdm", served.url, "sim-key", "sim-secret")
    hand.load_markets()
    return hand


def kinds(words: list[Message]) -> list[type[Message]]:
    return [type(word) for word in words]


@pytest.mark.process
def test_a_market_order_is_submitted_accepted_filled_and_completed_in_that_order(executor: Running) -> None:
    words = executor.order(approved(), OrderCompleted)
    assert kinds(words)[:2] == [OrderSubmitted, OrderAccepted]
    assert kinds(words)[-1] is OrderCompleted
    fills = [word for word in words if isinstance(word, OrderFilled)]
    assert sum(fill.quantity for fill in fills) == Decimal("0.010")
    assert all(fill.fee > 0 and fill.fee_currency == "USDT" for fill in fills)


@pytest.mark.process
def test_stops_and_limits_rest_and_are_cancelled_by_our_id(executor: Running, served: Venue) -> None:
    executor.order(approved(), OrderCompleted)
    for approval in (protecting(served, 5000), resting(served)):
        executor.order(approval, OrderAccepted)
        give(executor.actor, executor.ctx, cancel_of(approval))
        name = client_order_id("main", approval.intent.intent_id, 1)
        executor.until(lambda name=name: executor.said(name, OrderCancelled))
        assert len(executor.said(name, OrderCancelled)) == 1


@pytest.mark.process
def test_a_stop_that_triggers_is_filled_under_the_stops_own_id(executor: Running, served: Venue) -> None:
    executor.order(approved(), OrderCompleted)
    names: list[str] = []

    def bracket(kind: OrderKind, away: float) -> None:
        # so near that it triggers soon; the market may pass it before it is placed, then it is asked for again
        approval = protecting(served, away, kind=kind)
        give(executor.actor, executor.ctx, approval)
        names.append(client_order_id("main", approval.intent.intent_id, 1))
        executor.until(lambda: executor.said(names[-1], OrderAccepted, OrderRejected))

    def filled() -> list[OrderFilled]:
        return [word for name in names for word in executor.said(name, OrderFilled) if isinstance(word, OrderFilled)]

    for attempt in range(20):
        bracket(OrderKind.STOP_MARKET, 2.0 + attempt)
        bracket(OrderKind.TAKE_PROFIT_MARKET, -2.0 - attempt)
        if filled() or all(executor.said(name, OrderAccepted) for name in names[-2:]):
            break  # one on each side: with one alone the market may leave in the other direction for good
    executor.until(filled, 60.0)
    assert {(fill.side, fill.reduce_only) for fill in filled()} == {(Side.SELL, True)}
    executor.until(lambda: executor.actor.books.positions[SYMBOL] == 0)
    assert sum(fill.quantity for fill in filled()) == Decimal("0.010")


@pytest.mark.process
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": Decimal("0.01000001")}, "not on the venue's grid"),
        ({"quantity": Decimal("90")}, "InsufficientFunds"),
        ({"reduce_only": True, "side": Side.SELL}, "-2022"),
        ({"symbol": "DOGE/USDT:USDT"}, "BadSymbol"),
    ],
)
def test_what_the_venue_refuses_for_sure_is_rejected_with_its_reason(
    executor: Running, changes: dict[str, Any], reason: str
) -> None:
    words = executor.order(approved(**changes), OrderRejected)
    assert kinds(words) == [OrderSubmitted, OrderRejected]
    assert reason in words[-1].reason  # type: ignore[attr-defined]


@pytest.mark.process
@pytest.mark.parametrize("stream_silent", [False, True])
def test_an_answer_lost_after_the_order_was_executed_is_found_by_our_id_and_not_sent_again(
    executor: Running, served: Venue, stream_silent: bool
) -> None:
    if stream_silent:
        served.fault("abort", stream="user", product="usdm")
    served.fault("timeout", when="after", path="/order", product="usdm")
    approval = approved()
    executor.order(approval, OrderCompleted)
    name = client_order_id("main", approval.intent.intent_id, 1)
    placed = [row for row in person(served).fetch_orders(SYMBOL) if row["clientOrderId"] == name]
    assert len(placed) == 1
    assert not executor.said(name, OrderUnknown, OrderRejected, OrderExpired)


@pytest.mark.process
def test_a_resting_order_that_never_arrived_is_sent_again_under_the_same_id(executor: Running, served: Venue) -> None:
    served.fault("timeout", when="before", path="/order", product="usdm")
    # "before" executes nothing at this venue: the request is lost
    approval = resting(served)
    words = executor.order(approval, OrderAccepted)
    assert kinds(words) == [OrderSubmitted, OrderAccepted]
    name = client_order_id("main", approval.intent.intent_id, 1)
    assert [row["clientOrderId"] for row in person(served).fetch_open_orders(SYMBOL)] == [name]


@pytest.mark.process
def test_too_many_requests_means_later_not_never(executor: Running, served: Venue) -> None:
    served.fault("status", status=429, path="/order", product="usdm", retry_after=1)
    words = executor.order(approved(), OrderCompleted)
    assert OrderRejected not in kinds(words)


@pytest.mark.process
def test_what_is_unsigned_late_or_stopped_never_reaches_the_wire(
    executor: Running, served: Venue, tmp_path: Path
) -> None:
    good = approved()
    bad = sign(good, b"x" * 32)
    assert [m.code for m in give(executor.actor, executor.ctx, bad) if isinstance(m, OrderDenied)] == [
        "APPROVAL_UNSIGNED"
    ]
    late = give(executor.actor, executor.ctx, approved(lives_s=-1.0))
    assert kinds(late) == [OrderDenied, OrderExpired]
    executor.order(approved(), OrderCompleted)
    trigger(tmp_path / "home", "test", "drill")
    executor.until(lambda: executor.actor.ess == "TRIGGERED")
    stopped = give(executor.actor, executor.ctx, approved())
    assert [m.code for m in stopped if isinstance(m, OrderDenied)] == ["ESS_LATCHED"]
    assert not [m for m in (*late, *stopped) if isinstance(m, OrderSubmitted)]
    words = executor.order(approved(side=Side.SELL, reduce_only=True), OrderCompleted)  # exits always pass
    assert kinds(words)[0] is OrderSubmitted
    assert len(person(served).fetch_orders(SYMBOL)) == 2


@pytest.mark.process
def test_an_approval_delivered_twice_is_one_order(executor: Running, served: Venue) -> None:
    approval = approved()
    executor.order(approval, OrderCompleted)
    assert give(executor.actor, executor.ctx, approval) == []
    assert len(person(served).fetch_orders(SYMBOL)) == 1


@pytest.mark.process
def test_fills_that_the_lost_stream_did_not_tell_are_found_by_reconciliation(executor: Running, served: Venue) -> None:
    before = len(executor.ctx.of(Reconciled))
    assert served.fault("abort", stream="user", product="usdm") == 1
    hand = person(served)
    hand.create_order(SYMBOL, "market", "buy", "0.030")  # nobody of ours: the fill is told all the same
    executor.until(lambda: executor.actor.books.positions.get(SYMBOL) == Decimal("0.030"))
    executor.until(lambda: len(executor.ctx.of(Reconciled)) > before)
    assert executor.ctx.of(Reconciled)[-1].ok
    assert len({fill.trade_id for fill in executor.ctx.of(OrderFilled)}) == len(executor.ctx.of(OrderFilled))
    assert executor.ctx.of(VenueAccount)[-1].positions[0][:2] == (SYMBOL, Decimal("0.030"))


@pytest.mark.process
def test_a_dead_listen_key_is_replaced_and_the_stream_tells_again(executor: Running, served: Venue) -> None:
    served.fault("kill_listen_key")
    executor.until(lambda: not executor.actor.stream_up)
    executor.until(lambda: executor.actor.stream_up)
    executor.order(approved(), OrderCompleted)


@pytest.mark.process
def test_a_restart_adopts_what_arrived_and_sends_what_never_left(tmp_path: Path, served: Venue) -> None:
    first = Running(tmp_path / "home", served.url)
    first.order(approved(), OrderCompleted)
    history = first.stop()
    # two orders were committed and the process died: one had left already, one had not
    left, kept = resting(served), resting(served)
    for approval in (left, kept):
        name = client_order_id("main", approval.intent.intent_id, 1)
        history += [
            approval,
            OrderSubmitted(client_order_id=name, intent=approval.intent, attempt=1, submitted_ns=time.time_ns()),
        ]
    name = client_order_id("main", left.intent.intent_id, 1)
    price = str(left.intent.price)
    person(served).create_order(SYMBOL, "limit", "buy", "0.010", price, {"newClientOrderId": name})
    second = Running(tmp_path / "home", served.url, history)
    try:
        for approval in (left, kept):
            name = client_order_id("main", approval.intent.intent_id, 1)
            second.until(lambda name=name: second.said(name, OrderAccepted))
        assert len(person(served).fetch_open_orders(SYMBOL)) == 2
        assert second.ctx.of(OrderFilled) == []  # nothing is told twice
        assert second.ctx.of(Reconciled)[-1].ok
    finally:
        second.stop()


@pytest.mark.process
def test_an_account_with_a_past_opens_with_its_position_and_not_with_its_history(tmp_path: Path, served: Venue) -> None:
    hand = person(served)
    hand.create_order(SYMBOL, "market", "buy", "0.050")
    hand.create_order(SYMBOL, "market", "sell", "0.020")
    first = Running(tmp_path / "home", served.url)
    opening = first.ctx.of(OrderFilled)
    assert [(fill.trade_id, fill.quantity, fill.fee) for fill in opening] == [
        (f"opening-{SYMBOL}", Decimal("0.03"), Decimal(0))
    ]
    second = Running(tmp_path / "home", served.url, first.stop())
    assert second.ctx.of(OrderFilled) == []
    assert second.ctx.of(Reconciled)[-1].ok
    second.stop()


@pytest.mark.process
def test_a_venue_that_is_away_keeps_it_not_ready_and_is_no_crash(tmp_path: Path) -> None:
    with venue(tmp_path / "venue") as served:
        port = served.port
    running = Running(tmp_path / "home", f"http://127.0.0.1:{port}", ready=False)
    try:
        running.until(lambda: running.actor.failures >= 1)
        assert not running.ctx.is_ready
        with venue(tmp_path / "venue", port=port):
            running.until(lambda: running.ctx.is_ready, 60.0)
    finally:
        running.stop()
