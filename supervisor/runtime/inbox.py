"""The inbox of one actor: a control lane that overtakes, a bounded lane from other threads, timers, and the wire.

pykka's own inbox is one unbounded queue where a stop waits behind every tick. Here control comes first, LATEST messages
conflate by key (the newest stays, drops are counted), and a full lane is the poster's problem (`InboxFull`), never the
actor's memory.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from supervisor.message import Delivery, Message
from supervisor.runtime.bus import Listener

POSTED_MOST = 10_000
FRAMES_MOST = 256  # frames handled per batch, which is one commit
BEAT_S = 0.25  # an idle actor turns its loop at least this often


class InboxFull(RuntimeError):
    """A port posts faster than its actor handles, and what it posts may not be dropped."""


class Batch(NamedTuple):
    """One turn's work. `stop` is set when the actor is asked to end; then nothing else is in it."""

    stop: str | None
    messages: list[Message]  # timers and posted, already decoded
    frames: Iterable[bytes]  # from the wire, received while they are handled


class Inbox:
    """`post`, `tell`, `stop`: any thread. `get`, `after`: the actor's thread."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._stop: str | None = None
        self._latest: dict[tuple[type, str], Message] = {}
        self._kept: deque[Message] = deque()
        self._control: deque[Message] = deque()
        self._signalled = False
        self._timers: list[tuple[float, int, Message]] = []
        self._order = itertools.count()
        self.dropped = 0

    def post(self, message: Message) -> None:
        """Put a message in from any thread.

        Raises:
            InboxFull: more than 10,000 messages that may not be conflated are waiting.
        """
        with self._lock:
            if message.delivery is Delivery.LATEST:
                key = (type(message), message.key())
                if key in self._latest:
                    self.dropped += 1
                self._latest[key] = message
            else:
                if len(self._kept) >= POSTED_MOST:
                    raise InboxFull(f"{POSTED_MOST} messages wait; the next is {type(message).__name__}")
                self._kept.append(message)
            if self._signalled:
                return
            self._signalled = True
        self._listener.ring()

    def tell(self, message: Message) -> None:
        """A word of the supervisor, from any thread; overtakes all but a stop. Bounded by who says it (watching.py)."""
        with self._lock:
            self._control.append(message)
            self._signalled = True
        self._listener.ring()

    def stop(self, reason: str) -> None:
        """Ask the actor to end; overtakes everything."""
        self._stop = reason
        self._listener.ring()

    def after(self, delay_s: float, message: Message) -> None:
        """Have `message` handled after `delay_s` of monotonic time."""
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), message))

    def depth(self) -> int:
        """Messages from other threads that wait."""
        return len(self._latest) + len(self._kept)

    def get(self) -> Batch:
        """Waits for work at most one beat; an empty batch is the beat itself."""
        waited = False
        while True:
            if self._stop is not None:
                reason, self._stop = self._stop, None
                return Batch(reason, [], ())
            messages: list[Message] = []
            timers = self._timers
            if timers:
                now = time.monotonic()
                while timers and timers[0][0] <= now:
                    messages.append(heapq.heappop(timers)[2])
            if self._signalled:
                with self._lock:
                    self._signalled = False
                    messages[:0] = self._control
                    self._control.clear()
                    messages.extend(self._kept)
                    self._kept.clear()
                    messages.extend(self._latest.values())
                    self._latest.clear()
            if messages or waited:
                frame = self._listener.first()
                return Batch(None, messages, () if frame is None else self._from(frame))
            timeout = BEAT_S
            if timers:
                timeout = min(timeout, max(0.0, timers[0][0] - time.monotonic()))
            frame = self._listener.wait(timeout)  # at once when one is there already
            if frame is not None:
                # looking for more costs a system call on a lone tick's way; what comes meanwhile is the next batch
                return Batch(None, [], (frame,) if self._listener.alone else self._from(frame))
            waited = True

    def _from(self, frame: bytes) -> Iterable[bytes]:
        return itertools.chain((frame,), self._listener.rest(FRAMES_MOST))

    def empty(self) -> bool:
        """pykka asks this while tearing down: what is left is dropped, its senders' journals have it."""
        return True
