"""The only room that knows ZeroMQ on the data path: a PUB socket a node speaks on, a SUB socket an actor hears on.

Point to point over ipc, from an address book computed from the tree; no broker, no discovery. Nothing blocks here:
receivers drain until empty and then wait on descriptors, so an actor's own thread receives, decodes and handles with
no hand-over in between. A PUB socket drops at its high-water mark; EVERY messages survive that because they carry a
sequence and stand in the sender's journal (`transaction.py` refills).
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import zmq

SEND_QUEUE = 20_000  # frames per subscriber before PUB drops
RECEIVE_QUEUE = 20_000
RECONNECT_FIRST_MS = 5  # a replaced publisher is found after ~9 ms instead of 165 (measured)
RECONNECT_MOST_MS = 50


class Publisher:
    """The node's voice. Used by one thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self._socket = context.socket(zmq.PUB)
        self._socket.set(zmq.SNDHWM, SEND_QUEUE)
        self._socket.set(zmq.LINGER, 200)
        self._socket.bind(endpoint)
        self.send = self._socket.send  # bytes -> None; never blocks on PUB

    def close(self) -> None:
        self._socket.close()


class Listener:
    """The actor's ear: a SUB socket and an event descriptor for everything that comes from other threads."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._socket = context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        self._socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MS)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        self._poll.register(self._socket.FD, select.EPOLLIN)

    def connect(self, endpoint: str, topics: Iterable[bytes]) -> None:
        """Hear these topic prefixes from there; the publisher may come later, or come back."""
        for topic in topics:
            self._socket.subscribe(topic)
        self._socket.connect(endpoint)

    def first(self) -> bytes | None:
        """The next waiting frame, if there is one."""
        try:
            return self._socket.recv(zmq.DONTWAIT)
        except zmq.Again:
            return None

    def rest(self, most: int) -> Iterator[bytes]:
        """What waits behind the first, at most `most`, received as it is asked for: the first is handled before the
        socket is asked again, and a lone tick pays for one look instead of an exception."""
        events: Any = self._socket.get(zmq.EVENTS)
        if not events & zmq.POLLIN:
            return
        receive = self._socket.recv
        try:
            for _ in range(most):
                yield receive(zmq.DONTWAIT)
        except zmq.Again:
            return

    def wait(self, timeout_s: float) -> None:
        """Until a frame or a wake-up, or the timeout. Call only after `first` found none (edge semantics)."""
        for descriptor, _ in self._poll.poll(timeout_s):
            if descriptor == self._wake:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)

    def wake(self) -> None:
        """End a `wait` from any thread."""
        with suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        self._socket.close()


def context() -> zmq.Context[zmq.Socket[bytes]]:
    """A fresh context with one I/O thread. Made after the fork: an inherited one hangs for ever (measured)."""
    return zmq.Context(io_threads=1)
