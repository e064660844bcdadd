"""The simulated spot venue, seen by unmodified ccxt and ccxt.pro."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import ccxt
import pytest

from tests.venues.venue_side import Running, client, until

Start = Callable[..., Running]
SYMBOL = "BTC/USDT"


def test_load_markets_needs_one_request_and_finds_the_built_in_instruments(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        exchange = client("spot", venue.port)
        try:
            markets = await exchange.load_markets()
            assert set(markets) == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
            assert markets[SYMBOL]["precision"] == {"amount": 1e-05, "price": 0.01, "base": 1e-08, "quote": 1e-08}
        finally:
            await exchange.close()

    asyncio.run(act())
    assert venue.get("state")["requests"] == {"GET /api/v3/exchangeInfo": 1}


def test_the_book_that_ccxt_keeps_from_deltas_is_the_true_book(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        exchange = client("spot", venue.port)
        try:
            for _ in range(12):
                book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
            seen = [list(map(float, level)) for level in book["bids"][:20]], book["nonce"]
            true = venue.get("book?product=spot&symbol=BTCUSDT&levels=20")
            while true["last_update_id"] != seen[1]:
                book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
                seen = [list(map(float, level)) for level in book["bids"][:20]], book["nonce"]
                true = venue.get("book?product=spot&symbol=BTCUSDT&levels=20")
            assert seen[0] == [[float(p), float(q)] for p, q in true["bids"]]
        finally:
            await exchange.close()

    asyncio.run(act())


def test_trades_tickers_and_candles_reach_the_client(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        exchange = client("spot", venue.port)
        try:
            trades = await asyncio.wait_for(exchange.watch_trades(SYMBOL), 20)
            ticker = await asyncio.wait_for(exchange.watch_ticker(SYMBOL), 20)
            candles = await asyncio.wait_for(exchange.watch_ohlcv(SYMBOL), 20)
            fetched = await exchange.fetch_trades(SYMBOL)
            rows = await exchange.fetch_ohlcv(SYMBOL)
            day = await exchange.fetch_ticker(SYMBOL)
            assert trades[0]["side"] in ("buy", "sell")
            assert trades[0]["id"] in {trade["id"] for trade in fetched}
            assert ticker["last"] > 0
            assert candles[-1][2] >= candles[-1][3]
            assert rows[-1][5] > 0
            assert day["bid"] < day["ask"]
        finally:
            await exchange.close()

    asyncio.run(act())


def test_a_market_buy_walks_the_book_and_pays_the_fee_in_what_it_received(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        exchange = client("spot", venue.port)
        try:
            order = await exchange.create_order(SYMBOL, "market", "buy", 0.5, params={"newClientOrderId": "one"})
            assert (order["status"], order["filled"], order["clientOrderId"]) == ("closed", 0.5, "one")
            balance = await exchange.fetch_balance()
            mine = await exchange.fetch_my_trades(SYMBOL)
            assert balance["BTC"]["free"] == pytest.approx(0.5 * 0.999)
            assert sum(trade["amount"] for trade in mine) == pytest.approx(0.5)
            assert {trade["fee"]["currency"] for trade in mine} == {"BTC"}
            assert balance["USDT"]["free"] == pytest.approx(100_000 - sum(trade["cost"] for trade in mine))
        finally:
            await exchange.close()

    asyncio.run(act())


def test_a_resting_order_locks_money_shows_as_open_and_gives_it_back_when_cancelled(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        exchange = client("spot", venue.port)
        try:
            order = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 10_000)
            assert order["status"] == "open"
            assert (await exchange.fetch_balance())["USDT"]["used"] == pytest.approx(100)
            assert [o["id"] for o in await exchange.fetch_open_orders(SYMBOL)] == [order["id"]]
            cancelled = await exchange.cancel_order(order["id"], SYMBOL)
            assert cancelled["status"] == "canceled"
            assert (await exchange.fetch_order(order["id"], SYMBOL))["status"] == "canceled"
            assert (await exchange.fetch_balance())["USDT"]["used"] == 0
        finally:
            await exchange.close()

    asyncio.run(act())


REFUSALS = [
    ("insufficient balance", {"quantity": "500"}, ccxt.InsufficientFunds),
    ("price filter", {"price": "10000.001"}, ccxt.InvalidOrder),
    ("lot size", {"quantity": "0.000001"}, ccxt.InvalidOrder),
    ("notional", {"quantity": "0.0001"}, ccxt.BadRequest),
    ("post only that would take", {"type": "LIMIT_MAKER", "price": "900000"}, ccxt.OrderImmediatelyFillable),
    ("unknown symbol", {"symbol": "XXXUSDT"}, ccxt.BadSymbol),
    ("no number", {"quantity": "NaN"}, ccxt.BadRequest),
    ("no quantity", {"quantity": ""}, ccxt.BadRequest),
]


@pytest.mark.parametrize(("name", "change", "error"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_a_refused_order_raises_the_error_of_the_real_venue(
    simulator: Start, name: str, change: dict[str, str], error: type[Exception]
) -> None:
    venue = simulator()
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}

    async def act() -> None:
        exchange = client("spot", venue.port)
        try:
            await exchange.load_markets()
            with pytest.raises(error):
                await exchange.private_post_order(good | {"price": "10000"} | change)
        finally:
            await exchange.close()

    asyncio.run(act())
    assert venue.get("truth")["open_orders"] == []


def test_a_wrong_signature_key_or_clock_is_refused(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        wrong_secret = client("spot", venue.port, secret="guess")
        wrong_key = client("spot", venue.port, key="stranger")
        wrong_clock = client("spot", venue.port)
        wrong_clock.options["timeDifference"] = 60_000
        wrong_clock.nonce = lambda: wrong_clock.milliseconds() - 60_000
        try:
            with pytest.raises(ccxt.AuthenticationError, match="Signature"):
                await wrong_secret.fetch_balance()
            with pytest.raises(ccxt.AuthenticationError, match="Invalid API-key"):
                await wrong_key.fetch_balance()
            with pytest.raises(ccxt.InvalidNonce):
                await wrong_clock.fetch_balance()
        finally:
            for exchange in (wrong_secret, wrong_key, wrong_clock):
                await exchange.close()

    asyncio.run(act())
    assert set(venue.get("state")["refused"]) == {"-1022", "-2015", "-1021"}


def test_a_client_id_is_refused_only_while_its_first_order_is_open(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        exchange = client("spot", venue.port)
        try:
            mine = {"newClientOrderId": "same"}
            first = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 10_000, mine)
            with pytest.raises(ccxt.InvalidOrder, match="Duplicate"):
                await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 10_000, mine)
            await exchange.cancel_order(first["id"], SYMBOL)
            with pytest.raises(ccxt.OrderNotFound):
                await exchange.cancel_order(first["id"], SYMBOL)
            second = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 10_000, mine)
            found = await exchange.fetch_order("", SYMBOL, {"origClientOrderId": "same"})
            assert found["id"] == second["id"] != first["id"]
        finally:
            await exchange.close()

    asyncio.run(act())


def test_the_user_stream_tells_order_before_balance_and_ends_with_the_venues_truth(simulator: Start) -> None:
    venue = simulator()

    async def act() -> None:
        exchange = client("spot", venue.port)
        heard: list[str] = []
        inner = exchange.handle_message

        def listen(socket: object, message: dict[str, object]) -> None:
            event = message.get("event")
            if isinstance(event, dict):
                heard.append(event["e"])
            inner(socket, message)

        exchange.handle_message = listen
        try:
            await exchange.load_markets()
            watching = asyncio.create_task(exchange.watch_orders(SYMBOL))
            trading = asyncio.create_task(exchange.watch_my_trades(SYMBOL))
            await until(lambda: any(c["user"] for c in venue.get("state")["connections"]), "the user stream")
            order = await exchange.create_order(SYMBOL, "market", "buy", 0.001)
            orders = await asyncio.wait_for(watching, 20)
            trades = await asyncio.wait_for(trading, 20)
            await until(lambda: "outboundAccountPosition" in heard, "the balance event")
            assert orders[0]["id"] == order["id"]
            assert trades[0]["order"] == order["id"]
            assert heard[:3] == ["executionReport", "executionReport", "outboundAccountPosition"]
            assert exchange.balance["spot"]["BTC"]["free"] == pytest.approx(0.000999)
        finally:
            await exchange.close()

    asyncio.run(act())
    truth = venue.get("truth")
    assert Decimal(truth["balances"]["BTC"]["free"]) == Decimal("0.000999")


def test_a_restart_keeps_orders_fills_and_balances(simulator: Start) -> None:
    first = simulator()

    async def trade() -> None:
        exchange = client("spot", first.port)
        try:
            await exchange.create_order(SYMBOL, "market", "buy", 0.01)
            await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 10_000, {"newClientOrderId": "resting"})
        finally:
            await exchange.close()

    asyncio.run(trade())
    before = first.get("truth")
    first.stop()
    after_restart = simulator()
    after = after_restart.get("truth")

    for part in ("open_orders", "fills", "balances", "wallet", "positions"):
        assert after[part] == before[part], part
    assert [order["client_id"] for order in after["open_orders"]] == ["resting"]


def test_a_torn_last_line_is_cut_and_a_damaged_middle_is_refused(simulator: Start, tmp_path) -> None:  # type: ignore[no-untyped-def]
    venue = simulator()
    journal = tmp_path / "venue" / "truth.jsonl"
    venue.stop()
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"at_ns":1,"chan')

    again = simulator()
    assert again.get("truth")["wallet"] == {"USDT": "100000"}
    again.stop()
    assert journal.read_bytes() == whole

    journal.write_bytes(b"damage\n" + whole)
    with pytest.raises(ValueError, match=r"truth.jsonl line 1 is damaged"):
        simulator()
