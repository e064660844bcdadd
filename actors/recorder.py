"""Writes the run's report and ends the run: after a recording is over, or after the time that `--for` gave it.

Picture: a tally sheet (`actors/rules/report.py`) on which every heard word is counted; it is copied to disk every
five seconds and at the end, by replacing the file, so a reader never sees half of it. A recording is over when the
player says so *and* every frame was taken in, or nothing has changed for ten seconds; then the server is asked to stop.

It decides nothing else and nothing depends on it. A restart of the recorder begins a new sheet for orders, fills and
denials; those of feeds and engine are repeated by their owners.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from actors.messages.account import AccountState
from actors.messages.control import SecondPassed, StopServer
from actors.messages.market import CrossReading, FeedReport, ReplayFinished
from actors.messages.orders import OrderDenied, OrderFilled, OrderSubmitted
from actors.messages.signals import Signal, SignalCount
from actors.rules.report import Tally
from supervisor.actor import Actor
from supervisor.message import Delivery, Message

WRITE_EVERY_S = 5.0
QUIET_S = 10.0  # a recording whose frames do not all arrive is over after this long without a new one
SETTLE_S = 1.5  # counts are repeated every second: the last ones are on their way
DEFAULT = Path("reports") / "run.json"


class TimeIsUp(Message, frozen=True, kw_only=True):
    """Private timer: `--for` has passed."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Recorder(Actor):
    """Child `recorder`."""

    subscribes = (
        FeedReport, CrossReading, SignalCount, Signal, OrderSubmitted, OrderFilled, OrderDenied, AccountState,
        ReplayFinished,
    )  # fmt: skip

    def init(  # type: ignore[override]
        self,
        *,
        home: str,
        mode: str,
        report: str | None = None,
        for_s: float | None = None,
        instruments: Sequence[str] = (),
    ) -> None:
        """`report`: where to write; None is `$QT_HOME/reports/run.json`. `for_s`: seconds until the server is stopped.

        Raises:
            ValueError: `for_s` is no time.
        """
        if for_s is not None and not 0 < for_s < float("inf"):
            raise ValueError(f"recorder for_s is {for_s}; it must be positive and finite")
        self._path = Path(report) if report else Path(home) / DEFAULT
        self._mode = mode
        self._tally = Tally(tuple(instruments))
        self._started_s = self._written_s = self.ctx.monotonic()
        self._frames = 0
        self._changed_s = self._started_s
        self._complete_since_s: float | None = None
        self._asked = False
        self.ctx.after(1.0, SecondPassed())
        if for_s is not None:
            self.ctx.after(for_s, TimeIsUp())

    def handle(self, message: Message) -> None:
        match message:
            case SecondPassed():
                self.ctx.after(1.0, SecondPassed())
                self._second(self.ctx.monotonic())
            case TimeIsUp():
                self._stop("the time given by --for has passed")
            case _:
                self._tally.hear(message, self.ctx.envelope().incarnation)
                if isinstance(message, ReplayFinished):
                    self._changed_s = self.ctx.monotonic()

    def terminate(self, reason: str) -> None:
        self._write()

    def _second(self, now_s: float) -> None:
        if now_s - self._written_s >= WRITE_EVERY_S:
            self._write()
        frames = self._tally.frames()
        if frames != self._frames:
            self._frames, self._changed_s = frames, now_s
        if self._tally.finished is None:
            return
        if not self._tally.complete():
            self._complete_since_s = None
            if now_s - self._changed_s >= QUIET_S:
                self._stop(f"the recording is over; its frames did not all arrive, none for {QUIET_S:g} s")
            return
        if self._complete_since_s is None:
            self._complete_since_s = now_s
        if now_s - self._complete_since_s >= SETTLE_S:
            self._stop("the recording is over and every frame was taken in")

    def _stop(self, reason: str) -> None:
        if self._asked:
            return
        self._asked = True
        self._write()
        self.ctx.send("root", StopServer(reason=reason))

    def _write(self) -> None:
        now_s = self.ctx.monotonic()
        self._written_s = now_s
        document = {**self._tally.document(now_s - self._started_s), "mode": self._mode}
        self.ctx.call(replace_file, self._path, document)
        self.ctx.progress("report")


def replace_file(path: Path, document: dict[str, Any]) -> None:
    """Write the document beside its place, synced, and put it there in one step.

    Raises:
        OSError: the folder cannot be written; the recorder ends with it and says so.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(document), indent=1))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
