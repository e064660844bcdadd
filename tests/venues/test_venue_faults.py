"""Faults of the live simulator: each acts, is counted, and leaves the truth as the venue knows it."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.venues.venue_side import Running, client, until

Start = Callable[..., Running]
SYMBOL = "BTC/USDT:USDT"


def drive(venue: Running, act: Callable[[Any], Any]) -> None:
    async def inside() -> None:
        exchange = client("usdm", venue.port)
        try:
            await exchange.load_markets()
            await act(exchange)
        finally:
            await asyncio.wait_for(exchange.close(), 20)

    asyncio.run(inside())


async def watch_books(exchange: Any, times: int, patience_s: float = 20.0) -> None:
    for _ in range(times):
        await asyncio.wait_for(exchange.watch_order_book(SYMBOL), patience_s)


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
def test_an_order_that_times_out_was_executed_or_not_as_ordered(simulator: Start, when: str, executed: int) -> None:
    venue = simulator()
    venue.post("fault", kind="timeout", when=when, product="usdm")

    async def act(exchange: Any) -> None:
        with pytest.raises(ccxt.RequestTimeout):
            await exchange.create_order(SYMBOL, "market", "buy", 0.01, params={"newClientOrderId": "lost"})

    drive(venue, act)
    truth, state = venue.get("truth"), venue.get("state")
    assert len({fill["client_id"] for fill in truth["fills"]}) == executed
    assert (state["faults"], state["faults_ordered"]) == ({"timeout": 1}, [])


def test_a_delay_before_executing_outlives_the_clients_patience(simulator: Start) -> None:
    venue = simulator()
    venue.post("fault", kind="delay", when="before", seconds=1.0)

    async def act(exchange: Any) -> None:
        exchange.timeout = 300
        with pytest.raises(ccxt.RequestTimeout):
            await exchange.create_order(SYMBOL, "market", "buy", 0.01)

    drive(venue, act)
    assert venue.get("state")["faults"] == {"delay": 1}


def test_a_rejection_has_the_ordered_code_and_hits_as_often_as_ordered(simulator: Start) -> None:
    venue = simulator()
    venue.post("fault", kind="reject", code=-2010, text="Order would immediately match and take.", count=2)

    async def act(exchange: Any) -> None:
        for _ in range(2):
            with pytest.raises(ccxt.OrderImmediatelyFillable):
                await exchange.create_order(SYMBOL, "market", "buy", 0.01)
        assert (await exchange.create_order(SYMBOL, "market", "buy", 0.01))["status"] == "closed"

    drive(venue, act)


def test_a_status_fault_answers_with_its_status_and_retry_after(simulator: Start) -> None:
    venue = simulator()
    venue.post("fault", kind="status", status=429, retry_after=7, path="/fapi/v3/account")

    async def act(exchange: Any) -> None:
        with pytest.raises(ccxt.DDoSProtection):
            await exchange.fetch_balance()
        assert exchange.last_response_headers["Retry-After"] == "7"
        assert (await exchange.fetch_balance())["USDT"]["total"] == 100_000

    drive(venue, act)


def test_an_answer_that_breaks_off_leaves_an_executed_order_and_an_error(simulator: Start) -> None:
    venue = simulator()
    venue.post("fault", kind="cut")

    async def act(exchange: Any) -> None:
        with pytest.raises(ccxt.BaseError):
            await exchange.create_order(SYMBOL, "market", "buy", 0.01, params={"newClientOrderId": "half"})

    drive(venue, act)
    assert {fill["client_id"] for fill in venue.get("truth")["fills"]} == {"half"}


def test_a_call_can_be_answered_with_any_text(simulator: Start) -> None:
    venue = simulator()
    venue.post("fault", kind="answer", text="<html>busy</html>", path="/fapi/v1/order", count=1)

    async def act(exchange: Any) -> None:
        order = await exchange.create_order(SYMBOL, "market", "buy", 0.01)
        assert order["id"] is None  # ccxt takes HTML with status 200 for a success

    drive(venue, act)
    assert venue.get("truth")["fills"] == []


@pytest.mark.parametrize(("kind", "heard"), [("user_drop", 1), ("user_dup", 3), ("clear", 2)])
def test_user_events_are_lost_or_doubled_as_ordered(simulator: Start, kind: str, heard: int) -> None:
    venue = simulator()
    events: list[str] = []

    async def act(exchange: Any) -> None:
        inner = exchange.handle_message

        def listen(socket: Any, message: Any) -> None:
            events.append(message.get("e", ""))
            inner(socket, message)

        exchange.handle_message = listen
        watching = asyncio.create_task(exchange.watch_orders(SYMBOL))
        await until(lambda: any(c["user"] for c in venue.get("state")["connections"]), "the user stream")
        venue.post("fault", kind=kind, product="usdm")
        await exchange.create_order(SYMBOL, "market", "buy", 0.002)
        await until(lambda: "ACCOUNT_UPDATE" in events, "the last event")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    drive(venue, act)
    assert events.count("ORDER_TRADE_UPDATE") == heard


def test_a_subscription_that_is_never_acknowledged_hangs_and_the_next_one_works(simulator: Start) -> None:
    venue = simulator()
    venue.post("fault", kind="no_ack", product="usdm")

    async def act(exchange: Any) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await watch_books(exchange, 1, patience_s=1.0)
        assert venue.get("state")["faults"] == {"no_ack": 1}
        venue.post("fault", kind="abort", product="usdm")
        await until(lambda: not venue.get("state")["connections"], "the old connection to be gone")
        for _ in range(3):
            try:
                await watch_books(exchange, 2)
                return
            except ccxt.NetworkError:
                continue
        raise AssertionError("no book after the third dial")

    drive(venue, act)


def test_a_refused_handshake_is_an_error_and_the_next_dial_works(simulator: Start) -> None:
    venue = simulator()
    venue.post("fault", kind="handshake", status=429, retry_after=1)

    async def act(exchange: Any) -> None:
        with pytest.raises(ccxt.NetworkError):
            await watch_books(exchange, 1)
        await watch_books(exchange, 2)

    drive(venue, act)
    assert venue.get("state")["faults"] == {"handshake": 1}


@pytest.mark.parametrize("kind", ["close", "abort", "gap"])
def test_a_broken_stream_is_noticed_and_the_book_comes_back_true(simulator: Start, kind: str) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await watch_books(exchange, 4)
        venue.post("fault", kind=kind, product="usdm")
        with pytest.raises(ccxt.NetworkError):
            await watch_books(exchange, 100)

        async def synced() -> bool:
            book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
            true = venue.get("book?product=usdm&symbol=BTCUSDT")
            bids = [[float(p), float(q)] for p, q in true["bids"]]
            return book["nonce"] == true["last_update_id"] and book["bids"][:20] == bids

        for _ in range(50):
            if await synced():
                return
        raise AssertionError("the book never equalled the true one again")

    drive(venue, act)
    assert venue.get("state")["faults"] == {kind: 1}


@pytest.mark.parametrize(("kind", "expected"), [("garble", "broken"), ("dup", "twice")])
def test_a_garbled_delta_is_no_json_and_a_doubled_one_comes_twice(simulator: Start, kind: str, expected: str) -> None:
    venue = simulator()
    venue.post("fault", kind=kind, product="usdm", symbol="BTCUSDT")

    async def act() -> list[str]:
        url = f"ws://127.0.0.1:{venue.port}/fstream.binance.com/public/ws/0"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1})
            await socket.receive_json()
            return [await asyncio.wait_for(socket.receive_str(), 20) for _ in range(3)]

    first, second, third = asyncio.run(act())
    if expected == "broken":
        with pytest.raises(json.JSONDecodeError):
            json.loads(first)
        assert json.loads(third)["pu"] == json.loads(second)["u"]
    else:
        assert first == second
        assert json.loads(third)["pu"] == json.loads(second)["u"]
    assert venue.get("state")["faults"] == {kind: 1}


def test_a_stall_stops_data_but_not_the_answers(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
        venue.post("fault", kind="stall", product="usdm", seconds=600)
        with pytest.raises(asyncio.TimeoutError):
            await watch_books(exchange, 100, patience_s=1.0)
        assert (await exchange.fetch_time()) == pytest.approx(time.time() * 1000, abs=5000)
        venue.post("fault", kind="clear")
        frames = venue.get("state")["frames"]["binanceusdm:BTC/USDT:USDT"]["depth"]
        await until(
            lambda: venue.get("state")["frames"]["binanceusdm:BTC/USDT:USDT"]["depth"] > frames, "data after the stall"
        )

    drive(venue, act)


def test_a_parked_venue_closes_streams_refuses_calls_and_comes_back(simulator: Start) -> None:
    venue = simulator()

    async def act(exchange: Any) -> None:
        await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
        venue.post("park", parked=True)
        with pytest.raises(ccxt.NetworkError):
            await watch_books(exchange, 100)
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await exchange.fetch_time()
        assert venue.get("state")["parked"] is True
        venue.post("park", parked=False)
        assert await exchange.fetch_time() > 0

    drive(venue, act)


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"kind": "flood"}, "fault kind 'flood' is unknown; known are gap, dup, garble"),
        ({"kind": "gap", "cuont": 3}, "unknown fields cuont"),
        ({"kind": "delay", "when": "during"}, "want before or after"),
        ({"kind": "gap", "count": "many"}, "Expected `int`"),
    ],
)
def test_a_malformed_fault_order_is_refused_with_a_sentence(simulator: Start, order: dict[str, Any], text: str) -> None:
    venue = simulator()
    with pytest.raises(urllib.error.HTTPError) as refused:
        venue.post("fault", **order)
    assert refused.value.code == 400
    assert text in refused.value.read().decode()
    assert venue.get("state")["faults_ordered"] == []


def test_a_host_that_is_not_simulated_is_refused_by_name(simulator: Start) -> None:
    venue = simulator()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{venue.port}/dapi.binance.com/dapi/v1/ping", timeout=10)
    assert refused.value.code == 404
    assert "dapi.binance.com' is not simulated" in refused.value.read().decode()
