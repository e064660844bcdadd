"""Writes the run's report and ends the run: after a recording is over, or after the time that `--for` gave it.

Picture: a tally sheet (`actors/rules/report.py`) on which every heard word is counted; the sheet is copied to disk
every five seconds and at the end, by replacing the file, so a reader never sees half of it. A recording is over when
the player says so *and* every frame was taken in, or no counter has changed for five seconds; then the server is asked
to stop. `$HOME/reports/report.json` is always written, `report` besides.

It decides nothing else and nothing depends on it. Signals, orders, fills and denials are counted from the record, so a
restart of the recorder loses none; counts of feeds and engine are repeated by their owners. A home outlives its runs,
and so do its records: how many of them are of former runs is noted down in the record itself (`FormerWords`), and an
end of a recording counts only when it names this launch.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from actors.messages.account import AccountState
from actors.messages.control import Alert, SecondPassed, StopServer
from actors.messages.market import CrossReading, FeedReport, ReplayFinished
from actors.messages.orders import OrderDenied, OrderFilled, OrderSubmitted
from actors.messages.signals import Signal, SignalCount
from actors.rules.report import Tally
from supervisor.actor import Actor
from supervisor.message import Delivery, Message

WRITE_EVERY_S = 5.0
QUIET_S = 5.0  # a recording whose frames do not all arrive is over after this long without a change
SETTLE_S = 1.5  # counts are repeated every second: the last ones are on their way
DEFAULT = Path("reports") / "report.json"
COUNTED = (Signal, OrderSubmitted, OrderFilled, OrderDenied)  # one by one, from the record


class TimeIsUp(Message, frozen=True, kw_only=True):
    """Private timer: `--for` has passed."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class FormerWords(Message, frozen=True, kw_only=True):
    """To itself, recorded: so many of the words it has heard, oldest first, were said before this launch."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    started_ns: int
    counts: dict[str, int]  # by class


class WriteFailed(Message, frozen=True, kw_only=True):
    """Private: the report could not be written."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    text: str


class Recorder(Actor):
    """Child `recorder`."""

    subscribes = (FeedReport, CrossReading, SignalCount, *COUNTED, AccountState, ReplayFinished)
    publishes = (Alert, FormerWords)

    def init(
        self,
        *,
        home: str,
        mode: str,
        started_ns: int = 0,
        report: str | None = None,
        ends: tuple[float, float] | None = None,
        instruments: Sequence[str] = (),
    ) -> None:
        """Count what was heard of this run already.

        Args:
            started_ns: when this run was launched: what was said before is another run's.
            report: an absolute path to write besides `$HOME/reports/report.json`.
            ends: when the launch was (monotonic) and how many seconds later the server is asked to stop: a deadline,
                so that a restart of recorder or root does not begin it anew.

        Raises:
            ValueError: `ends` names no time, or `report` is relative.
        """
        if ends is not None and not 0 < ends[1] < float("inf"):
            raise ValueError(f"recorder ends {ends[1]} s after the launch; it must be positive and finite")
        if report and not Path(report).is_absolute():
            raise ValueError(f"recorder report {report!r} is relative; wanted an absolute path")
        self._paths = [Path(home) / DEFAULT, *([Path(report)] if report else [])]
        self._mode, self._run_ns = mode, started_ns
        self._for_s = None if ends is None else ends[1]
        self._tally = Tally(tuple(instruments))
        self._started_s = self._written_s = self.ctx.monotonic()
        self._moved: tuple[int, ...] = ()
        self._changed_s = self._started_s
        self._complete_since_s: float | None = None
        self._asked = False
        self._former: Counter[str] = Counter()
        self._recover()
        self.ctx.after(1.0, SecondPassed())
        if ends is not None:
            self.ctx.after(max(0.0, sum(ends) - self._started_s), TimeIsUp())

    def _recover(self) -> None:
        heard = tuple(self.ctx.recall(*COUNTED))
        noted = [word for word in self.ctx.recall(FormerWords) if word.started_ns == self._run_ns]
        if noted:
            self._former = Counter(noted[-1].counts)
        else:  # the first life in this run: all of it is of former ones
            self._former = Counter(type(word).__name__ for word in heard)
            self._note_former()
        skip = self._former.copy()
        for word in heard:
            skip[type(word).__name__] -= 1
            if skip[type(word).__name__] < 0:
                self._tally.hear(word, 0)
        for word in self.ctx.recall(ReplayFinished):
            if self._is_ours(word):
                self._tally.hear(word, 0)

    def _note_former(self) -> None:
        self.ctx.publish(FormerWords(started_ns=self._run_ns, counts=dict(self._former)))

    def _is_ours(self, word: ReplayFinished) -> bool:
        """A recording ends only where one is played, and only in the run that played it."""
        return self._mode == "replay" and word.started_ns == self._run_ns

    def handle(self, message: Message) -> None:
        match message:
            case SecondPassed():
                self.ctx.after(1.0, SecondPassed())
                self._second(self.ctx.monotonic())
            case TimeIsUp():
                self._stop(f"ran for {self._for_s:g} s")
            case WriteFailed():
                self._alert("recorder report", message.text)
            case _:
                self._hear(message)

    def terminate(self, reason: str) -> None:
        self._write()

    def _hear(self, word: Message) -> None:
        envelope = self.ctx.envelope()
        if isinstance(word, ReplayFinished):
            if not self._is_ours(word):
                return
            self._changed_s = self.ctx.monotonic()
        elif isinstance(word, COUNTED) and envelope.sent_ns < self._run_ns:  # not handled when its run ended
            self._former[type(word).__name__] += 1
            self._note_former()
            return
        self._tally.hear(word, envelope.incarnation)

    def _second(self, now_s: float) -> None:
        if now_s - self._written_s >= WRITE_EVERY_S:
            self._write()
        moved = self._tally.moved()
        if moved != self._moved:
            self._moved, self._changed_s = moved, now_s
        if self._tally.finished is None:
            return
        if not self._tally.complete():
            self._complete_since_s = None
            if now_s - self._changed_s >= QUIET_S:
                text = f"the recording is over, its frames did not all arrive, and nothing moved for {QUIET_S:g} s"
                self._alert("recorder replay", text)
                self._stop("replay finished")
            return
        if self._complete_since_s is None:
            self._complete_since_s = now_s
        if now_s - self._complete_since_s >= SETTLE_S:
            self._stop("replay finished")

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
        self.ctx.call(self._put, document)
        self.ctx.progress("report")

    def _put(self, document: dict[str, Any]) -> None:
        """After the commit. A folder that cannot be written costs the report, not the recorder."""
        for path in self._paths:
            try:
                replace_file(path, document)
            except OSError as error:
                self.ctx.post(WriteFailed(text=f"the report {path} cannot be written: {error}"))

    def _alert(self, subject: str, text: str) -> None:
        at_ns = int(self.ctx.now() * 1e9)
        self.ctx.publish(Alert(severity="warning", subject=subject, text=text, at_ns=at_ns))


def replace_file(path: Path, document: dict[str, Any]) -> None:
    """Write the document beside its place, synced, and put it there in one step.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(document), indent=1))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
