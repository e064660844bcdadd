"""The inbox of one actor: a control lane that overtakes, a bounded lane from other threads, timers, and the wire.

pykka's own inbox is one unbounded queue where a stop waits behind every tick. Here a stop is seen before the next
message, the supervisor's words before the next batch, and every lane has a bound and says what happens beyond it:

    posted, LATEST       the newest of each key stays; beyond 10,000 keys the oldest goes; both are counted (`dropped`)
    posted, EVERY/SYSTEM beyond 10,000 the poster gets `InboxFull`: a port must know that its word was not taken
    timers               beyond 10,000 the actor itself gets `InboxFull`, and with it an end that has a name
    from the wire        ZeroMQ drops beyond its queue; a hole in EVERY is refilled from the sender's journal, in order

What still waits when the actor ends is dropped: EVERY from the wire was not marked as handled and comes again to the
next incarnation, what a port had posted it asks its venue for again (starting is recovering).
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable

import msgspec

from supervisor.message import Delivery, Message
from supervisor.runtime.bus import Ear

POSTED_MOST = 10_000
TIMERS_MOST = 10_000
_monotonic = time.monotonic
FRAMES_MOST = 256  # frames, or posted messages, handled per batch, which is one commit


class InboxFull(RuntimeError):
    """More waits than the lane holds, and it may not be dropped: the port posts faster than its actor handles."""


class Batch(msgspec.Struct, frozen=True, gc=False):
    """One turn's work. `stop` is set when the actor is asked to end; then nothing else is in it."""

    stop: str | None
    messages: list[Message]  # timers and posted, already decoded
    frames: Iterable[bytes]  # from the wire, received while they are handled


class Inbox:
    """`post`, `tell`, `stop`: any thread. `get`, `after`: the actor's thread."""

    def __init__(self, listener: Ear) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._stop: str | None = None
        self.stopping = False  # asked to end: the rest of the batch in hand is not handled any more
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
                elif len(self._latest) >= POSTED_MOST:
                    del self._latest[next(iter(self._latest))]
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
        self.stopping = True
        self._listener.ring()

    def after(self, delay_s: float, message: Message) -> None:
        """Have `message` handled after `delay_s` of monotonic time.

        Raises:
            InboxFull: 10,000 timers run already; an actor that sets them faster than they come due is wrong.
        """
        if len(self._timers) >= TIMERS_MOST:
            raise InboxFull(f"{TIMERS_MOST} timers wait; the next is {type(message).__name__}")
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), message))

    def depth(self) -> int:
        """Messages from other threads that wait."""
        return len(self._latest) + len(self._kept)

    def get(self) -> Batch:
        """Waits for work at most one beat; an empty batch is the beat itself."""
        listener, waited = self._listener, False
        while True:
            if self._stop is not None:
                reason, self._stop = self._stop, None
                return Batch(reason, [], ())
            messages: list[Message] = []
            timers, now, timeout_s = self._timers, _monotonic(), listener.beat_s
            while timers:
                until = timers[0][0] - now
                if until > 0.0:
                    timeout_s = min(timeout_s, until)
                    break
                messages.append(heapq.heappop(timers)[2])
            if self._signalled:
                with self._lock:
                    messages[:0] = self._control
                    self._control.clear()
                    if len(self._kept) <= FRAMES_MOST:
                        messages.extend(self._kept)
                        self._kept.clear()
                        messages.extend(self._latest.values())
                        self._latest.clear()
                    else:
                        messages.extend(self._kept.popleft() for _ in range(FRAMES_MOST))
                    self._signalled = bool(self._kept)
            if messages or waited:
                frame = listener.first()
                return Batch(None, messages, () if frame is None else self._from(frame))
            frame = listener.wait(timeout_s, now)  # at once when one is there already
            if frame is not None:
                # looking for more costs a system call on a lone tick's way; what comes meanwhile is the next batch
                return Batch(None, [], (frame,) if listener.alone else self._from(frame))
            waited = True

    def _from(self, frame: bytes) -> Iterable[bytes]:
        return itertools.chain((frame,), self._listener.rest(FRAMES_MOST))
