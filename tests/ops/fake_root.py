"""A root that speaks the control protocol and nothing else: a real ROUTER, a real lock, real PUB sockets, no tree.

The verbs cannot tell it from the real one; the tests decide what it says and when it falls silent.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import zmq

from supervisor.runtime.locks import Lock

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


def child(path: str, **fields: Any) -> dict[str, Any]:
    """One entry of the status JSON, calm and ready unless told otherwise."""
    plain = {
        "path": path,
        "name": path.rsplit("/", 1)[-1],
        "kind": "worker",
        "state": "ready",
        "verdict": "HEALTHY",
        "cause": "",
        "reason": "",
        "incarnation": 1,
        "pid": 4242,
        "age_s": 12.0,
        "restarts": {"window": 0, "limit": 5, "total": 0},
        "next_retry_s": None,
        "mailbox": {"depth": 0, "oldest_s": None},
        "rates": {"in": 10.0, "out": 5.0},
        "cpu_ratio": 0.02,
        "rss_mib": 40.0,
        "pss_mib": 12.0,
        "ready": True,
        "required": True,
    }
    return {**plain, **fields}


def status(*children: dict[str, Any], state: str = "running") -> dict[str, Any]:
    return {
        "schema": 1,
        "server": {
            "state": state,
            "mode": "sim",
            "pid": 1,
            "uptime_s": 200.0,
            "version": "0.1.0",
            "config_digest": "abc",
        },
        "children": list(children),
    }


TREE = status(
    child("root", kind="supervisor", pid=None),
    child("root/market", kind="supervisor", pid=None),
    child("root/market/feed:binance"),
    child("root/market/cross_exchange", restarts={"window": 1, "limit": 5, "total": 3}),
    child("root/watch", kind="supervisor", pid=None),
    child("root/watch/gateway", required=False),
)


class FakeRoot:
    """Answers on `ipc://<sockets>/control` in a thread; `answers[verb]` decides, `None` is silence."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.answers: dict[str, Answer] = {"status": lambda _: TREE}
        self.asked: list[dict[str, Any]] = []
        self.folder = Path(tempfile.mkdtemp(prefix="qt-test-"))
        (home / "run").mkdir(parents=True, exist_ok=True)
        (home / "run" / "sockets").write_text(f"{self.folder}\n")
        self._lock = Lock(home / "run" / "root.lock")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(f"ipc://{self.folder}/control")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def publisher(self, name: str) -> zmq.Socket[bytes]:
        """A node's PUB socket, written into the address book."""
        endpoint = f"ipc://{self.folder}/{name.replace(':', '_')}"
        socket = self._context.socket(zmq.PUB)
        socket.set(zmq.LINGER, 0)
        socket.bind(endpoint)
        book = self.home / "run" / "addresses.json"
        known = json.loads(book.read_text()) if book.exists() else {}
        book.write_text(json.dumps({**known, name: endpoint}))
        return socket

    def _serve(self) -> None:
        while not self._over.is_set():
            if not self._socket.poll(20):
                continue
            *route, packed = self._socket.recv_multipart()
            question = msgpack.unpackb(packed)
            self.asked.append(question)
            known = self.answers.get(question["verb"])
            answer = (
                known(question) if known else {"ok": False, "code": "not_found", "text": f"no verb {question['verb']}"}
            )
            if answer is not None:
                self._socket.send_multipart([*route, msgpack.packb(answer)])

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)
        self._context.destroy(linger=0)
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def fake_root(home: Path) -> Iterator[FakeRoot]:
    root = FakeRoot(home)
    try:
        yield root
    finally:
        root.close()
