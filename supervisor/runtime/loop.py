"""The one loop of the root and the heart: descriptors, timers and signals on a single epoll, no thread, no waiting.

Callbacks must return at once. One that raises is reported and the loop goes on: a supervisor does not die of a fault in
its own book-keeping while it holds up others.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import signal
import time
from collections.abc import Callable

OnError = Callable[[str, Exception], None]
_BATCH = 64
_REPORT_EVERY_S = 10.0  # the same fault of a tick would otherwise be told ten times a second


class Timer:
    """A callback that is due; `cancel()` makes it not happen."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Times are `time.monotonic()` seconds."""

    def __init__(self, on_error: OnError) -> None:
        self._epoll = select.epoll()
        self._on_error = on_error
        self._ready: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._signals: dict[int, Callable[[], None]] = {}
        self._reported: dict[str, float] = {}  # place in the code -> when its fault was last told
        self._stopped = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._wake_read, self._on_signal)

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call when `fd` is readable or hung up (level-triggered: read it empty, or unwatch it)."""
        self._ready[fd] = call
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`. Do it before closing it: the number will be somebody else's."""
        if self._ready.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def at(self, due: float, call: Callable[[], None]) -> Timer:
        timer = Timer(due, call)
        heapq.heappush(self._timers, (due, next(self._count), timer))
        return timer

    def on_signal(self, number: signal.Signals, call: Callable[[], None]) -> None:
        """Run `call` inside the loop when the signal arrives. Main thread only."""
        self._signals[number] = call
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(number, _nothing)  # a Python handler must exist, or the wake-up byte is not written
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})  # one that came while we were importing comes now

    def run(self) -> None:
        """Until `stop()`."""
        while not self._stopped:
            self.turn()

    def turn(self, longest_s: float = 60.0) -> None:
        """One wait and everything that came of it."""
        wait_s = longest_s
        if self._timers:
            wait_s = min(wait_s, max(0.0, self._timers[0][0] - time.monotonic()))
        for fd, _ in self._epoll.poll(wait_s, _BATCH):
            call = self._ready.get(fd)  # an earlier callback of this turn may have unwatched it
            if call is not None:
                self._guarded(call)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now and not self._stopped:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                self._guarded(call)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._epoll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - reported, and the loop must go on
            self._report(getattr(call, "__qualname__", repr(call)), error)

    def _report(self, where: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._reported.get(where, -_REPORT_EVERY_S) >= _REPORT_EVERY_S:
            self._reported[where] = now
            self._on_error(where, error)

    def _on_signal(self) -> None:
        try:
            numbers = os.read(self._wake_read, 128)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            call = self._signals.get(number)
            if call is not None:
                call()


def _nothing(number: int, frame: object) -> None:
    return None
