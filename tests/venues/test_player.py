"""The player, against real recordings with known answers (data README, section 1)."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.venues.simulator.faults import MARGIN_S, parse_plan, spread
from actors.venues.simulator.player import find
from tests.venues.venue_side import Running, client, until

Start = Callable[..., Running]
pytestmark = pytest.mark.data


@pytest.fixture
def recordings(shared_data: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """`recordings("spot_btcusdt")`: a directory with links to these recordings only."""

    def link(*names: str) -> Path:
        directory = tmp_path / "data"
        directory.mkdir()
        for name in names:
            file = f"{name}_20240808.gz"
            (directory / file).symlink_to(shared_data("binance_ws_20240808") / file)
        return directory

    return link


async def follow(exchange: Any, symbol: str, errors: list[BaseException]) -> None:
    """Keep a book for ever; what ccxt raises is noted and the book is watched again."""
    while True:
        try:
            await exchange.watch_order_book(symbol)
        except ccxt.NetworkError as error:
            errors.append(error)
            await asyncio.sleep(0.01)


async def books(
    venue: Running, instruments: dict[str, str]
) -> tuple[dict[str, tuple[float, float]], list[BaseException]]:
    """Follow these symbols (by product) to the end of the recording: the final best bid and ask, and the errors."""
    exchanges = {product: client(product, venue.port) for product in instruments}
    errors: list[BaseException] = []
    tasks = [asyncio.create_task(follow(exchanges[p], symbol, errors)) for p, symbol in instruments.items()]
    try:
        await until(lambda: venue.get("state")["player"]["finished"], "the recording to end", 60)

        def final() -> dict[str, tuple[float, float]] | None:
            found = {}
            for product, symbol in instruments.items():
                book = exchanges[product].orderbooks[symbol]
                true = venue.get(f"book?product={product}&symbol={exchanges[product].market(symbol)['id']}")
                if book["nonce"] != true["last_update_id"]:
                    return None
                found[product] = (book["bids"][0][0], book["asks"][0][0])
            return found

        return await until(final, "ccxt to have read the last delta"), errors
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for exchange in exchanges.values():
            await exchange.close()


def test_a_whole_recording_ends_with_the_known_best_prices(simulator: Start, recordings: Callable[..., Path]) -> None:
    venue = simulator(data=str(recordings("spot_btcusdt", "usdm_btcusdt")), speed=0.0)

    final, errors = asyncio.run(books(venue, {"spot": "BTC/USDT", "usdm": "BTC/USDT:USDT"}))

    assert final == {"spot": (61685.99, 61686.00), "usdm": (61659.7, 61659.8)}
    assert errors == []
    state = venue.get("state")
    assert state["frames"]["binance:BTC/USDT"]["depth"] == 3451
    assert state["frames"]["binanceusdm:BTC/USDT:USDT"]["depth"] == 6551
    assert state["player"]["played"] == {"depth": 10002, "trade": 31070, "bookTicker": 94129, "snapshot": 2}


def test_planned_faults_are_injected_exactly_and_the_client_recovers_to_the_known_prices(
    simulator: Start, recordings: Callable[..., Path]
) -> None:
    plan = {"gap": 5, "dup": 40}
    settings = {"data": str(recordings("spot_btcusdt")), "speed": 60.0, "seed": 11}
    venue = simulator(faults="gap:5,dup:40", **settings)

    final, errors = asyncio.run(books(venue, {"spot": "BTC/USDT"}))

    assert final == {"spot": (61685.99, 61686.00)}
    state = venue.get("state")
    assert state["faults"] == plan
    assert state["frames"]["binance:BTC/USDT"]["depth"] == 3451 - 5 + 40
    assert errors, "a lost delta goes unnoticed"
    assert all(isinstance(error, ccxt.ChecksumError) for error in errors)
    times = [entry["event_ns"] for entry in venue.get("faults")]
    first, last = state["player"]["first_ns"], state["player"]["last_ns"]
    assert first + (MARGIN_S - 1) * 1e9 < min(times) < max(times) < last - (MARGIN_S - 1) * 1e9


def test_a_book_hurt_by_a_fault_goes_on_with_empty_deltas_until_its_client_has_fetched_it_anew(
    simulator: Start, recordings: Callable[..., Path]
) -> None:
    venue = simulator(data=str(recordings("usdm_btcusdt")), speed=0.0, seed=4, faults="gap:5")  # over in a blink

    async def act() -> list[dict[str, Any]]:
        import aiohttp

        url = f"ws://127.0.0.1:{venue.port}/fstream.binance.com/ws/0"
        rest = f"http://127.0.0.1:{venue.port}/fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=5"
        closing: list[dict[str, Any]] = []
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth"], "id": 1})
            assert (await socket.receive_json())["id"] == 1
            async with session.get(rest) as captured:
                assert (await captured.json())["bids"][0][0] == "61800.20"
            while len(closing) < 5:
                frame = await asyncio.wait_for(socket.receive_json(), 30)
                if frame.get("e") == "depthUpdate" and not frame["b"] and not frame["a"]:
                    closing.append(frame)
            assert not venue.get("state")["player"]["finished"]
            async with session.get(rest) as answer:
                assert (await answer.json())["bids"][0][0] == "61659.70"
            await until(lambda: venue.get("state")["player"]["finished"], "the recording to end", 30)
        return closing

    closing = asyncio.run(act())
    assert closing[0]["pu"] == 5123135475514  # the recording's last
    assert all(after["pu"] == before["u"] for before, after in itertools.pairwise(closing))


def test_nothing_is_played_before_every_book_is_subscribed(simulator: Start, recordings: Callable[..., Path]) -> None:
    venue = simulator(data=str(recordings("spot_btcusdt", "spot_ethusdt")), speed=0.0)

    async def act() -> None:
        exchange = client("spot", venue.port)
        errors: list[BaseException] = []
        first = asyncio.create_task(follow(exchange, "BTC/USDT", errors))
        try:
            await until(lambda: venue.get("state")["player"]["missing"] == ["spot ETHUSDT"], "the first subscription")
            await until(lambda: "BTC/USDT" in exchange.orderbooks, "the first book")
            assert venue.get("state")["player"]["played"] == {}
            second = asyncio.create_task(follow(exchange, "ETH/USDT", errors))
            await until(lambda: venue.get("state")["player"]["finished"], "the recording to end", 60)
            second.cancel()
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await exchange.close()

    asyncio.run(act())


def test_a_client_that_comes_back_in_the_middle_gets_the_true_book(
    simulator: Start, recordings: Callable[..., Path]
) -> None:
    venue = simulator(data=str(recordings("spot_btcusdt")), speed=100.0)

    async def act() -> None:
        first = client("spot", venue.port)
        await asyncio.wait_for(first.watch_order_book("BTC/USDT"), 20)
        await until(lambda: venue.get("state")["player"]["played"].get("depth", 0) > 300, "the middle")
        await first.close()

    asyncio.run(act())
    final, errors = asyncio.run(books(venue, {"spot": "BTC/USDT"}))

    assert final == {"spot": (61685.99, 61686.00)}
    assert errors == []


def test_data_is_wrapped_on_stream_connections_and_acknowledged_first(
    simulator: Start, recordings: Callable[..., Path]
) -> None:
    venue = simulator(data=str(recordings("spot_btcusdt")), speed=0.0)

    async def act() -> list[dict[str, Any]]:
        import aiohttp

        url = f"ws://127.0.0.1:{venue.port}//stream.binance.com:9443/stream"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth"], "id": 5})
            return [await asyncio.wait_for(socket.receive_json(), 20) for _ in range(2)]

    ack, frame = asyncio.run(act())
    assert ack == {"result": None, "id": 5}
    assert (frame["stream"], frame["data"]["e"]) == ("btcusdt@depth", "depthUpdate")


def test_a_recording_with_broken_lines_is_played_as_it_is(simulator: Start, tmp_path: Path) -> None:
    def delta(number: int) -> str:
        data = {"e": "depthUpdate", "E": number, "s": "BTCUSDT", "U": number, "u": number, "b": [["9", "1"]], "a": []}
        return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}, separators=(",", ":"))

    snapshot = '{"lastUpdateId":10,"bids":[["9.0","2.0"]],"asks":[["10.0","3.0"]]}'
    texts = [delta(10), snapshot, delta(11), delta(12)[:-9], "no time", delta(13)]
    lines = "".join(f"{i} {text}\n" if text != "no time" else "no time\n" for i, text in enumerate(texts, 1))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spot_btcusdt_x.gz").write_bytes(gzip.compress(lines.encode())[:-4])  # and a torn end
    (tmp_path / "data" / "cm_btcusd_x.gz").write_bytes(b"never opened")
    venue = simulator(data=str(tmp_path / "data"), speed=0.0)

    async def act() -> list[str]:
        import aiohttp

        url = f"ws://127.0.0.1:{venue.port}/stream.binance.com:9443/ws/0"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth"], "id": 1})
            return [await asyncio.wait_for(socket.receive_str(), 20) for _ in range(5)]

    _, first, second, broken, last = asyncio.run(act())
    assert [json.loads(text)["u"] for text in (first, second, last)] == [10, 11, 13]
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert venue.get("book?product=spot&symbol=BTCUSDT")["bids"] == [["9", "1"]]
    assert venue.get("state")["player"]["broken"] == 1


def test_a_directory_without_recordings_or_with_doubles_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="want files named spot_<symbol>"):
        find(tmp_path)
    for day in ("1", "2"):
        line = b'1 {"lastUpdateId":1,"bids":[],"asks":[]}\n'
        (tmp_path / f"spot_btcusdt_{day}.gz").write_bytes(gzip.compress(line))
    with pytest.raises(ValueError, match="two recordings of spot BTCUSDT"):
        find(tmp_path)


@given(
    gaps=st.integers(0, 30),
    dups=st.integers(0, 30),
    seed=st.integers(0, 5),
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=4),
)
def test_a_plan_places_every_fault_once_away_from_both_ends_and_the_same_for_a_seed(
    gaps: int, dups: int, seed: int, sizes: list[int]
) -> None:
    deltas = [tuple(range(0, size * 100_000_000, 100_000_000)) for size in sizes]
    plan = {"gap": gaps, "dup": dups}
    last = max((times[-1] for times in deltas if times), default=0)
    margin = int(MARGIN_S * 1e9)
    room = sum(margin <= ns <= last - margin for times in deltas for ns in times)
    if gaps + dups > room:
        with pytest.raises(ValueError, match="faults planned"):
            spread(plan, deltas, seed)
        return

    chosen = spread(plan, deltas, seed)

    kinds = [kind for recording in chosen for kind in recording.values()]
    assert (kinds.count("gap"), kinds.count("dup")) == (gaps, dups)
    times = [deltas[i][n] for i, recording in enumerate(chosen) for n in recording]
    assert all(margin <= ns <= last - margin for ns in times)
    assert chosen == spread(plan, deltas, seed)


@pytest.mark.parametrize("text", ["gap", "gap:", "gap:x", "flood:3", "gap:-1"])
def test_a_malformed_plan_is_refused_with_the_part_and_the_kinds(text: str) -> None:
    with pytest.raises(ValueError, match="want KIND:COUNT with KIND one of gap, dup, garble"):
        parse_plan(text)
