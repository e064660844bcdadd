"""How much of raw pyzmq the typed bus keeps: one PUB process, one SUB process, ipc, nothing lost.

Raw: a blocking `recv` loop over frames of the same size. Ours, twice: from `ctx.publish(Tick)` to the decoded envelope,
and on to `handle` of an actor in its pykka host (batches, vitals, transaction and all).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import zmq

from actors.messages.market import Tick
from benchmarks.pairs import paired, report
from supervisor.actor import Actor
from supervisor.evidence import echo, vitals
from supervisor.message import Message, Provenance
from supervisor.runtime import bus
from supervisor.runtime.codec import Decoder
from supervisor.runtime.host import Cast, Ending, Host
from supervisor.runtime.inbox import Inbox
from supervisor.runtime.transaction import Transaction

COUNT = 200_000
TICK = Tick(
    venue="binance",
    symbol="BTC/USDT",
    bid=61685.99,
    ask=61686.0,
    bid_size=1.25,
    ask_size=0.75,
    bid_depth=6.5,
    ask_depth=4.25,
    bought=0.5,
    sold=0.25,
    book_seq=50093239218,
)


def transaction(home: Path, name: str, inbox: Inbox, publisher: Any) -> tuple[Transaction, vitals.Slot]:
    slot = vitals.Page(home / f"{name}.page", 1, (name,)).slots[name]
    tx = Transaction(
        name=name,
        incarnation=1,
        provenance=Provenance.SYNTHETIC,
        replay=False,
        rng=Random(1),
        inbox=inbox,
        publisher=publisher,
        journal=None,
        journals_dir=home,
        routes=(),
        kinds=(Tick,),
        slot=slot,
        ask_root=lambda name, payload: None,
        say_ready=lambda: None,
        complain=print,
    )
    return tx, slot


def no_drop(publisher: bus.Publisher) -> None:
    """The flood must wait instead of dropping, on both sides of the comparison."""
    publisher._socket.set(zmq.XPUB_NODROP, 1)


def send(home: Path, endpoint: str, typed: bool | bytes, go: Connection) -> None:
    """Flood: typed, or raw frames of the same size, or this frame again and again, faster than anybody hears."""
    context = bus.context()
    publisher = bus.Publisher(context, endpoint)
    no_drop(publisher)
    go.recv()
    if isinstance(typed, bytes):
        for _ in range(COUNT):
            publisher.send(typed)
    elif typed:
        tx, _ = transaction(home, "sender", Inbox(bus.Listener(context)), publisher)
        for _ in range(COUNT):
            tx.publish(TICK)
    else:
        frame = bytes(FRAME_SIZE)
        frame = b"Tick:" + frame[5:]
        for _ in range(COUNT):
            publisher.send(frame)
    go.recv()  # stay until the receiver has everything
    os._exit(0)


def run(receive: Callable[[str, Callable[[], None]], float], typed: bool | bytes) -> float:
    """messages/s seen by the receiver."""
    with tempfile.TemporaryDirectory(prefix="qtb-") as folder:
        endpoint = f"ipc://{folder}/p"
        ours, theirs = multiprocessing.Pipe()
        sender = multiprocessing.get_context("fork").Process(target=send, args=(Path(folder), endpoint, typed, theirs))
        sender.start()
        rate = receive(endpoint, lambda: ours.send("go"))
        ours.send("end")
        sender.join()
        return rate


def settle() -> None:
    time.sleep(0.2)  # a SUB needs a moment to reach its PUB; nothing here measures that


def raw(endpoint: str, go: Callable[[], None]) -> float:
    context = bus.context()
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RCVHWM, bus.RECEIVE_QUEUE)
    socket.subscribe(b"Tick:")
    socket.connect(endpoint)
    settle()
    go()
    socket.recv()
    start = time.perf_counter()
    receive = socket.recv
    for _ in range(COUNT - 1):
        receive()
    took = time.perf_counter() - start
    socket.close()
    context.term()
    return (COUNT - 1) / took


def decoded(endpoint: str, go: Callable[[], None]) -> float:
    context = bus.context()
    listener = bus.Listener(context)
    listener.connect(endpoint, [b"Tick:"])
    decode = Decoder((Tick,)).decode
    settle()
    go()
    seen, start = 0, 0.0
    while seen < COUNT:
        first = listener.first() or listener.wait(1.0, 0.0)
        if first is None:
            continue
        start = start or time.perf_counter()
        decode(first)
        seen += 1
        for frame in listener.rest(256):
            decode(frame)
            seen += 1
    took = time.perf_counter() - start
    listener.close()
    context.term()
    return seen / took


class Counter(Actor):
    """Counts ticks; says when it has them all."""

    subscribes = (Tick,)

    def init(self, done: Any) -> None:
        self.seen = 0
        self.start = 0.0
        self.done = done

    def handle(self, message: Message) -> None:
        self.seen += 1
        if self.seen == 1:
            self.start = time.perf_counter()
        elif self.seen == COUNT:
            self.done.set_result((COUNT - 1) / (time.perf_counter() - self.start))


def handled(endpoint: str, go: Callable[[], None], kind: type[Host] = Host, ladder: bool = False) -> float:
    """Messages/s of an actor in its host; with the `ladder` its process answers knocks as well."""
    from concurrent.futures import Future

    context = bus.context()
    with tempfile.TemporaryDirectory(prefix="qtb-") as folder:
        listener = bus.Listener(context)
        inbox = Inbox(listener)

        class Silent:
            def send(self, frame: bytes) -> None: ...

        tx, slot = transaction(Path(folder), "counter", inbox, Silent())
        listener.connect(endpoint, [b"Tick:"])
        done: Future[float] = Future()
        ended: Future[None] = Future()

        def on_end(ending: Ending) -> None:
            if ending.error is not None:  # else the flood would be waited for in vain
                done.set_exception(ending.error)
            ended.set_result(None)

        if ladder:
            echo.serve(context, f"ipc://{folder}/echo")
        kind.run("counter", 1, lambda: Cast(Counter(), {"done": done}, tx), inbox, slot, on_end)
        settle()
        go()
        rate = done.result(timeout=60)
        inbox.stop("bench over")
        ended.result(timeout=5)
        listener.close()
    context.term()
    return rate


def frame_size() -> int:
    sent: list[bytes] = []

    class Wire:
        send = staticmethod(sent.append)

    with tempfile.TemporaryDirectory(prefix="qtb-") as folder:
        context = bus.context()
        listener = bus.Listener(context)
        tx, _ = transaction(Path(folder), "sender", Inbox(listener), Wire())
        tx.publish(TICK)
        listener.close()
        context.term()
    return len(sent[0])


FRAME_SIZE = frame_size()


def main() -> int:
    held = True
    for name, receive, gate in (("bus.decode", decoded, 0.35), ("bus.handle", handled, 0.30)):
        ratio, raw_rate, rate = paired(lambda: run(raw, False), lambda receive=receive: run(receive, True))  # type: ignore[misc]
        held &= report(name, ratio, gate, at_least=True, raw_per_s=raw_rate, ours_per_s=rate, frame_bytes=FRAME_SIZE)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
