"""The outsider's way in: ask the root a question, listen to what the nodes say. Used by `qt` and by the gateway's port.

Picture: a visitor at the counter with a phrase book. It knows a home directory, ZeroMQ and plain MessagePack, none of
our message classes, and it believes nothing: files may be stale, sockets may have no owner, a root may be wedged. Each
of these is an answer (`Unreachable`), never a hang: every question has a deadline. One client, one thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import zmq

from supervisor.runtime import locks
from supervisor.terminal import command

ANSWER_S = 2.0
RECEIVE_QUEUE = 10_000  # frames per listener; beyond that ZeroMQ drops, which a gap in `seq` shows
SCHEMA = 1  # of the envelope, docs/wire.md
FIELDS = ("schema", "sender", "incarnation", "seq", "event_ns", "sent_ns", "provenance", "trace", "causation")


class Unreachable(Exception):
    """No answer. `running` says whether a server holds this home's lock all the same (then it is wedged or booting)."""

    def __init__(self, text: str, *, running: bool) -> None:
        super().__init__(text)
        self.running = running


class Heard(NamedTuple):
    """One frame off the bus. `body[0]` is the message class, the rest its fields in the order of docs/wire.md."""

    topic: str
    head: dict[str, Any]
    body: list[Any]


def running(home: Path) -> int | None:
    """The pid of the heart or root that holds this home, 0 when it does not say, `None` when nobody does."""
    for name in ("heart.lock", "root.lock"):
        pid = locks.holder(home / "run" / name)
        if pid is not None:
            return pid
    return None


def sockets(home: Path) -> Path | None:
    """The directory of this home's sockets, `None` when no server ever wrote it down or it is gone."""
    try:
        folder = Path((home / "run" / "sockets").read_text().strip())
    except (OSError, UnicodeDecodeError):
        return None
    return folder if folder.is_dir() else None


def addresses(home: Path) -> dict[str, str]:
    """Child name -> endpoint of its PUB socket; empty when there is no server or its file is half written."""
    try:
        book = json.loads((home / "run" / "addresses.json").read_text())
    except (OSError, ValueError):
        return {}
    nodes = book if isinstance(book, dict) else {}
    return {str(name): at for name, at in nodes.items() if isinstance(at, str) and at.startswith("ipc://")}


class Client:
    """Asks the root of one home. Keeps its connection; after a missed answer the next question opens a new one."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._endpoint = ""

    def ask(self, verb: str, timeout_s: float = ANSWER_S, **fields: Any) -> dict[str, Any]:
        """The root's answer to one question of the control protocol.

        Raises:
            Unreachable: no server, or none that answers in time.
        """
        pid = running(self._home)  # first: a dead server's socket file looks like a slow one
        if pid is None:
            self._drop()
            raise Unreachable(f"no server runs in {self._home}; start one with {command('up')}", running=False)
        folder = sockets(self._home)
        if folder is None or not (folder / "control").exists():
            self._drop()
            raise Unreachable(f"the server in {self._home} (pid {pid}) has no control socket yet", running=True)
        endpoint = f"ipc://{folder}/control"
        if self._socket is None or endpoint != self._endpoint:
            self._drop()
            self._socket = self._context.socket(zmq.REQ)
            self._socket.set(zmq.LINGER, 0)
            self._socket.connect(endpoint)
            self._endpoint = endpoint
        deadline = int(timeout_s * 1000)
        try:
            self._socket.set(zmq.SNDTIMEO, deadline)
            self._socket.send(msgpack.packb({"verb": verb, **fields}))
            if not self._socket.poll(deadline):
                raise zmq.Again
            answer = msgpack.unpackb(self._socket.recv(), strict_map_key=False)
        except (zmq.ZMQError, ValueError) as error:
            self._drop()  # a REQ socket that missed an answer cannot ask again
            pid = running(self._home)
            if pid is None:
                raise Unreachable(
                    f"no server runs in {self._home}; start one with {command('up')}", running=False
                ) from error
            text = f"the server in {self._home} (pid {pid}) did not answer {verb} within {timeout_s:g} s"
            raise Unreachable(text, running=True) from error
        if not isinstance(answer, dict):
            raise Unreachable(f"the server in {self._home} answered {verb} with something that is no map", running=True)
        return answer

    def close(self) -> None:
        self._drop()
        self._context.term()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None


class Listener:
    """Hears the nodes of one home. New nodes are found by looking at the address book once a second."""

    def __init__(self, home: Path, topics: Iterable[str] = ()) -> None:
        self._home = home
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
        self._socket.set(zmq.RECONNECT_IVL, 5)
        self._socket.set(zmq.RECONNECT_IVL_MAX, 100)
        for topic in list(topics) or [""]:
            self._socket.set(zmq.SUBSCRIBE, topic.encode())
        self._known: set[str] = set()
        self._looked_at = 0.0
        self.malformed = 0

    def hear(self, timeout_s: float, most: int = 1000) -> Iterator[Heard]:
        """At most `most` frames that arrive within `timeout_s`; ends early only when `most` is reached."""
        deadline = time.monotonic() + timeout_s
        for _ in range(most):
            self._look()
            left = deadline - time.monotonic()
            if not self._socket.poll(max(0, int(left * 1000))):
                return
            heard = decode(self._socket.recv())
            if heard is not None:
                yield heard
            else:
                self.malformed += 1

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < 1.0 and self._looked_at:
            return
        self._looked_at = now
        current = set(addresses(self._home).values())
        for endpoint in current - self._known:
            self._socket.connect(endpoint)
        for endpoint in self._known - current:
            self._socket.disconnect(endpoint)
        self._known = current


def decode(frame: bytes) -> Heard | None:
    """A whole frame by plain MessagePack; `None` when it is none of ours."""
    topic, separator, packed = frame.partition(b"\0")
    try:
        envelope = msgpack.unpackb(packed, strict_map_key=False)
        *head, body = envelope[: len(FIELDS) + 1]
        if not separator or len(head) != len(FIELDS) or head[0] != SCHEMA or not isinstance(body, list):
            return None
        return Heard(topic.decode(), dict(zip(FIELDS, head, strict=True)), body)
    except (ValueError, TypeError):  # msgpack's own errors are ValueErrors; a foreign sender must not end us
        return None
