"""What the dials cost: a message through the host's turn with vitals against the same turn without them, and a reading.

Ours is the host's own turn over a page of shared memory, raw the same turn with the dials, and what only feeds them,
taken out. Both run in this process, without a wire, in turns.

    python -m benchmarks.vitals            ten seconds
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.bus import TICK, transaction
from benchmarks.pairs import report
from supervisor.actor import Actor
from supervisor.evidence import vitals
from supervisor.message import Delivery, Envelope, Message, Provenance
from supervisor.runtime.bus import Deaf
from supervisor.runtime.host import Host
from supervisor.runtime.inbox import Batch, Inbox
from supervisor.system import CanaryAsked, Down

COUNT = 6_400  # short rounds: some of them fall into a quiet moment of a shared machine
ROUNDS = 10
BEST_OF = 5
WRITER_US, READER_US = 0.35, 2.0
LONE_US = 0.9  # one that comes alone pays the dials of the turn as well
PAGES = 50


class Idle(Actor):
    def handle(self, message: Message) -> None:
        return


class BareHost(Host):
    """The host's turn with every dial, and what only feeds one, taken out: what remains when nobody looks."""

    def _turn(self, batch: Batch) -> None:
        if batch.stop is not None:
            super()._turn(batch)
            return
        if batch.messages or batch.frames:
            if batch.messages:
                for message in batch.messages:
                    if self._inbox.stopping:
                        break
                    if type(message) is CanaryAsked:
                        self._answer(message)
                    elif type(message) is not Down or self._tx.monitors.expects(message):
                        self._take(message, None)
            hear, handle = self._tx.hear, self._handle
            for frame in batch.frames:
                if self._inbox.stopping:
                    break
                for envelope in hear(frame):
                    if envelope.body.delivery is Delivery.LATEST or self._tx.is_fresh(envelope):
                        handle(envelope.body, envelope, 0)
            self._tx.commit()
        self._tx.beat()

    def _take(self, message: Message, envelope: Envelope | None) -> None:
        self._handle(message, envelope, 0)

    def _handle(self, message: Message, envelope: Envelope | None, now_ns: int) -> None:
        every = envelope if envelope is not None and message.delivery is Delivery.EVERY else None
        mark = self._tx.take(envelope)
        try:
            self._actor.handle(message)
        except BaseException:
            self._tx.discard_from(mark)
            raise
        if every is not None:
            self._tx.handled(every)


class Turns:
    """One host without its thread, whose batches are given to it. A frame is what `hear` makes of it."""

    def __init__(self, home: Path, kind: type[Host]) -> None:
        name = kind.__name__
        tx, slot = transaction(home, name, Inbox(Deaf()), _Nobody())
        nobody: Any = None
        self.host = kind(name, 1, nobody, tx._inbox, slot, nobody)
        tx.hear = lambda frame: frame  # type: ignore[assignment,return-value]
        self.host._actor, self.host._tx, self.host.phase = Idle(), tx, "steady"

    def run(self, batches: list[Batch], messages: int) -> float:
        """Microseconds per message."""
        turn = self.host._turn
        begun = time.perf_counter_ns()
        for one in batches:
            turn(one)
        return (time.perf_counter_ns() - begun) / 1e3 / messages


class _Nobody:
    def send(self, frame: bytes) -> None:
        return


def writer(home: Path, in_batch: int) -> tuple[float, float]:
    """(whole turn with vitals, without) in µs a message from the wire, each the best of its rounds, in turns."""
    ours, raw = Turns(home, Host), Turns(home, BareHost)
    now = time.time_ns()
    ticks = [msgspec.structs.replace(TICK, book_seq=n) for n in range(COUNT)]
    said = [Envelope(1, "feed", 1, n, now, now, Provenance.SYNTHETIC, "", "", tick) for n, tick in enumerate(ticks)]
    frames: list[Any] = [(one,) for one in said]
    parts = [frames[n : n + in_batch] for n in range(0, COUNT, in_batch)]
    batches = [Batch(None, [], tuple(part) if in_batch == 1 else part) for part in parts]  # as the inbox gives them
    pairs = [(ours.run(batches, COUNT), raw.run(batches, COUNT)) for _ in range(ROUNDS)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def reader(home: Path) -> tuple[float, float]:
    """(a glance, a full reading) of one node of one actor in µs, each the best of its rounds over fifty pages."""
    pages = [vitals.Page(home / f"n{n}.page", 1, (f"n{n}",)) for n in range(PAGES)]
    for page in pages:
        next(iter(page.slots.values())).words[vitals.STARTED] = 1
    readers = [vitals.Reader(home / f"n{n}.page") for n in range(PAGES)]
    glance, full = [], []
    for one in readers:
        one.read(1)
    for _ in range(ROUNDS):
        begun = time.perf_counter_ns()
        for _ in range(5):
            for one in readers:
                one.calm(1, 1.0)
        at = time.perf_counter_ns()
        for _ in range(5):
            for one in readers:
                one.read(1)
        glance.append((at - begun) / 1e3 / (5 * PAGES))
        full.append((time.perf_counter_ns() - at) / 1e3 / (5 * PAGES))
    return min(glance), min(full)


def main() -> int:
    held = True
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for in_batch, allowed_us in ((32, WRITER_US), (1, LONE_US)):
            ours, raw = min((writer(home, in_batch) for _ in range(BEST_OF)), key=lambda pair: pair[0] - pair[1])
            label = f"vitals, writer, batches of {in_batch}, against its allowance"
            cost = ours - raw
            held &= report(
                label,
                cost / allowed_us,
                1.0,
                at_least=False,
                cost_us=cost,
                allowed_us=allowed_us,
                turn_us=ours,
                raw_us=raw,
            )
        for what, value in zip(
            ("glance", "reading"), map(min, zip(*(reader(home) for _ in range(BEST_OF)), strict=True)), strict=True
        ):
            label = f"vitals, reader, a {what} at a node of one actor, against its allowance"
            held &= report(label, value / READER_US, 1.0, at_least=False, ours_us=value, allowed_us=READER_US)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
