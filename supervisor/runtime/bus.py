"""The only room that knows ZeroMQ on the data path: a PUB socket a node speaks on, a SUB socket an actor hears on.

Point to point over ipc, from an address book computed from the tree; no broker, no discovery. An actor's own thread
receives, decodes and handles, with no hand-over in between. A PUB socket drops at its high-water mark; EVERY messages
survive that because they carry a sequence and stand in the sender's journal (`transaction.py` refills).
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import zmq

SEND_QUEUE = 20_000  # frames per subscriber before PUB drops
RECEIVE_QUEUE = 20_000
RECONNECT_FIRST_MS = 5  # a replaced publisher is found after ~9 ms instead of 165 (measured)
RECONNECT_MOST_MS = 50
SHORTEST_BEAT_S = 0.01
BELL = b"\0bell"  # no topic begins with a zero byte
TUNINGS_MOST = 200
SOCKETS_MOST = 8192
_monotonic = time.monotonic
_bells = itertools.count(1)
AT_ONCE_S = 20e-6  # a frame that is there already is received in about a microsecond


class Publisher:
    """The node's voice. Used by one thread, unless it is `shared` by the actors of a group: then each send takes a lock
    (a tenth of a microsecond; a socket of ZeroMQ breaks under two threads)."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, *, shared: bool = False) -> None:
        self._socket = context.socket(zmq.PUB)
        self._socket.set(zmq.SNDHWM, SEND_QUEUE)
        self._socket.set(zmq.LINGER, 200)
        self._socket.bind(endpoint)
        self._lock = threading.Lock()
        self.send: Any = self._send_in_turn if shared else self._socket.send  # bytes -> None; never blocks on PUB

    def close(self) -> None:
        self._socket.close()

    def _send_in_turn(self, frame: bytes) -> None:
        with self._lock:
            self._socket.send(frame)


class Ear(Protocol):
    """What an inbox needs of the thing its thread waits in. `ring` may be called by any thread."""

    beat_s: float  # an idle actor turns its loop at least this often
    alone: bool

    def connect(self, endpoint: str, topics: Iterable[bytes]) -> None: ...
    def first(self) -> bytes | None: ...
    def rest(self, most: int) -> Iterator[bytes]: ...
    def wait(self, timeout_s: float, now_s: float) -> bytes | None: ...
    def ring(self) -> None: ...
    def close(self) -> None: ...


class Deaf:
    """The ear of an actor that subscribes to nothing: a bell without a socket, so a light actor has no descriptor."""

    alone = True

    def __init__(self, time_scale: float = 1.0) -> None:
        self.beat_s = max(SHORTEST_BEAT_S, 0.7 * time_scale)  # there may be hundreds of them in a process
        self._bell = threading.Event()

    def connect(self, endpoint: str, topics: Iterable[bytes]) -> None:
        raise RuntimeError(f"an actor without subscriptions cannot hear {list(topics)} from {endpoint}")

    def first(self) -> bytes | None:
        return None

    def rest(self, most: int) -> Iterator[bytes]:
        return iter(())

    def wait(self, timeout_s: float, now_s: float) -> bytes | None:
        del now_s
        self._bell.wait(timeout_s)
        self._bell.clear()
        return None

    def ring(self) -> None:
        self._bell.set()

    def close(self) -> None:
        return


class Listener:
    """The actor's ear: a SUB socket, and a bell that other threads ring.

    The actor's thread blocks inside the socket itself, which wakes it 10 µs sooner than waiting on descriptors does
    (measured); so the bell is a frame, too, from a PUB socket within the process. `ring` may be called by any thread,
    everything else belongs to the actor's.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], time_scale: float = 1.0) -> None:
        self.beat_s = max(SHORTEST_BEAT_S, 0.25 * time_scale)
        self._socket = context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        self._socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MS)
        self._timeout_s = -1.0
        self.alone = False  # the last frame had to be waited for, so nothing stands behind it
        self._bell = context.socket(zmq.PUB)
        self._bell.set(zmq.LINGER, 0)
        self._bell_lock = threading.Lock()
        address = f"inproc://bell-{next(_bells)}"  # never used again: a closed socket gives its address back late
        self._bell.bind(address)
        self._socket.subscribe(BELL)
        self._socket.connect(address)
        for _ in range(TUNINGS_MOST):  # a PUB socket drops until it has read the subscription
            self.ring()
            if self.wait(0.01, 0.0, woken_by_bell=True) is not None:
                return
        raise RuntimeError("the inbox's own bell is not heard; this ZeroMQ does not deliver within a process")

    def connect(self, endpoint: str, topics: Iterable[bytes]) -> None:
        """Hear these topic prefixes from there; the publisher may come later, or come back."""
        for topic in topics:
            self._socket.subscribe(topic)
        self._socket.connect(endpoint)

    def first(self) -> bytes | None:
        """The next waiting frame, if there is one."""
        return next(self.rest(1), None)

    def rest(self, most: int) -> Iterator[bytes]:
        """What waits, at most `most`, received as it is asked for: a frame is handled before the socket is asked again,
        and a lone tick pays for one look instead of an exception."""
        events: Any = self._socket.get(zmq.EVENTS)
        if not events & zmq.POLLIN:
            return
        receive = self._socket.recv
        try:
            for _ in range(most):
                frame = receive(zmq.DONTWAIT)
                if frame != BELL:
                    yield frame
        except zmq.Again:
            return

    def wait(self, timeout_s: float, now_s: float, *, woken_by_bell: bool = False) -> bytes | None:
        """The next frame; None after the bell or the timeout. `alone` then says whether the frame was waited for.

        Every line here is on a lone tick's way, and cold: hence the caller's clock, and one comparison of the timeout.
        """
        if timeout_s != self._timeout_s:
            self._socket.set(zmq.RCVTIMEO, max(1, math.ceil(timeout_s * 1000)))
            self._timeout_s = timeout_s
        try:
            frame = self._socket.recv()
        except zmq.Again:
            return None
        self.alone = _monotonic() - now_s > AT_ONCE_S
        return frame if frame != BELL or woken_by_bell else None

    def ring(self) -> None:
        """End a `wait` from any thread."""
        with self._bell_lock:
            if not self._bell.closed:
                self._bell.send(BELL)

    def close(self) -> None:
        self._socket.close()
        with self._bell_lock:
            self._bell.close()


def context() -> zmq.Context[zmq.Socket[bytes]]:
    """A fresh context with one I/O thread. Made after the fork: an inherited one hangs for ever (measured)."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    context.set(zmq.MAX_SOCKETS, SOCKETS_MOST)  # two for each actor that hears; 1,023 is the default
    return context
