"""The root's counter: a ROUTER for questions and orders, a PUB for what happened. Both live in the root's one loop.

One MessagePack map in, one out, whatever comes: a question that is no map is answered too. ZeroMQ's descriptor is
edge-triggered, so whoever was woken drains the socket until it is empty. The visitor's side is client.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import zmq

LARGEST_QUESTION = 64 * 1024
QUEUE = 1000  # answers and events nobody fetched; beyond that ZeroMQ drops, and `events after n` fills the gap
MOST_AT_ONCE = 100  # questions answered before the loop looks at its children again


class Later:
    """An answer that a later turn of the loop gives: an answerer returns it instead of a map and sees to it that `give`
    is called in time. Only the first one given is sent."""

    def __init__(self) -> None:
        self.given: dict[str, Any] | None = None
        self._send: Callable[[dict[str, Any]], None] | None = None

    def give(self, answer: dict[str, Any]) -> None:
        if self.given is None:
            self.given = answer
            if self._send is not None:
                self._send(answer)

    def deliver(self, send: Callable[[dict[str, Any]], None]) -> None:
        """Where the answer goes to; at once if it is there already."""
        self._send = send
        if self.given is not None:
            send(self.given)


_READABLE = int(zmq.POLLIN)  # an enum's arithmetic is slow
Answerer = Callable[[dict[str, Any]], dict[str, Any] | Later]


class Control:
    """Binds `control` and `events` in the sockets directory.

    Raises:
        OSError: the directory is missing or not ours.
    """

    def __init__(self, sockets: Path, answer: Answerer) -> None:
        self._answer = answer
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._socket(zmq.ROUTER, sockets / "control")
        self._router.set(zmq.MAXMSGSIZE, LARGEST_QUESTION)
        self._events = self._socket(zmq.PUB, sockets / "events")

    def fileno(self) -> int:
        return int(self._router.get(zmq.FD))

    def drain(self) -> bool:
        """Answer what waits. True when there may be more: then call again soon, the descriptor will not tell."""
        for _ in range(MOST_AT_ONCE):
            events: Any = self._router.get(zmq.EVENTS)
            if not events & _READABLE:  # an exception per look costs more than the look
                return False
            try:
                *route, packed = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            answer = self._answer_to(packed)
            if isinstance(answer, Later):
                answer.deliver(partial(self._send, route))
            else:
                self._send(route, answer)
        return True

    def publish(self, record: dict[str, Any]) -> None:
        """Tell everybody who subscribed to `supervision:`; a PUB never waits."""
        self._events.send(b"supervision:\0" + msgspec.msgpack.encode(record), zmq.NOBLOCK)

    def close(self) -> None:
        self._router.close(linger=200)  # the answer to `down` is still on its way
        self._events.close(linger=200)
        self._context.term()

    def _send(self, route: list[bytes], answer: dict[str, Any]) -> None:
        """A visitor who does not read, or has left, waits for nobody's sake."""
        if not self._router.closed:
            with contextlib.suppress(zmq.Again):
                self._router.send_multipart([*route, msgspec.msgpack.encode(answer)], zmq.NOBLOCK)

    def _answer_to(self, packed: bytes) -> dict[str, Any] | Later:
        try:
            question = msgspec.msgpack.decode(packed)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refusal("bad_request", f"the question is no MessagePack: {error}")
        if not isinstance(question, dict) or not isinstance(question.get("verb"), str):
            return refusal("bad_request", 'a question is one map with a text "verb"')
        return self._answer(question)

    def _socket(self, kind: int, path: Path) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, QUEUE)
        socket.set(zmq.RCVHWM, QUEUE)
        try:
            socket.bind(f"ipc://{path}")
        except zmq.ZMQError as error:
            raise OSError(error.errno, f"{path}: {error.strerror}") from error
        return socket


def refusal(code: str, text: str) -> dict[str, Any]:
    return {"ok": False, "code": code, "text": text}
