"""The emergency stop: `python -m actors.ess --home H`. Cancels everything, flattens everything, and stays locked.

Picture: a small program of its own (own session, own venue connections) that waits for one file, the latch
(`actors/latch.py`). Whoever wants the stop writes the latch, with or without this program running; `run_foreground`
does the work where no other holds the lock, or where the one who holds it is stopped or hangs. Every step is written to
the latch and synced before it is taken, and each is safe to take twice: kill -9 at any point, start again, and it goes
on from the file.

No bus, no database, no clock service, no asyncio. Only a person resets it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from actors.latch import LOOK_EVERY_S, Latch, read_latch, write_latch
from actors.messages.control import EssState
from actors.rules.ess import Sight, next_step
from supervisor.loading import load
from supervisor.runtime import locks
from supervisor.runtime import log as records
from supervisor.runtime.locks import Held, Lock

__all__ = ["EssRefused", "Latch", "lock", "main", "read_latch", "reset", "run_foreground", "trigger"]

VENUE = "actors.venues.ess_port:open"
WARM_EVERY_S = 5.0
ALERT_EVERY_S = 60.0
BEAT_EVERY_S = 0.5
STUCK_S = 3.0  # without a sign of life while there is work: asked to go on; as long again: ended
EXIT_SECOND = 75

log = records.get_logger("ess")


class EssRefused(RuntimeError):
    """The latch is not in a state in which this may be done. The text says which it is and what to do."""


# --- the latch, for everybody -----------------------------------------------------------------------------------------


def trigger(home: str | Path, who: str, reason: str) -> Latch:
    """Write the latch, durably, and give it. One that is not INACTIVE stays as it is: the first reason counts."""
    latch = read_latch(home)
    if latch.state is not EssState.INACTIVE:  # asked before the mutex: an emergency stop that was stopped may hold it
        return latch
    with _alone(home):
        latch = read_latch(home)
        if latch.state is not EssState.INACTIVE:
            return latch
        now = time.time_ns()
        latch = Latch(state=EssState.TRIGGERED, reason=reason, who=who, triggered_ns=now, changed_ns=now)
        write_latch(home, latch)
        return latch


def reset(home: str | Path, who: str, reason: str) -> Latch:
    """A person's way back to INACTIVE.

    Raises:
        EssRefused: it is not LOCKED yet, or no person or reason was named.
    """
    if not who.strip() or not reason.strip():
        raise EssRefused("a reset names who asks for it and why")
    with _alone(home):
        latch = read_latch(home)
        if latch.state is EssState.INACTIVE:
            return latch
        if latch.state is not EssState.LOCKED and latch.who != "latch":
            raise EssRefused(
                f"the emergency stop is {latch.state} ({latch.note or latch.reason}); reset it when LOCKED"
            )
        now = time.time_ns()
        latch = Latch(reason=f"reset: {reason}", who=who, changed_ns=now, note=f"was {latch.state}: {latch.reason}")
        write_latch(home, latch)
        return latch


@contextmanager
def _alone(home: str | Path) -> Iterator[None]:
    """Read, decide and write as one: a trigger, a reset and the program itself never overwrite each other."""
    folder = Path(home) / "state"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ess.mutex").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def lock(home: str | Path) -> Iterator[bool]:
    """Hold `run/ess.lock` with our pid in it; gives False when another process holds it. Death frees it."""
    try:
        held = Lock(_lock_of(home))
    except Held:
        yield False
        return
    try:
        yield True
    finally:
        held.release()


def _lock_of(home: str | Path) -> Path:
    return Path(home) / "run" / "ess.lock"


# --- the work ---------------------------------------------------------------------------------------------------------


class Stop:
    """The loop over latch and venues. `ended` is set to leave it; `until_locked` leaves by itself."""

    def __init__(self, home: str | Path, venue: str | Callable[..., Any] = VENUE) -> None:
        self.home = Path(home)
        self.ended = threading.Event()
        self._open = load(venue)  # imports ccxt now, not when it is needed
        self._venues: dict[str, Any] = {}
        self._settings_mark: tuple[int, int] | None = None
        self._problem = ""
        self._away: dict[str, str] = {}  # venue → what keeps it from being read; said on a change
        self._flat_at: float | None = None
        self._failures = 0
        self._alerted = -ALERT_EVERY_S
        self._warmed = -WARM_EVERY_S
        self._beaten = -BEAT_EVERY_S

    def run(self, *, until_locked: bool = False) -> Latch:
        """Wait for the latch and act on it. With `until_locked` return as soon as it is INACTIVE or LOCKED."""
        latch = read_latch(self.home)
        while not self.ended.is_set():
            latch = read_latch(self.home)
            if latch.state is EssState.INACTIVE:
                self._flat_at, self._failures = None, 0
                if until_locked:
                    return latch
                self._warm()
                self.ended.wait(LOOK_EVERY_S)
                continue
            self._beat()
            wait_s = self._work(latch)
            if until_locked and read_latch(self.home).state is EssState.LOCKED:
                return read_latch(self.home)
            self._sleep(wait_s)
        return latch

    def _sleep(self, wait_s: float) -> None:
        """Wait, but not through a reset or a new trigger."""
        before, end = read_latch(self.home), time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0 and not self.ended.wait(min(LOOK_EVERY_S, left)):
            if read_latch(self.home) != before:
                return
            if before.state is not EssState.LOCKED:
                self._beat()

    def _beat(self) -> None:
        """A sign of life, while there is work: the lock's file is touched. What waits for a venue is alive, too."""
        if time.monotonic() - self._beaten >= BEAT_EVERY_S:
            self._beaten = time.monotonic()
            with suppress(OSError):
                os.utime(_lock_of(self.home))

    def _work(self, latch: Latch) -> float:
        """One look and one step. Gives how long to wait."""
        sights: tuple[Sight, ...] = ()
        if latch.state is not EssState.TRIGGERED:
            self._load_settings()
            sights = self._each(lambda venue: venue.look())
            if self._problem:
                sights = (*sights, Sight(venue="settings", problem=self._problem))
            self._failures = self._failures + 1 if any(sight.problem for sight in sights) else 0
        step = next_step(latch.state, sights, self._flat_at, self._failures, time.monotonic())
        self._flat_at = step.flat_at
        if step.state is not latch.state or step.note != latch.note:
            if not self._advance(latch, step.state, step.note):
                return 0.0  # a person was faster; look again
            log.warning("ess", state=str(step.state), note=step.note)
        problems = self._act(sights, step.cancel, step.flatten)
        if problems and time.monotonic() - self._alerted >= ALERT_EVERY_S:
            self._alerted = time.monotonic()
            log.critical("ess_cannot", problems=problems, state=str(step.state))
        return step.wait_s

    def _act(self, sights: tuple[Sight, ...], cancel: tuple[str, ...], flatten: tuple[str, ...]) -> list[str]:
        by_name = {sight.venue: sight for sight in sights}

        def one(venue: Any) -> str:
            if venue.venue in cancel:
                return str(venue.cancel(by_name[venue.venue].orders))
            if venue.venue in flatten:
                return str(venue.flatten(by_name[venue.venue].positions))
            return ""

        done = [problem for problem in self._each(one) if problem] if cancel or flatten else []
        return [*done, *(f"{sight.venue}: {sight.problem}" for sight in sights if sight.problem)]

    def _each(self, ask: Callable[[Any], Any]) -> tuple[Any, ...]:
        """Ask all venues at once: one that does not answer delays no other's cancels by more than its own timeout."""
        venues = list(self._venues.values())
        if len(venues) < 2:
            return tuple(ask(venue) for venue in venues)
        with ThreadPoolExecutor(len(venues)) as pool:
            return tuple(pool.map(ask, venues))

    def _advance(self, before: Latch, state: EssState, note: str) -> bool:
        with _alone(self.home):
            latch = read_latch(self.home)
            if latch.state is not before.state or latch.triggered_ns != before.triggered_ns:
                return False
            now = time.time_ns()
            write_latch(self.home, msgspec.structs.replace(latch, state=state, note=note[:500], changed_ns=now))
        if state is EssState.LOCKED and before.state is not EssState.LOCKED:
            self._report()
        return True

    def _report(self) -> None:
        latch = read_latch(self.home)
        path = self.home / "reports" / f"ess-{latch.triggered_ns}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(latch)))

    def _warm(self) -> None:
        """While nothing is wrong: read the settings and load the venues' instruments, so that a trigger need not."""
        if time.monotonic() - self._warmed < WARM_EVERY_S:
            return
        self._warmed = time.monotonic()
        self._load_settings()
        for venue in self._venues.values():
            try:
                venue.warm()
            except Exception as error:  # noqa: BLE001 - not needed yet; `look` will try again and say so
                if self._away.get(venue.venue) != type(error).__name__:
                    self._away[venue.venue] = type(error).__name__
                    log.info("ess_venue_away", venue=venue.venue, error=f"{type(error).__name__}: {error}"[:200])
            else:
                self._away.pop(venue.venue, None)

    def _load_settings(self) -> None:
        path = self.home / "run" / "ess_settings.json"
        try:
            status = path.stat()
            mark = (status.st_ino, status.st_mtime_ns)
            if mark == self._settings_mark:
                return
            entries = msgspec.json.decode(path.read_bytes())["venues"]
            venues: dict[str, Any] = {}
            for entry in entries:
                name = entry["id"]
                while name in venues:  # a second account at the same venue is a venue of its own
                    name = f"{name}+"
                venues[name] = self._open({**entry, "id": name}, self._beat)
            self._venues = venues
            self._settings_mark, self._problem = mark, ""
        except FileNotFoundError:
            self._problem = f"{path} does not exist; qt up writes it"
        except Exception as error:  # noqa: BLE001 - a broken settings file must not end the emergency stop
            self._problem = f"{path} cannot be used: {type(error).__name__}: {error}"[:300]


def run_foreground(home: str | Path, *, timeout_s: float = 600.0, venue: str | Callable[..., Any] = VENUE) -> Latch:
    """Do a triggered stop's work here if nobody holds the lock, else watch the one who does; the latch at the end.

    One who holds it and gives no sign of life is asked to go on (SIGCONT), then ended (SIGKILL); each step is said.
    """
    end = time.monotonic() + timeout_s
    holder = _Holder(home)
    while time.monotonic() < end:
        with lock(home) as mine:
            if mine:
                holder.freed()
                stop = Stop(home, venue)
                timer = threading.Timer(max(0.0, end - time.monotonic()), stop.ended.set)
                timer.daemon = True
                timer.start()
                try:
                    return stop.run(until_locked=True)
                finally:
                    timer.cancel()
        latch = read_latch(home)
        if latch.state in (EssState.LOCKED, EssState.INACTIVE):
            return latch
        holder.look(latch)
        time.sleep(LOOK_EVERY_S)
    return read_latch(home)


class _Holder:
    """The process that holds the lock while there is work, as seen from another one."""

    def __init__(self, home: str | Path) -> None:
        self._path = _lock_of(home)
        self._sign: tuple[Any, ...] = ()
        self._since = 0.0
        self._asked = 0  # how often, since its last sign of life
        self._ended: int | None = None

    def look(self, latch: Latch) -> None:
        """Once it has been silent for `STUCK_S` ask it to go on; as long again, and it is ended."""
        now, pid = time.monotonic(), locks.holder(self._path)
        try:
            sign = (pid, self._path.stat().st_mtime_ns, latch)
        except FileNotFoundError:
            return
        if sign != self._sign:
            self._sign, self._since, self._asked = sign, now, 0
        if pid is None or now - self._since < STUCK_S * (self._asked + 1):
            return
        self._asked += 1
        if pid in (0, os.getpid()):
            if self._asked == 1:
                _say(f"who holds {self._path} gives no sign of life, and the file names nobody else: find and end it")
        elif self._asked == 1:
            _say(f"the emergency stop (pid {pid}) gave no sign of life for {STUCK_S:g} s: asked to go on (SIGCONT)")
            self._signal(pid, signal.SIGCONT)
        elif self._asked == 2:
            _say(f"the emergency stop (pid {pid}) still gives no sign of life: ended (SIGKILL), to do its work here")
            self._signal(pid, signal.SIGKILL)
            self._ended = pid

    def freed(self) -> None:
        """The lock is ours."""
        if self._ended is not None:
            _say(f"the lock of pid {self._ended} is free: working here, in the foreground")

    def _signal(self, pid: int, number: signal.Signals) -> None:
        """Only to who holds our lock: looked up again once the number cannot become another process's any more."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if locks.holder(self._path) == pid:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return
        except PermissionError:
            _say(f"pid {pid} belongs to another user: end it as that one or as root, kill -9 {pid}")
        finally:
            os.close(descriptor)


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """`python -m actors.ess --home H`: 0 when asked to end, 75 when another one holds the lock."""
    parser = argparse.ArgumentParser(prog="python -m actors.ess", description="the emergency stop")
    parser.add_argument("--home", required=True, help="$QT_HOME")
    home = Path(parser.parse_args(arguments).home)
    with lock(home) as mine:
        if not mine:
            print(f"another emergency stop holds {home}/run/ess.lock", file=sys.stderr)
            return EXIT_SECOND
        records.configure(home, "ess")
        stop = Stop(home)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.ended.set())
        stop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
