"""The engine without sockets: random orders and markets, and what must hold after every one of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.venues.simulator.accounts import Algo, Balance, Order, Position, Truth, Wallet
from actors.venues.simulator.book import Delta, Snapshot
from actors.venues.simulator.engine import Engine
from actors.venues.simulator.errors import VenueError
from actors.venues.simulator.instruments import known
from actors.venues.simulator.listing import Listing, Print
from actors.venues.simulator.settlement import needed_lock

D = Decimal
A = "me"


class World:
    """An engine over two listings whose book is 99 x 101, one unit a level."""

    def __init__(self, home: Path) -> None:
        self.path = home / "truth.jsonl"
        self.truth = Truth(self.path)
        self.truth.keep(Balance(account=A, asset="USDT", free=D(1000)), Balance(account=A, asset="BTC", free=D(5)))
        self.truth.keep(Wallet(account=A, asset="USDT", amount=D(100)))
        self.listings = {key: Listing(known(*key)) for key in (("spot", "BTCUSDT"), ("usdm", "BTCUSDT"))}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.engine = Engine(self.truth, self.listings, lambda product, _, event: self.told.append((product, event)))
        self.move(100)

    def move(self, middle: int) -> None:
        """A new book around this price: five levels a side, one unit each, shown anew."""
        bids = [(f"{middle - k}.00", "1.000") for k in range(1, 6)]
        asks = [(f"{middle + k}.00", "1.000") for k in range(1, 6)]
        for listing in self.listings.values():
            book = listing.book
            book.load(Snapshot(book.last_update_id, [], []))
            book.apply(Delta(book.last_update_id + 1, book.last_update_id + 1, bids, asks))
            self.engine.moved(listing)

    def trade(self, product: str, price: int, quantity: str, *, seller_took: bool) -> None:
        listing = self.listings[product, "BTCUSDT"]
        trade = Print(1, str(price), quantity, 1, seller_took)
        listing.tape.add(trade, D(price), D(quantity))
        self.engine.traded(listing, trade, D(price), D(quantity))

    def order(self, product: str, side: str, quantity: str, price: int | None = None, **fields: Any) -> Order:
        order = Order(
            account=A, product=product, symbol="BTCUSDT", order_id=0, client_id=fields.pop("client_id", "x"), side=side,
            type="MARKET" if price is None else "LIMIT", time_in_force=fields.pop("time_in_force", "GTC"),
            quantity=D(quantity), price=D(price or 0), **fields,
        )  # fmt: skip
        self.engine.place(order, 1)
        return order

    def algo(self, side: str, kind: str, trigger: int, quantity: str = "1", **fields: Any) -> Algo:
        algo = Algo(
            account=A, symbol="BTCUSDT", algo_id=0, client_id=fields.pop("client_id", "a"), side=side, type=kind,
            time_in_force="GTC", quantity=D(quantity), price=D(fields.pop("price", 0)), trigger_price=D(trigger),
            working_type=fields.pop("working_type", "CONTRACT_PRICE"), reduce_only=fields.pop("reduce_only", True),
            close_position=fields.pop("close_position", False),
        )  # fmt: skip
        self.engine.place_algo(algo, 1)
        return algo


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as home:
        made = World(Path(home))
        yield made
        made.truth.close()


def test_a_market_order_pays_each_level_its_price_and_a_second_one_finds_what_is_left() -> None:
    with world() as w:
        first = w.order("usdm", "BUY", "1.5")
        second = w.order("usdm", "BUY", "1", client_id="y")
        assert (first.cost, second.cost) == (D("101") + D("51"), D("51") + D("51.5"))


def test_a_resting_order_waits_behind_the_quantity_that_stood_there_before() -> None:
    with world() as w:
        order = w.order("usdm", "BUY", "1", 99, client_id="late")
        w.trade("usdm", 99, "0.600", seller_took=True)
        assert order.executed == 0
        w.trade("usdm", 99, "0.600", seller_took=True)
        assert order.executed == D("0.2")  # 1.0 stood before it, 1.2 traded
        w.trade("usdm", 98, "5", seller_took=True)
        assert order.status == "FILLED"


def test_orders_at_one_price_fill_in_the_order_of_their_arrival_and_better_prices_first() -> None:
    with world() as w:
        later = w.order("spot", "BUY", "1", 100, client_id="b")
        worse = w.order("spot", "BUY", "1", 99, client_id="c")
        latest = w.order("spot", "BUY", "1", 100, client_id="d")
        w.trade("spot", 100, "1.5", seller_took=True)
        assert (later.executed, latest.executed, worse.executed) == (D(1), D("0.5"), D(0))


def test_a_buyer_who_took_does_not_fill_resting_buys() -> None:
    with world() as w:
        order = w.order("usdm", "BUY", "1", 100, client_id="b")
        w.trade("usdm", 100, "5", seller_took=False)
        assert order.executed == 0


def test_the_market_coming_to_a_resting_order_fills_it_at_its_own_price() -> None:
    with world() as w:
        order = w.order("spot", "BUY", "1", 98)
        w.move(95)
        assert (order.status, order.cost) == ("FILLED", D(98))


def test_an_order_that_would_meet_an_own_resting_one_makes_that_one_expire() -> None:
    with world() as w:
        resting = w.order("spot", "BUY", "1", 100, client_id="old")
        w.order("spot", "SELL", "1", client_id="new")
        assert resting.status == "EXPIRED"
        assert w.truth.balance(A, "USDT").locked == 0


TRIGGERS = [
    ("SELL", "STOP_MARKET", 90, 91, 90),
    ("SELL", "TAKE_PROFIT_MARKET", 110, 109, 110),
]


@pytest.mark.parametrize(("side", "kind", "trigger", "before", "touch"), TRIGGERS)
def test_a_conditional_becomes_a_market_order_at_the_touch_and_not_before(
    side: str, kind: str, trigger: int, before: int, touch: int
) -> None:
    with world() as w:
        w.order("usdm", "BUY", "1")
        algo = w.algo(side, kind, trigger)
        w.trade("usdm", before, "0.1", seller_took=True)
        assert algo.status == "NEW"
        w.trade("usdm", touch, "0.1", seller_took=True)
        assert algo.status == "FINISHED"
        assert w.truth.orders[algo.order_id].client_id == "a"
        assert w.truth.position(A, "BTCUSDT").quantity == 0
        words = [event["o"]["X"] for product, event in w.told if event["e"] == "ALGO_UPDATE"]
        assert words == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]


def test_a_conditional_with_a_limit_is_finished_only_when_its_order_is() -> None:
    with world() as w:
        w.order("usdm", "BUY", "1")
        algo = w.algo("SELL", "STOP", 95, price=110)
        w.trade("usdm", 95, "0.1", seller_took=True)
        order = w.truth.orders[algo.order_id]
        assert (algo.status, order.status) == ("TRIGGERED", "NEW")
        w.move(115)
        assert (algo.status, order.status, order.cost) == ("FINISHED", "FILLED", D(110))


def test_a_mark_price_conditional_listens_to_the_mark_and_not_to_the_last_trade() -> None:
    with world() as w:
        w.order("usdm", "BUY", "1")
        algo = w.algo("SELL", "STOP_MARKET", 95, working_type="MARK_PRICE")
        w.trade("usdm", 90, "0.1", seller_took=True)
        assert algo.status == "NEW"
        w.move(94)
        assert algo.status == "FINISHED"


def test_a_reduce_only_conditional_without_a_position_left_is_rejected_at_the_touch() -> None:
    with world() as w:
        w.order("usdm", "BUY", "1")
        algo = w.algo("SELL", "STOP_MARKET", 95)
        w.order("usdm", "SELL", "1", reduce_only=True, client_id="out")
        w.trade("usdm", 94, "0.1", seller_took=True)
        assert (algo.status, algo.failure) == ("REJECTED", "Reduce Only reject")
        assert w.truth.position(A, "BTCUSDT").quantity == 0


def test_a_position_that_goes_through_zero_is_opened_anew_at_the_new_price() -> None:
    with world() as w:
        w.order("usdm", "BUY", "1", client_id="in")  # at 101
        w.order("usdm", "SELL", "1", client_id="out")  # at 99
        w.order("usdm", "BUY", "1", client_id="in again")  # at 102: the level at 101 is taken
        w.order("usdm", "SELL", "2", client_id="around")  # 1 at 98 closes, 1 at 97 opens
        position = w.truth.position(A, "BTCUSDT")
        assert (position.quantity, position.entry) == (D(-1), D(97))


def test_a_market_sell_in_pieces_locks_nothing() -> None:
    with world() as w:
        w.order("spot", "SELL", "2.5")
        assert w.truth.balance(A, "BTC") == Balance(account=A, asset="BTC", free=D("2.5"), locked=D(0))
        base = [e["B"] for product, e in w.told if e["e"] == "outboundAccountPosition"]
        assert {row["l"] for rows in base for row in rows} == {"0.00000000"}


def test_nobody_is_told_before_the_disk_has_it() -> None:
    with world() as w:
        w.truth.commit = lambda _at_ns: (_ for _ in ()).throw(OSError("disk full"))  # type: ignore[method-assign]
        with pytest.raises(OSError, match="disk full"):
            w.order("spot", "BUY", "1")
        assert w.told == []


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"),
            st.sampled_from(["spot", "usdm"]),
            st.sampled_from(["BUY", "SELL"]),
            st.decimals("0.001", 4, places=3),
            st.one_of(st.none(), st.integers(94, 106)),
            st.sampled_from(["GTC", "IOC", "FOK"]),
            st.booleans(),
        ),
        st.tuples(st.just("move"), st.integers(95, 105)),
        st.tuples(
            st.just("trade"),
            st.sampled_from(["spot", "usdm"]),
            st.integers(95, 105),
            st.decimals("0.1", 3, places=3),
            st.booleans(),
        ),
        st.tuples(st.just("algo"), st.sampled_from(["BUY", "SELL"]), st.integers(94, 106), st.booleans()),
        st.tuples(st.just("cancel")),
    ),
    min_size=3,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_money_adds_up_after_any_history_and_a_restart_finds_the_same(history: list[tuple[Any, ...]]) -> None:
    with world() as w:
        for number, step in enumerate(history):
            try:
                _do(w, number, step)
            except VenueError:
                continue  # a refusal is an answer too: it must have changed nothing, which the sums below show
            _check(w)
        w.truth.commit(1)
        again = Truth(w.path)
        for part in ("orders", "algos", "balances", "wallets", "positions", "last_id"):
            assert _known(getattr(again, part)) == _known(getattr(w.truth, part)), part
        assert list(again.fills) == list(w.truth.fills)
        again.close()


def _do(w: World, number: int, step: tuple[Any, ...]) -> None:
    match step:
        case ("order", product, side, quantity, price, time_in_force, reduce_only):
            reduces = reduce_only and product == "usdm"
            w.order(
                product,
                side,
                str(quantity),
                price,
                time_in_force=time_in_force,
                reduce_only=reduces,
                client_id=str(number),
            )
        case ("move", middle):
            w.move(middle)
        case ("trade", product, price, quantity, seller_took):
            w.trade(product, price, str(quantity), seller_took=seller_took)
        case ("algo", side, trigger, close):
            kind = "STOP_MARKET" if (trigger < 100) == (side == "SELL") else "TAKE_PROFIT_MARKET"
            size = "0" if close else "1"
            w.algo(side, kind, trigger, size, client_id=f"a{number}", close_position=close, reduce_only=not close)
        case _:
            for product in ("spot", "usdm"):
                for order in list(w.truth.all_open(A, product))[:1]:
                    w.engine.cancel(order, 1)


def _check(w: World) -> None:
    fills = list(w.truth.fills)
    spot = [f for f in fills if f.product == "spot"]
    usdm = [f for f in fills if f.product == "usdm"]
    sign = {"BUY": 1, "SELL": -1}
    base, quote = w.truth.balance(A, "BTC"), w.truth.balance(A, "USDT")
    assert min(base.free, base.locked, quote.free, quote.locked) >= 0
    opened = list(w.truth.all_open(A, "spot"))
    assert quote.locked == sum((needed_lock(o) for o in opened if o.side == "BUY"), D(0))
    assert base.locked == sum((needed_lock(o) for o in opened if o.side == "SELL"), D(0))
    fee_base = sum((f.fee for f in spot if f.fee_asset == "BTC"), D(0))
    fee_quote = sum((f.fee for f in spot if f.fee_asset == "USDT"), D(0))
    assert base.free + base.locked == 5 + sum((sign[f.side] * f.quantity for f in spot), D(0)) - fee_base
    assert (
        quote.free + quote.locked == 1000 - sum((sign[f.side] * f.quantity * f.price for f in spot), D(0)) - fee_quote
    )
    position, wallet = w.truth.position(A, "BTCUSDT"), w.truth.wallet(A, "USDT")
    assert position.quantity == sum((sign[f.side] * f.quantity for f in usdm), D(0))
    assert wallet.amount == 100 + sum((f.realised - f.fee for f in usdm), D(0))
    flow = -sum((sign[f.side] * f.quantity * f.price for f in usdm), D(0)) - sum((f.fee for f in usdm), D(0))
    worth = wallet.amount + (D(100) - position.entry) * position.quantity
    assert abs(worth - (100 + flow + position.quantity * 100)) < D("1e-6")  # 8 decimals, rounded per fill
    for order in w.truth.orders.values():
        assert 0 <= order.executed <= order.quantity
        assert order.executed == sum((f.quantity for f in fills if f.order_id == order.order_id), D(0))
        assert (order.status == "FILLED") == (order.left == 0)
        if order.price and order.executed:
            assert (order.cost / order.executed - order.price) * order.sign <= 0, "traded beyond its limit"


def _known(part: Any) -> Any:
    """Without what need not survive: records that hold nothing yet, and an order's place in the market's queue."""
    if not isinstance(part, dict):
        return part
    return {
        key: replace(value, ahead=D(0)) if isinstance(value, Order) else value
        for key, value in part.items()
        if not (isinstance(value, Position) and value.quantity == 0 and value.updated_ms == 0)
    }
