"""Exits: one plan over many histories (a small venue answers at random), then the actor's story in scenes."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.exit_brain import BARE_S, ExitBrain
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
    OrderKind,
    OrderRejected,
    OrderSubmitted,
    Side,
)
from actors.rules.exits import LOST_S, MAX_FAILURES, Settings, levels, tighter
from actors.rules.orders import client_order_id
from supervisor.message import Message
from tests.actors.recorded import RecordedContext, give, start

BTC = "BTC/USDT:USDT"
VENUE = "binanceusdm"
INSTRUMENTS = {BTC: {"tick_size": "0.1", "lot_size": "0.001", "min_notional": "5"}}
GRID = Settings(
    tick=Decimal("0.1"), min_stop_bps=Decimal(10), take_profit_r=Decimal(2), max_holding_s=60.0
)  # fmt: skip
D = Decimal


class Desk:
    """Gate, executor and venue in one: takes the brain's intents and answers as the test says."""

    def __init__(self, history: tuple[Message, ...] = ()) -> None:
        self.ctx = RecordedContext("exit_brain:main", history)
        self.ctx.stopped_at = 1_000_000.0
        self.brain = ExitBrain()
        self.trades = 0
        self.record = list(history)  # what was heard and said, in the order of the commits
        start(self.brain, self.ctx, account="main", venue=VENUE, instruments=INSTRUMENTS)

    def tell(self, *words: Message) -> list[Message]:
        said: list[Message] = []
        for word in words:
            self.record.append(word)
            said += self.give(word)
        return said

    def give(self, word: Message) -> list[Message]:
        said = give(self.brain, self.ctx, word)
        self.record += said
        return said

    def fill(self, side: Side, quantity: str, price: str, order: str = "entry") -> list[Message]:
        self.trades += 1
        word = OrderFilled(
            client_order_id=order, account="main", venue=VENUE, symbol=BTC, trade_id=str(self.trades), side=side,
            quantity=D(quantity), price=D(price), fee=D(0), fee_currency="USDT", at_ns=int(self.ctx.now() * 1e9),
        )  # fmt: skip
        return self.tell(word)

    def enter(self, stop: str | None, side: Side = Side.BUY) -> None:
        """The entry's order goes out, sized for this stop."""
        intent = OrderIntent(
            intent_id="e", account="main", strategy="momentum", venue=VENUE, symbol=BTC, side=side,
            kind=OrderKind.MARKET, quantity=D("0.002"), stop_price=D(stop) if stop else None,
        )  # fmt: skip
        self.tell(OrderSubmitted(client_order_id="entry", intent=intent))

    def submit(self, intent: OrderIntent) -> list[Message]:
        return self.tell(OrderSubmitted(client_order_id=id_of(intent), intent=intent))

    def accept(self, *intents: OrderIntent) -> list[Message]:
        said: list[Message] = []
        for intent in intents:
            said += self.submit(intent)
            word = OrderAccepted(client_order_id=id_of(intent), account="main", venue_order_id="v", at_ns=1)
            said += self.tell(word)
        return said

    def pass_s(self, seconds: float) -> list[Message]:
        """What it says by the second, besides that it lives."""
        self.ctx.offset_s += seconds
        return [word for word in self.give(SecondPassed()) if not isinstance(word, ExitsGuarded)]

    def tick(self, bid: float, ask: float) -> list[Message]:
        word = Tick(
            venue=VENUE, symbol=BTC, bid=bid, ask=ask, bid_size=1.0, ask_size=1.0, bid_depth=1.0, ask_depth=1.0,
            bought=0.0, sold=0.0, book_seq=1,
        )  # fmt: skip
        return self.give(word)

    def crashed(self) -> Desk:
        """A new incarnation over the same record: everything said and heard, in order of handling."""
        again = Desk(tuple(self.record))
        again.trades = self.trades
        again.ctx.offset_s = self.ctx.offset_s
        return again


def id_of(intent: OrderIntent) -> str:
    return client_order_id("main", intent.intent_id, 1)


def orders(words: list[Message]) -> dict[OrderKind, OrderIntent]:
    return {word.kind: word for word in words if isinstance(word, OrderIntent)}


def cancels(words: list[Message]) -> list[str]:
    return [word.client_order_id for word in words if isinstance(word, CancelIntent)]


def cancelled(intent: OrderIntent) -> OrderCancelled:
    return OrderCancelled(client_order_id=id_of(intent), account="main", reason="asked", at_ns=1)


def denied(intent: OrderIntent) -> OrderDenied:
    return OrderDenied(
        intent_id=intent.intent_id, account="main", venue=VENUE, symbol=BTC, code="X", detail="test", denied_ns=1
    )


def protected() -> tuple[Desk, OrderIntent, OrderIntent]:
    """Long 0.002 at 60,000 with both legs at rest."""
    desk = Desk()
    desk.enter("59900")
    legs = orders(desk.fill(Side.BUY, "0.002", "60000"))
    stop, take = legs[OrderKind.STOP_MARKET], legs[OrderKind.TAKE_PROFIT_MARKET]
    assert desk.accept(stop, take) == []
    return desk, stop, take


# --- the levels ------------------------------------------------------------------------------------------------------

prices = st.integers(10_000, 1_000_000).map(lambda n: D(n) / 10)
sides = st.sampled_from([1, -1])


@given(sides, prices, st.one_of(st.none(), prices), st.one_of(st.none(), prices))
def test_a_stop_is_on_the_tick_at_least_the_minimum_away_and_never_looser_than_before(
    side: int, entry: Decimal, hint: Decimal | None, before: Decimal | None
) -> None:
    stop, take = levels(side, entry, hint, before, GRID)

    assert stop % GRID.tick == 0
    assert take % GRID.tick == 0
    if before is None:
        assert side * (entry - stop) >= entry * D("0.001")
    else:
        assert tighter(side, stop, before) == stop, "it loosened"
    assert side * (take - entry) >= 2 * entry * D("0.001") - GRID.tick


@pytest.mark.parametrize(
    ("side", "hint", "stop", "take"),
    [
        (1, "59800", "59800.0", "60400.0"),
        (-1, "60200", "60200.0", "59600.0"),
        (1, "59999", "59940.0", "60120.0"),  # too near: the minimum of 10 bps
        (1, "60100", "59940.0", "60120.0"),  # on the wrong side: nothing to go by
        (1, None, "59940.0", "60120.0"),
        (1, "NaN", "59940.0", "60120.0"),
    ],
)
def test_the_stop_is_where_the_entry_was_sized_for(side: int, hint: str | None, stop: str, take: str) -> None:
    assert levels(side, D(60_000), D(hint) if hint else None, None, GRID) == (D(stop), D(take))


# --- the story -------------------------------------------------------------------------------------------------------


def test_a_fill_is_protected_in_the_same_transaction() -> None:
    desk = Desk()
    desk.enter("59900")
    legs = orders(desk.fill(Side.BUY, "0.002", "60000"))

    stop, take = legs[OrderKind.STOP_MARKET], legs[OrderKind.TAKE_PROFIT_MARKET]
    assert (stop.side, stop.quantity, stop.trigger_price) == (Side.SELL, D("0.002"), D("59900.0"))
    assert (take.side, take.quantity, take.trigger_price) == (Side.SELL, D("0.002"), D("60200.0"))
    assert stop.reduce_only
    assert take.reduce_only
    assert stop.strategy == "exit"
    assert [stop.intent_id, take.intent_id] == [f"main:{BTC}:1:stop:1", f"main:{BTC}:1:take:2"]


def test_a_short_is_protected_above_and_takes_profit_below() -> None:
    legs = orders(Desk().fill(Side.SELL, "0.002", "60000"))
    assert legs[OrderKind.STOP_MARKET].trigger_price == D("60060.0")
    assert legs[OrderKind.TAKE_PROFIT_MARKET].trigger_price == D("59880.0")
    assert legs[OrderKind.STOP_MARKET].side is Side.BUY


def test_a_second_fill_cancels_and_asks_anew_only_when_the_end_of_the_old_leg_is_known() -> None:
    desk = Desk()
    desk.enter("59900")
    first = orders(desk.fill(Side.BUY, "0.001", "60000"))
    stop, take = first[OrderKind.STOP_MARKET], first[OrderKind.TAKE_PROFIT_MARKET]
    assert desk.fill(Side.BUY, "0.001", "60000") == [], "the old legs are still on their way"

    assert cancels(desk.accept(stop, take)) == [id_of(stop), id_of(take)]
    after_stop = orders(desk.tell(cancelled(stop)))
    assert list(after_stop) == [OrderKind.STOP_MARKET]
    assert after_stop[OrderKind.STOP_MARKET].quantity == D("0.002")
    assert after_stop[OrderKind.STOP_MARKET].intent_id.endswith(":stop:3")
    assert orders(desk.tell(cancelled(take)))[OrderKind.TAKE_PROFIT_MARKET].quantity == D("0.002")


def test_every_second_it_says_that_it_lives_with_and_without_a_position() -> None:
    idle, (busy, *_) = Desk(), protected()
    for desk in (idle, busy):
        for _ in range(3):
            desk.ctx.offset_s += 1.0
            word = desk.ctx.next(0.0)
            assert isinstance(word, SecondPassed)
            assert ExitsGuarded(account="main") in desk.give(word)


def test_when_the_stop_was_filled_the_other_leg_is_cancelled_once() -> None:
    desk, stop, take = protected()
    assert cancels(desk.fill(Side.SELL, "0.002", "59900", id_of(stop))) == [id_of(take)]
    done = OrderCompleted(
        client_order_id=id_of(stop), account="main", filled_quantity=D("0.002"), average_price=None, at_ns=1
    )
    assert desk.tell(done) == []
    assert desk.tell(cancelled(take)) == []
    assert desk.pass_s(100.0) == [], "flat: nothing more to do"


def test_a_partly_filled_stop_that_is_cancelled_is_asked_for_again_for_what_is_left() -> None:
    desk, stop, take = protected()
    assert cancels(desk.fill(Side.SELL, "0.001", "59900", id_of(stop))) == [id_of(take)]
    legs = orders(desk.tell(cancelled(stop)))
    assert legs == {} or legs[OrderKind.STOP_MARKET].quantity == D("0.001")
    legs |= orders(desk.pass_s(1.1))
    assert legs[OrderKind.STOP_MARKET].quantity == D("0.001")


def test_after_its_time_the_whole_position_is_closed_at_the_market_once() -> None:
    desk, _, _ = protected()
    assert desk.pass_s(59.0) == []
    (close,) = desk.pass_s(1.5)
    assert isinstance(close, OrderIntent)
    assert (close.kind, close.side, close.quantity, close.reduce_only) == (
        OrderKind.MARKET, Side.SELL, D("0.002"), True,
    )  # fmt: skip
    assert desk.pass_s(1.0) == []
    desk.accept(close)
    assert len(cancels(desk.fill(Side.SELL, "0.002", "60000", id_of(close)))) == 2


def test_while_a_close_is_under_way_a_stop_that_ends_is_not_asked_for_again_and_comes_back_if_the_close_fails() -> None:
    desk, stop, _ = protected()
    (close,) = desk.pass_s(61.0)
    assert isinstance(close, OrderIntent)
    assert orders(desk.tell(OrderExpired(client_order_id=id_of(stop), account="main", reason="x", at_ns=1))) == {}
    assert orders(desk.tell(denied(close))) == {}
    assert OrderKind.MARKET in orders(desk.pass_s(1.0)), "a close is never given up"


def test_an_intent_nobody_answers_is_given_up_and_when_it_comes_to_life_after_all_it_is_cancelled() -> None:
    desk = Desk()
    first = orders(desk.fill(Side.BUY, "0.002", "60000"))[OrderKind.STOP_MARKET]
    assert orders(desk.pass_s(LOST_S)) == {}
    assert orders(desk.pass_s(0.5)) == {}
    second = orders(desk.pass_s(1.0))[OrderKind.STOP_MARKET]
    assert second.intent_id != first.intent_id
    assert cancels(desk.accept(second)) == []
    assert cancels(desk.accept(first)) == [id_of(first)]
    assert desk.tell(cancelled(first)) == []


def test_turning_through_zero_is_a_new_epoch_with_its_own_legs() -> None:
    desk, stop, take = protected()
    said = desk.fill(Side.SELL, "0.005", "60000", "other")
    assert set(cancels(said)) == {id_of(stop), id_of(take)}
    legs = orders(said)
    assert legs[OrderKind.STOP_MARKET].intent_id == f"main:{BTC}:2:stop:1"
    assert (legs[OrderKind.STOP_MARKET].side, legs[OrderKind.STOP_MARKET].quantity) == (Side.BUY, D("0.003"))


@pytest.mark.parametrize("word", ["denied", "rejected", "expired", "cancelled by somebody else"])
def test_a_failed_stop_is_asked_for_again_and_after_five_times_the_position_is_closed(word: str) -> None:
    desk = Desk()
    said = desk.fill(Side.BUY, "0.002", "60000")
    desk.accept(orders(said)[OrderKind.TAKE_PROFIT_MARKET])
    stop, versions, closes = orders(said)[OrderKind.STOP_MARKET], [1], []
    for _ in range(20):
        end: Message = {
            "denied": denied(stop),
            "rejected": OrderRejected(client_order_id=id_of(stop), account="main", reason="test", at_ns=1),
            "expired": OrderExpired(client_order_id=id_of(stop), account="main", reason="test", at_ns=1),
            "cancelled by somebody else": cancelled(stop),
        }[word]
        said = [*desk.tell(end), *desk.pass_s(1.0)]
        closes += [w for w in said if isinstance(w, OrderIntent) and w.kind is OrderKind.MARKET]
        if closes:
            break
        stop = orders(said)[OrderKind.STOP_MARKET]
        versions.append(int(stop.intent_id.rsplit(":", 1)[1]))
    assert len(versions) == MAX_FAILURES
    assert all(later > earlier for earlier, later in pairwise(versions))
    assert closes[0].quantity == D("0.002")
    alerts = desk.ctx.of(Alert)
    assert [a.severity for a in alerts].count("warning") == MAX_FAILURES
    assert any(a.severity == "critical" and "failed 5 times" in a.text for a in alerts)


def test_a_price_beyond_a_stop_that_does_not_rest_closes_at_the_market() -> None:
    desk = Desk()
    legs = orders(desk.fill(Side.BUY, "0.002", "60000"))
    stop = legs[OrderKind.STOP_MARKET]
    assert desk.tick(59_000.0, 59_000.1) == [], "the stop is on its way: it will tell"
    (close, *rest) = (w for w in desk.tell(denied(stop)) if isinstance(w, OrderIntent))
    assert (close.kind, rest) == (OrderKind.MARKET, [])


def test_a_position_without_a_resting_stop_is_told_once() -> None:
    desk = Desk()
    desk.fill(Side.BUY, "0.002", "60000")
    for _ in range(5):
        desk.pass_s(BARE_S / 2)
    assert [a.severity for a in desk.ctx.of(Alert)] == ["critical"]
    assert "no resting stop" in desk.ctx.of(Alert)[0].text


def test_a_position_it_has_no_settings_for_is_told_and_left_alone() -> None:
    desk = Desk()
    word = OrderFilled(
        client_order_id="x", account="main", venue=VENUE, symbol="DOGE/USDT:USDT", trade_id="1", side=Side.BUY,
        quantity=D(1), price=D(1), fee=D(0), fee_currency="USDT", at_ns=1,
    )  # fmt: skip
    (alert,) = desk.tell(word)
    assert isinstance(alert, Alert)
    assert "DOGE" in alert.text


def test_fills_of_other_accounts_and_repeated_fills_change_nothing() -> None:
    desk, _, _ = protected()
    fill = next(w for w in desk.record if isinstance(w, OrderFilled))
    assert desk.tell(fill) == []
    other = OrderFilled(**{name: getattr(fill, name) for name in fill.__struct_fields__} | {"account": "other"})
    assert desk.tell(other) == []


@pytest.mark.parametrize("scene", ["asked", "resting", "cancelling", "flat"])
def test_after_a_crash_nothing_is_asked_for_twice_and_nothing_is_forgotten(scene: str) -> None:
    desk = Desk()
    desk.enter("59900")
    legs = orders(desk.fill(Side.BUY, "0.002", "60000"))
    stop, take = legs[OrderKind.STOP_MARKET], legs[OrderKind.TAKE_PROFIT_MARKET]
    if scene != "asked":
        desk.accept(stop, take)
    if scene == "cancelling":
        desk.fill(Side.BUY, "0.001", "60000")
    if scene == "flat":
        desk.fill(Side.SELL, "0.002", "59900", id_of(stop))

    again = desk.crashed()
    said = again.pass_s(0.5)

    assert orders(said) == {}
    assert cancels(said) == []
    if scene == "asked":
        assert again.accept(stop, take) == []
    if scene == "cancelling":
        assert orders(again.tell(cancelled(stop)))[OrderKind.STOP_MARKET].quantity == D("0.003")
        assert orders(again.tell(cancelled(take)))[OrderKind.TAKE_PROFIT_MARKET].intent_id.endswith(":take:4")
    if scene == "resting":
        assert [w.kind for w in again.pass_s(61.0) if isinstance(w, OrderIntent)] == [OrderKind.MARKET]


@pytest.mark.parametrize(
    ("name", "value"), [("min_stop_bps", 0), ("take_profit_r", float("nan")), ("max_holding_s", -1.0)]
)
def test_settings_that_protect_nothing_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        start(ExitBrain(), RecordedContext(), account="a", venue=VENUE, instruments=INSTRUMENTS, **{name: value})


# --- any history -----------------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "submit", "accept", "deny", "end", "cancel", "trigger", "second", "crash"]),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_in_any_history_no_two_stops_rest_no_leg_exceeds_the_position_it_was_asked_for_and_stops_never_loosen(
    history: list[tuple[str, int]],
) -> None:
    desk = Desk()
    wishes: dict[str, OrderIntent] = {}  # by client order id: asked, not yet submitted
    sent: dict[str, OrderIntent] = {}
    resting: dict[str, OrderIntent] = {}
    wanted_gone: set[str] = set()
    position = D(0)
    stops: dict[str, Decimal] = {}  # tightest stop asked for, by epoch

    def take(said: list[Message]) -> None:
        for word in said:
            if isinstance(word, CancelIntent):
                wanted_gone.add(word.client_order_id)
            if not isinstance(word, OrderIntent):
                continue
            assert id_of(word) not in {*wishes, *sent, *resting}, "the same id twice"
            assert word.reduce_only
            assert word.quantity <= abs(position), "it asks to close more than there is"
            assert (word.side is Side.SELL) == (position > 0)
            same = [w for w in (*wishes.values(), *sent.values(), *resting.values())
                    if w.kind is word.kind and epoch(w) == epoch(word)]  # fmt: skip
            assert not same, f"two {word.kind} legs: {same} and {word}"
            if word.kind is OrderKind.STOP_MARKET and word.trigger_price is not None:
                before = stops.get(epoch(word))
                side = 1 if position > 0 else -1
                assert before is None or side * (word.trigger_price - before) >= 0, "the stop loosened"
                stops[epoch(word)] = word.trigger_price
            wishes[id_of(word)] = word

    def pick(of: dict[str, OrderIntent], number: int) -> OrderIntent | None:
        return list(of.values())[number % len(of)] if of else None

    for verb, number in history:
        if verb in ("buy", "sell"):
            change = D(number + 1) / 1000
            position += change if verb == "buy" else -change
            take(desk.fill(Side(verb), str(change), str(60_000 + 100 * number)))
        elif verb == "submit" and (intent := pick(wishes, number)):
            sent[id_of(intent)] = wishes.pop(id_of(intent))
            take(desk.submit(intent))
        elif verb == "accept" and (intent := pick(sent, number)):
            resting[id_of(intent)] = sent.pop(id_of(intent))
            take(desk.tell(OrderAccepted(client_order_id=id_of(intent), account="main", venue_order_id="", at_ns=1)))
        elif verb == "deny" and (intent := pick(wishes, number)):
            del wishes[id_of(intent)]
            take(desk.tell(denied(intent)))
        elif verb == "end" and (intent := pick(resting, number)):
            del resting[id_of(intent)]
            take(desk.tell(OrderExpired(client_order_id=id_of(intent), account="main", reason="test", at_ns=1)))
        elif verb == "cancel" and (gone := {i: w for i, w in resting.items() if i in wanted_gone}):
            intent = pick(gone, number)
            assert intent is not None
            del resting[id_of(intent)]
            take(desk.tell(cancelled(intent)))
        elif verb == "trigger" and (intent := pick(resting, number)):
            quantity = min(intent.quantity, abs(position)) if (intent.side is Side.SELL) == (position > 0) else D(0)
            del resting[id_of(intent)]
            if quantity:
                position += quantity if intent.side is Side.BUY else -quantity
                take(desk.fill(intent.side, str(quantity), "60000", id_of(intent)))
            word = OrderCompleted(
                client_order_id=id_of(intent), account="main", filled_quantity=quantity, average_price=None, at_ns=1
            )
            take(desk.tell(word))
        elif verb == "second":
            take(desk.pass_s(1.0))
        elif verb == "crash":
            desk = desk.crashed()
            take(desk.pass_s(0.0))

    # let everything come to rest: answer whatever is asked, cancel whatever was wished gone
    for _ in range(40):
        for intent in list(wishes.values()):
            del wishes[id_of(intent)]
            if intent.kind is OrderKind.MARKET:
                if (intent.side is Side.SELL) == (position > 0) and position:
                    quantity = min(intent.quantity, abs(position))
                    position += quantity if intent.side is Side.BUY else -quantity
                    take(desk.fill(intent.side, str(quantity), "60000", id_of(intent)))
                take(desk.tell(OrderExpired(client_order_id=id_of(intent), account="main", reason="", at_ns=1)))
            else:
                resting[id_of(intent)] = intent
                take(desk.accept(intent))
        for intent in list(sent.values()):
            resting[id_of(intent)] = sent.pop(id_of(intent))
            take(desk.tell(OrderAccepted(client_order_id=id_of(intent), account="main", venue_order_id="", at_ns=1)))
        for intent in [w for i, w in resting.items() if i in wanted_gone]:
            del resting[id_of(intent)]
            take(desk.tell(cancelled(intent)))
        take(desk.pass_s(1.0))
        for intent in [w for w in resting.values() if w.kind is OrderKind.MARKET]:
            del resting[id_of(intent)]
            take(desk.tell(OrderExpired(client_order_id=id_of(intent), account="main", reason="", at_ns=1)))
        take(desk.pass_s(1.0))
    assert position == 0, "after its time, every position is closed"
    assert resting == {}, "leftovers rest at the venue"


def epoch(intent: OrderIntent) -> str:
    return intent.intent_id.rsplit(":", 3)[1]
