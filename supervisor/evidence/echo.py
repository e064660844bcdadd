"""Rung R0: does the process run at all? A thread without the interpreter answers, whoever holds the GIL.

The picture: knocking on the wall instead of asking the tenant. In every node a thread sits inside libzmq, in a proxy of
a socket with itself: what comes in goes back to who sent it, and no line of Python runs for it. It falls silent only
when the whole process does (stopped, frozen, starved of the processor, gone). The root knocks only at suspects.
"""

from __future__ import annotations

import threading
from typing import Any

import zmq

from supervisor.verdict import Ping

SUFFIX = "~"  # of the node's own endpoint
LARGEST = 64  # bytes of a knock
AGAIN_S = 0.5
DOORS_MOST = 64  # suspects at once; of more the others keep their rung unknown
_KNOCK = b"?"


def serve(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> str:
    """In the node: answer for as long as the process lives. Why it cannot, or "": a node works without it."""
    try:
        socket = context.socket(zmq.ROUTER)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.MAXMSGSIZE, LARGEST)
        socket.bind(endpoint + SUFFIX)
        threading.Thread(target=_turn, args=(socket,), name="echo", daemon=True).start()
    except (zmq.ZMQError, RuntimeError) as error:
        return f"no echo at {endpoint + SUFFIX}: {error}"
    return ""


def _turn(socket: Any) -> None:
    try:
        zmq.proxy(socket, socket)
    except zmq.ZMQError:  # the context has ended, and with it the node
        socket.close(linger=0)


class _Door:
    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, incarnation: int) -> None:
        self.incarnation = incarnation
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.SNDHWM, 8)
        self.socket.connect(endpoint + SUFFIX)
        self.waiting_since: float | None = None
        self.answered_at: float | None = None
        self.knocked_at = 0.0


class Knocker:
    """In the root: `knock` at a suspect as often as it is looked at, `leave` when it is none any more."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._doors: dict[str, _Door] = {}

    def knock(self, id: str, incarnation: int, endpoint: str, now: float, again_s: float = AGAIN_S) -> Ping:
        """What is known by now, and ask anew if it is time to. Never waits."""
        door = self._doors.get(id)
        if door is not None and door.incarnation != incarnation:
            self.leave(id)
            door = None
        if door is None:
            if len(self._doors) >= DOORS_MOST:
                return Ping()
            if self._context is None:
                self._context = zmq.Context(io_threads=1)
            try:
                door = self._doors[id] = _Door(self._context, endpoint, incarnation)
            except zmq.ZMQError:  # no descriptor left: this rung stays unknown
                return Ping()
        socket = door.socket
        try:
            while int(socket.get(zmq.EVENTS)) & zmq.POLLIN:
                socket.recv(zmq.NOBLOCK)
                door.answered_at, door.waiting_since = now, None
            if now - door.knocked_at >= again_s:
                door.knocked_at = now
                socket.send(_KNOCK, zmq.NOBLOCK)
                door.waiting_since = door.waiting_since or now
        except zmq.Again:  # eight knocks wait already
            pass
        return Ping(waiting_since=door.waiting_since, answered_at=door.answered_at)

    def leave(self, id: str) -> None:
        door = self._doors.pop(id, None)
        if door is not None:
            door.socket.close(linger=0)

    def close(self) -> None:
        for id in list(self._doors):
            self.leave(id)
        if self._context is not None:
            self._context.term()
            self._context = None
