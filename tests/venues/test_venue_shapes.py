"""What the simulator says has the shape of what the real venue says: recorded frames and upstream's example payloads.

Every key of the real document must be there, with the same JSON type; `EXCEPT` lists what we leave out, and why.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import pytest

from actors.venues.simulator.player import find, frames
from actors.venues.simulator.signing import signature
from tests.venues.venue_side import Running, client, until

Start = Callable[..., Running]
pytestmark = pytest.mark.data

EXCEPT = {
    "ORDER_TRADE_UPDATE": {"AP", "cr"},  # of trailing stops only
    "ACCOUNT_UPDATE": {"i"},  # an alias of the account
}


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def missing(ours: dict[str, Any], real: dict[str, Any], but: frozenset[str] | set[str] = frozenset()) -> list[str]:
    """What of the real document ours lacks, or says in another JSON type; None may stand for any type."""
    faults = []
    for key, value in real.items():
        if key in but:
            continue
        if key not in ours:
            faults.append(f"{key} is missing")
        elif isinstance(value, dict) and isinstance(ours[key], dict):
            faults += [f"{key}.{fault}" for fault in missing(ours[key], value, but)]
        elif None not in (value, ours[key]) and kind(ours[key]) != kind(value):
            faults.append(f"{key} is a {kind(ours[key])}, the real one a {kind(value)}")
    return faults


async def hear(venue: Running, product: str, streams: list[str], kinds: set[str]) -> dict[str, dict[str, Any]]:
    """The first frame of each event kind on these streams."""
    host = "stream.binance.com:9443/ws/0" if product == "spot" else "fstream.binance.com/public/ws/0"
    heard: dict[str, dict[str, Any]] = {}
    url = f"ws://127.0.0.1:{venue.port}/{host}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
        assert await socket.receive_json() == {"result": None, "id": 1}
        while not kinds <= set(heard):
            frame = await asyncio.wait_for(socket.receive_json(), 20)
            heard.setdefault(frame.get("e", "bookTicker"), frame)
    return heard


@pytest.mark.parametrize("product", ["spot", "usdm"])
def test_generated_book_trade_and_top_frames_have_the_recorded_ones_shape(
    simulator: Start, shared_data: Callable[[str], Path], product: str
) -> None:
    recording = next(r for r in find(shared_data("binance_ws_20240808")) if r.key == (product, "BTCUSDT"))
    real: dict[str, dict[str, Any]] = {}
    for frame in frames(recording, 0):
        real.setdefault(frame.kind, json.loads(frame.data))
        if {"depth", "trade", "bookTicker"} <= set(real):
            break
    venue = simulator()
    streams = ["btcusdt@depth@100ms", "btcusdt@trade", "btcusdt@bookTicker"]

    ours = asyncio.run(hear(venue, product, streams, {"depthUpdate", "trade", "bookTicker"}))

    assert missing(ours["depthUpdate"], real["depth"]) == []
    assert missing(ours["trade"], real["trade"]) == []
    assert missing(ours["bookTicker"], real["bookTicker"]) == []


def examples(shared_data: Callable[[str], Path], event: str) -> list[dict[str, Any]]:
    rows = json.loads((shared_data("ccxt_static") / "payload_examples" / "binance.json").read_text())["rows"]
    found = [row["payload"] for row in rows if isinstance(row["payload"], dict) and row["payload"].get("e") == event]
    return [payload for payload in found if not isinstance(payload.get("o"), list) or event != "ORDER_TRADE_UPDATE"]


def test_ticker_and_candle_frames_have_the_examples_shape(simulator: Start, shared_data: Callable[[str], Path]) -> None:
    venue = simulator()
    streams = ["btcusdt@miniTicker", "btcusdt@ticker", "btcusdt@kline_1m", "btcusdt@aggTrade"]

    ours = asyncio.run(hear(venue, "spot", streams, {"24hrMiniTicker", "24hrTicker", "kline", "aggTrade"}))

    for event, frame in ours.items():
        for real in examples(shared_data, event):
            assert missing(frame, real) == [], event


def test_user_events_have_the_recorded_ones_shape(simulator: Start, shared_data: Callable[[str], Path]) -> None:
    venue = simulator()
    heard: dict[str, list[dict[str, Any]]] = {}

    async def act() -> None:
        spot, usdm = client("spot", venue.port), client("usdm", venue.port)
        for exchange in (spot, usdm):
            inner = exchange.handle_message

            def listen(socket: Any, message: Any, inner: Callable[..., Any] = inner) -> None:
                event = message.get("event", message)
                if "e" in event:
                    heard.setdefault(event["e"], []).append(json.loads(json.dumps(event)))
                inner(socket, message)

            exchange.handle_message = listen
        watching = [asyncio.create_task(exchange.watch_orders()) for exchange in (spot, usdm)]
        try:
            await until(lambda: sum(c["user"] for c in venue.get("state")["connections"]) == 2, "both user streams")
            await spot.create_order("BTC/USDT", "market", "buy", 0.01)
            order = await spot.create_order("BTC/USDT", "limit", "buy", 0.01, 10_000)
            await spot.cancel_order(order["id"], "BTC/USDT")
            await usdm.create_order("BTC/USDT:USDT", "market", "buy", 0.1)
            stop = {"stopLossPrice": 10_000, "reduceOnly": True}
            await usdm.create_order("BTC/USDT:USDT", "market", "sell", 0.1, params=stop)
            await until(lambda: len(heard) == 5, "all five user events")
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await spot.close()
            await usdm.close()

    asyncio.run(act())
    recorded = json.loads((shared_data("ccxt_static") / "ws" / "binance.json").read_text())["methods"]["watchOrders"]
    real = [m["event"] for case in recorded for m in case["messages"] if "event" in m]
    assert real, "no recorded user events"
    for event in ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE", "outboundAccountPosition"):
        real += examples(shared_data, event)
    for document in real:
        ours = heard[document["e"]][-1]
        assert missing(ours, document, EXCEPT.get(document["e"], frozenset())) == [], document["e"]
        if document["e"] == "ACCOUNT_UPDATE":
            for part in ("B", "P"):
                assert missing(ours["a"][part][0], document["a"][part][0]) == []


def test_recorded_requests_are_understood_after_signing_them_anew(
    simulator: Start, shared_data: Callable[[str], Path]
) -> None:
    venue = simulator(symbols=("BTC", "ETH", "SOL"))
    cases = json.loads((shared_data("ccxt_static") / "request" / "binance.json").read_text())["methods"]["createOrder"]

    async def act() -> None:
        async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": "sim-key"}) as session:
            for case in cases:
                product = "fapi.binance.com/fapi" if "fapi" in case["url"] else "api.binance.com/api"
                path = case["url"].partition("/fapi/" if "fapi" in case["url"] else "/api/")[2]
                fields = dict(parse_qsl(case["output"])) | {"symbol": "BTCUSDT", "price": "30000", "quantity": "0.01"}
                if "triggerPrice" in fields:
                    fields |= {"triggerPrice": "900000"}
                fields.pop("signature")
                clock = await session.get(f"http://127.0.0.1:{venue.port}/api.binance.com/api/v3/time")
                fields["timestamp"] = str((await clock.json())["serverTime"])
                body = urlencode(fields)
                body += "&signature=" + signature(body.encode(), "sim-secret")
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                url = f"http://127.0.0.1:{venue.port}/{product}/{path}"
                answer = await session.post(url, data=body, headers=kind)
                document = await answer.json()
                assert answer.status == 200, (case["description"], document)
                sent = (fields["side"], fields["type"], float(fields["quantity"]))
                size = document.get("origQty") or document["quantity"]
                assert (document["side"], document.get("type") or document["orderType"], float(size)) == sent

    asyncio.run(act())
    plain = [dict(parse_qsl(case["output"])) for case in cases if "algoOrder" not in case["url"]]
    assert {fields["newClientOrderId"] for fields in plain} <= {
        order["client_id"] for order in venue.get("truth")["open_orders"]
    }


def test_answers_have_at_least_the_recorded_ones_keys(simulator: Start, shared_data: Callable[[str], Path]) -> None:
    venue = simulator()
    methods = json.loads((shared_data("ccxt_static") / "response" / "binance.json").read_text())["methods"]

    async def act() -> dict[str, dict[str, Any]]:
        spot, usdm = client("spot", venue.port), client("usdm", venue.port)
        try:
            await usdm.load_markets()
            await usdm.create_order("BTC/USDT:USDT", "market", "buy", 0.1)
            created = await spot.create_order("BTC/USDT", "limit", "buy", 0.01, 10_000)
            await spot.create_order("BTC/USDT", "market", "buy", 0.01)
            await asyncio.wait_for(spot.watch_trades("BTC/USDT"), 20)
            return {
                "createOrder": created["info"],
                "fetchPositions": (await usdm.fapiprivatev3_get_positionrisk())[0],
                "fetchOrders": (await spot.fetch_orders("BTC/USDT"))[0]["info"],
                "fetchTrades": (await spot.fetch_trades("BTC/USDT"))[0]["info"],
            }
        finally:
            await spot.close()
            await usdm.close()

    ours = asyncio.run(act())
    for method, document in ours.items():
        for case in methods[method]:
            real = case["httpResponse"][0] if isinstance(case["httpResponse"], list) else case["httpResponse"]
            lacking = set(real) - set(document) - {"icebergQty"}
            assert lacking == set(), (method, case["description"])
