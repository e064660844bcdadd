"""The simulator as a child: what its actor says, and what is left of the venue after kill -9."""

from __future__ import annotations

import asyncio
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.messages.market import ReplayFinished
from actors.simulator import Simulator
from actors.venues.market import Market
from actors.venues.sim_port import VenueFailed, VenueFinished, VenueListening, VenueProgress, open
from actors.venues.simulator.generator import resume
from supervisor.message import Message
from tests.venues.venue_side import client


class Door:
    """Stands in for the host's context: notes what the actor does."""

    name = "sim:binance"

    def __init__(self) -> None:
        self.inbox: queue.Queue[Message] = queue.Queue()
        self.published: list[Message] = []
        self.marks: list[str] = []
        self.is_ready = False
        self.post = self.inbox.put

    def publish(self, message: Message) -> None:
        self.published.append(message)

    def progress(self, mark: str) -> None:
        self.marks.append(mark)

    def ready(self) -> None:
        self.is_ready = True


class SilentPort:
    closed = False

    def close(self) -> None:
        self.closed = True


def hosted(port: Callable[..., Any], **settings: Any) -> tuple[Simulator, Door]:
    actor, door = Simulator(), Door()
    actor.ctx = door  # type: ignore[assignment]
    actor.init(opens=port, **settings)
    return actor, door


def test_it_is_ready_when_the_socket_listens_and_says_once_that_the_recording_is_over() -> None:
    port = SilentPort()
    actor, door = hosted(lambda _post, **_settings: port, started_ns=7)
    assert not door.is_ready

    actor.handle(VenueListening(port=1234))
    actor.handle(VenueProgress(frames=0))
    actor.handle(VenueProgress(frames=10))
    actor.handle(VenueProgress(frames=10))
    actor.handle(VenueFinished(frames={"binance:BTC/USDT": 10}, first_ns=1, last_ns=2, wall_s=0.5, injected={"gap": 1}))
    actor.terminate("test")

    assert door.is_ready
    assert door.marks == ["listening on 1234", "10 frames"]
    assert door.published == [
        ReplayFinished(
            frames={"binance:BTC/USDT": 10}, first_ns=1, last_ns=2, wall_s=0.5, injected={"gap": 1}, started_ns=7
        )
    ]
    assert port.closed


def test_a_failed_venue_ends_the_actor_with_the_reason() -> None:
    actor, _ = hosted(lambda _post, **_settings: SilentPort())
    with pytest.raises(RuntimeError, match="sim:binance ended: OSError: taken"):
        actor.handle(VenueFailed(reason="OSError: taken"))


def test_the_port_posts_that_it_listens_then_progress_and_its_server_answers(tmp_path: Path) -> None:
    actor, door = hosted(open, home=str(tmp_path))
    try:
        listening = door.inbox.get(timeout=20)
        assert isinstance(listening, VenueListening)

        async def ask() -> int:
            exchange = client("spot", listening.port)
            try:
                return await exchange.fetch_time()
            finally:
                await exchange.close()

        assert asyncio.run(ask()) > 0
        assert isinstance(door.inbox.get(timeout=20), VenueProgress)
    finally:
        actor.terminate("test")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"data": "nowhere"}, "FileNotFoundError: no recording in nowhere"),
        ({"symbols": ["DOGE"]}, "ValueError: the built-in market knows BTC, ETH, SOL"),
        ({"faults": "gap:3"}, r"ValueError: a fault plan \(gap:3\) needs a recording"),
    ],
)
def test_a_venue_that_cannot_start_posts_why(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    actor, door = hosted(open, home=str(tmp_path), **settings)
    failed = door.inbox.get(timeout=20)
    with pytest.raises(RuntimeError, match=reason):
        actor.handle(failed)
    actor.terminate("test")


def test_a_port_closed_while_its_failed_server_closes_the_loop_is_no_second_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, let_go = threading.Event(), threading.Event()
    close = asyncio.SelectorEventLoop.close

    def close_and_linger(loop: asyncio.SelectorEventLoop) -> None:  # the race held open: loop closed, thread alive
        close(loop)
        closed.set()
        let_go.wait(1.0)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "close", close_and_linger)
    posted: queue.Queue[Message] = queue.Queue()
    port = open(posted.put, home=str(tmp_path), data="nowhere")
    assert closed.wait(20)
    port.close()
    let_go.set()
    assert isinstance(posted.get_nowait(), VenueFailed)


SERVE = """
import sys
from actors.venues.simulator.main import serve
serve(home=sys.argv[1], listening=lambda port: print(port, flush=True))
"""


def serve(home: Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_the_built_in_market_goes_on_where_it_was_and_a_damaged_memory_starts_anew(tmp_path: Path) -> None:
    saved = tmp_path / "market.pickle"
    market = Market(3, ("BTC",))
    for _ in range(50):
        market.step()
    saved.write_bytes(pickle.dumps((3, ("BTC",), market)))

    assert resume(saved, 3, ("BTC",)).step() == market.step()
    assert resume(saved, 4, ("BTC",)).step() == Market(4, ("BTC",)).step()
    for damage in (b"", b"damage", saved.read_bytes()[:-10]):
        saved.write_bytes(damage)
        assert resume(saved, 3, ("BTC",)).step() == Market(3, ("BTC",)).step()


@pytest.mark.process
def test_after_kill_9_the_venue_knows_every_order_it_acknowledged_and_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    async def trade(port: int) -> list[str]:
        exchange = client("usdm", port)
        try:
            await exchange.load_markets()
            known = []
            for number in range(20):
                params = {"newClientOrderId": f"n{number}"}
                await exchange.create_order("BTC/USDT:USDT", "market", "buy", 0.002, params=params)
                known.append(f"n{number}")
            return known
        finally:
            await exchange.close()

    async def read(port: int) -> tuple[list[str], float]:
        exchange = client("usdm", port)
        try:
            trades = await exchange.fetch_my_trades("BTC/USDT:USDT")
            orders = [await exchange.fetch_order(t["order"], "BTC/USDT:USDT") for t in trades]
            positions = await exchange.fetch_positions(["BTC/USDT:USDT"])
            assert abs(positions[0]["markPrice"] / positions[0]["entryPrice"] - 1) < 0.005, "the market jumped"
            return [order["clientOrderId"] for order in orders], positions[0]["contracts"]
        finally:
            await exchange.close()

    first, port = serve(tmp_path)
    acknowledged = asyncio.run(trade(port))
    os.kill(first.pid, signal.SIGKILL)
    first.wait(20)

    second, port = serve(tmp_path)
    try:
        found, contracts = asyncio.run(read(port))
        assert list(dict.fromkeys(found)) == acknowledged
        assert contracts == pytest.approx(0.04)
    finally:
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
