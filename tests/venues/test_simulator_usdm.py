"""The simulated USD-M venue, seen by unmodified ccxt and ccxt.pro."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.venues.venue_side import Running, client, until

Start = Callable[..., Running]
SYMBOL = "BTC/USDT:USDT"


def drive(venue: Running, act: Callable[[Any], Any]) -> None:
    """Run `act(exchange)` with a client whose markets are loaded."""

    async def inside() -> None:
        exchange = client("usdm", venue.port)
        try:
            await exchange.load_markets()
            await act(exchange)
        finally:
            await exchange.close()

    asyncio.run(inside())


async def join_the_best_bid(venue: Running, exchange: Any) -> None:
    """Post only at the best bid; the market may fall through it on the way (-5022), then at the next one."""
    for attempt in range(10):
        price = float(venue.get("book?product=usdm&symbol=BTCUSDT")["bids"][0][0])
        params = {"timeInForce": "GTX", "newClientOrderId": f"patient-{attempt}"}
        try:
            await exchange.create_order(SYMBOL, "limit", "buy", 0.002, price, params)
        except ccxt.InvalidOrder as error:
            if "-5022" not in str(error):
                raise
        else:
            return
    pytest.fail("the market fell through ten best bids in a row")


def mid(venue: Running) -> float:
    book = venue.get("book?product=usdm&symbol=BTCUSDT")
    return (float(book["bids"][0][0]) + float(book["asks"][0][0])) / 2


def test_a_market_order_opens_a_position_and_closing_it_realises_the_profit(
    simulator: Start,
) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        opened = await exchange.create_order(SYMBOL, "market", "sell", 0.1, params={"newClientOrderId": "in"})
        positions = await exchange.fetch_positions([SYMBOL])
        assert (opened["status"], opened["clientOrderId"]) == ("closed", "in")
        assert [(p["side"], p["contracts"], p["entryPrice"]) for p in positions] == [("short", 0.1, opened["average"])]
        assert (await exchange.fetch_balance())["USDT"]["total"] == pytest.approx(100_000, abs=50)

        await exchange.create_order(SYMBOL, "market", "buy", 0.1, params={"reduceOnly": True})
        assert await exchange.fetch_positions([SYMBOL]) == []
        trades = await exchange.fetch_my_trades(SYMBOL)
        realised = sum(Decimal(trade["info"]["realizedPnl"]) for trade in trades)
        fees = sum(Decimal(trade["info"]["commission"]) for trade in trades)
        assert Decimal(venue.get("truth")["wallet"]["USDT"]) == 100_000 + realised - fees
        cost = sum(trade["cost"] for trade in trades)
        assert float(fees) == pytest.approx(cost * 0.0005)

    drive(venue, act)


REFUSALS = [
    ("margin", {"quantity": "800"}, "-2019"),
    ("reduce only without a position", {"reduceOnly": "true"}, "-2022"),
    ("least value", {"quantity": "0.001", "price": "10000"}, "-4164"),
    ("post only that would take", {"timeInForce": "GTX", "price": "100000"}, "-5022"),
    ("conditional at the wrong door", {"type": "STOP_MARKET", "stopPrice": "1"}, "-4120"),
    ("lot size", {"quantity": "0.0015"}, "LOT_SIZE"),
    ("price filter", {"price": "60000.05"}, "PRICE_FILTER"),
]


@pytest.mark.parametrize(("name", "change", "code"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_a_refused_order_says_the_code_of_the_real_venue(
    simulator: Start, name: str, change: dict[str, str], code: str
) -> None:
    venue = simulator()
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}

    async def act(exchange: Any) -> None:
        with pytest.raises(ccxt.BaseError, match=code):
            await exchange.fapiprivate_post_order(good | {"price": "50000"} | change)

    drive(venue, act)
    truth = venue.get("truth")
    assert (truth["open_orders"], truth["fills"], truth["positions"]) == ([], [], [])


def test_time_in_force_fok_fills_all_or_nothing_and_ioc_lets_the_rest_expire(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await exchange.set_leverage(100, SYMBOL)
        size, price = 100, mid(venue) * 1.0001  # more than the book has up to there
        fok = await exchange.create_order(SYMBOL, "limit", "buy", size, price, {"timeInForce": "FOK"})
        ioc = await exchange.create_order(SYMBOL, "limit", "buy", size, price, {"timeInForce": "IOC"})
        assert (fok["status"], fok["filled"]) == ("expired", 0)
        assert ioc["status"] == "expired"
        assert 0 < ioc["filled"] < size
        assert Decimal(venue.get("truth")["positions"][0]["quantity"]) == Decimal(str(ioc["filled"]))

    drive(venue, act)


def test_a_stop_and_a_take_profit_rest_as_algo_orders_and_the_touched_one_closes_the_position(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await exchange.create_order(SYMBOL, "market", "buy", 0.1)
        price = mid(venue)
        reduce = {"reduceOnly": True}
        far = await exchange.create_order(
            SYMBOL, "market", "sell", 0.1, params=reduce | {"stopLossPrice": price * 0.5, "clientAlgoId": "stop"}
        )
        await exchange.create_order(
            SYMBOL, "market", "sell", 0.1, params=reduce | {"takeProfitPrice": price * 2, "clientAlgoId": "target"}
        )
        resting = await exchange.fetch_open_orders(SYMBOL, params={"trigger": True})
        assert {(o["clientOrderId"], o["type"], o["status"]) for o in resting} == {
            ("stop", "market", "open"),
            ("target", "market", "open"),
        }
        assert await exchange.fetch_open_orders(SYMBOL) == []
        with pytest.raises(ccxt.BaseError, match="-2021"):
            await exchange.create_order(
                SYMBOL, "market", "sell", 0.1, params=reduce | {"stopLossPrice": price * 1.5, "clientAlgoId": "wrong"}
            )
        await exchange.cancel_order(far["id"], SYMBOL, {"trigger": True})
        near = {"down": ("stopLossPrice", 0.9996), "up": ("takeProfitPrice", 1.0004)}
        for name, (kind, factor) in near.items():  # the market goes one way or the other within seconds
            params = reduce | {kind: mid(venue) * factor, "clientAlgoId": name}
            await exchange.create_order(SYMBOL, "market", "sell", 0.1, params=params)
        await until(lambda: not venue.get("truth")["positions"], "a conditional to close the position", 90)
        touched = venue.get("truth")["fills"][-1]["client_id"]
        algo = await exchange.fetch_order("", SYMBOL, {"trigger": True, "clientAlgoId": touched})
        assert (touched in near, algo["status"]) == (True, "closed")
        left = await exchange.fetch_open_orders(SYMBOL, params={"trigger": True})
        assert {o["clientOrderId"] for o in left} == {"target", "up", "down"} - {touched}

    drive(venue, act)


def test_a_close_position_stop_expires_when_the_position_is_closed_by_hand(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await exchange.create_order(SYMBOL, "market", "buy", 0.1)
        stop = {"closePosition": True, "triggerPrice": mid(venue) * 0.5, "clientAlgoId": "guard"}
        await exchange.create_order(SYMBOL, "market", "sell", None, params=stop)
        await exchange.create_order(SYMBOL, "market", "sell", 0.1, params={"reduceOnly": True})
        guard = await exchange.fetch_order("", SYMBOL, {"trigger": True, "clientAlgoId": "guard"})
        assert guard["status"] == "expired"

    drive(venue, act)
    assert venue.get("truth")["open_orders"] == []


def test_a_reduce_only_order_never_turns_the_position_around(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await exchange.create_order(SYMBOL, "market", "buy", 0.1)
        order = await exchange.create_order(SYMBOL, "market", "sell", 0.3, params={"reduceOnly": True})
        assert (order["status"], order["filled"]) == ("expired", 0.1)

    drive(venue, act)
    assert venue.get("truth")["positions"] == []


def test_the_user_stream_tells_orders_positions_and_conditionals(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        heard: list[str] = []
        inner = exchange.handle_message

        def listen(socket: Any, message: Any) -> None:
            if isinstance(message, dict) and "e" in message:
                heard.append(message["e"])
            inner(socket, message)

        exchange.handle_message = listen
        watching = asyncio.create_task(exchange.watch_orders(SYMBOL))
        await until(lambda: any(c["user"] for c in venue.get("state")["connections"]), "the user stream")
        order = await exchange.create_order(SYMBOL, "market", "buy", 0.1)
        orders = await asyncio.wait_for(watching, 20)
        assert orders[-1]["id"] == order["id"]
        await until(lambda: "ACCOUNT_UPDATE" in heard, "the position event")
        assert heard[:3] == ["ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
        assert exchange.positions["linear"][-1]["contracts"] == 0.1
        stop = {"stopLossPrice": mid(venue) * 0.5, "reduceOnly": True, "clientAlgoId": "s"}
        await exchange.create_order(SYMBOL, "market", "sell", 0.1, params=stop)
        await exchange.cancel_order("", SYMBOL, {"trigger": True, "clientAlgoId": "s"})
        await until(lambda: heard.count("ALGO_UPDATE") == 2, "the conditional's events")
        assert exchange.orders[-1]["clientOrderId"] == "s"
        assert exchange.orders[-1]["status"] == "canceled"

    drive(venue, act)


def test_a_killed_listen_key_is_said_once_and_then_the_stream_is_silent(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        heard: list[str] = []
        inner = exchange.handle_message

        def listen(socket: Any, message: Any) -> None:
            if isinstance(message, dict) and "e" in message:
                heard.append(message["e"])
            inner(socket, message)

        exchange.handle_message = listen
        watching = asyncio.create_task(exchange.watch_orders(SYMBOL))
        await until(lambda: any(c["user"] for c in venue.get("state")["connections"]), "the user stream")
        assert venue.post("fault", kind="kill_listen_key")["injected"] == 1
        await until(lambda: heard == ["listenKeyExpired"], "the expiry event")
        await exchange.create_order(SYMBOL, "market", "buy", 0.1)
        await exchange.fetch_time()
        assert heard == ["listenKeyExpired"]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    drive(venue, act)


def test_a_resting_order_fills_as_maker_when_the_market_comes_to_it(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await join_the_best_bid(venue, exchange)
        await until(lambda: venue.get("truth")["fills"], "a fill", 60)

    drive(venue, act)
    fill = venue.get("truth")["fills"][0]
    assert fill["maker"] is True
    assert Decimal(fill["fee"]) == (Decimal(fill["price"]) * Decimal(fill["quantity"]) * Decimal("0.0002")).quantize(
        Decimal("1e-8")
    )


def test_a_restart_keeps_positions_leverage_conditionals_and_the_listen_key(simulator: Start) -> None:
    first = simulator()
    keys: list[str] = []

    async def trade(exchange: Any) -> None:
        await exchange.set_leverage(7, SYMBOL)
        await exchange.create_order(SYMBOL, "market", "sell", 0.1)
        stop = {"stopLossPrice": mid(first) * 2, "reduceOnly": True, "clientAlgoId": "s"}
        await exchange.create_order(SYMBOL, "market", "buy", 0.1, params=stop)
        keys.append((await exchange.fapiprivate_post_listenkey())["listenKey"])

    drive(first, trade)
    before = first.get("truth")
    first.stop()
    second = simulator()
    after = second.get("truth")

    assert after["open_orders"] == before["open_orders"]
    assert after["fills"] == before["fills"]
    assert [(p["quantity"], p["entry"], p["leverage"]) for p in after["positions"]] == [
        (p["quantity"], p["entry"], 7) for p in before["positions"]
    ]

    async def again(exchange: Any) -> None:
        assert (await exchange.fapiprivate_post_listenkey())["listenKey"] == keys[0]
        positions = await exchange.fetch_positions([SYMBOL])
        assert positions[0]["contracts"] == 0.1

    drive(second, again)
