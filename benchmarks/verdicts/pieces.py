"""Common actors of the catalogue: one that works on a beat and publishes, one that listens, one that calls a venue.

A scenario subclasses them and overrides `work`, where its fault hides behind a switch: a file that the stage turns on.
`once` turns the switch off again as it is read, so that the next life is a good one.
"""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.spec import ChildSpec, child

STAGE, SCALE = "QT_STAGE", "QT_SCALE"


def scale() -> float:
    """Seconds here per second as written."""
    return float(os.environ.get(SCALE, "1"))


def place(name: str) -> Path:
    """A file on the stage: a switch, or whatever both sides want to know."""
    return Path(os.environ.get(STAGE, ".")) / name


def switched(name: str = "fault") -> bool:
    return place(name).exists()


def once(name: str = "fault") -> bool:
    """True for the first who asks after the stage has turned it on."""
    try:
        place(name).unlink()
    except FileNotFoundError:
        return False
    return True


class Turn(Message, frozen=True, kw_only=True):
    """The private beat of a worker."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Result(Message, frozen=True, kw_only=True):
    """What a worker makes; `value` differs each time unless the scenario freezes it."""

    number: int
    value: float = 0.0
    channel: str = ""

    def key(self) -> str:
        return self.channel


class Worker(Actor):
    """Works every `every_s`, says `Result`, marks progress."""

    publishes = (Result,)

    def init(self, *, every_s: float = 1.0, **_: Any) -> None:
        self.every_s = max(0.02, every_s * scale())
        self.number = 0
        self.ctx.after(self.every_s, Turn())

    def handle(self, message: Message) -> None:
        if isinstance(message, Turn):
            self.ctx.after(self.every_s, Turn())
            self.work()

    def work(self) -> None:
        """One piece of useful work."""
        self.number += 1
        self.ctx.publish(Result(number=self.number, value=float(self.number)))
        self.ctx.progress("result")


class Consumer(Actor):
    """Hears every `Result`."""

    subscribes = (Result,)

    def handle(self, message: Message) -> None:
        self.ctx.progress("heard")


class Caller(Worker):
    """Each piece of work is a call to `url`; it tells the outcome as `ctx.outcome(dependency)` and goes on."""

    def init(self, *, url: str = "", dependency: str = "venue", every_s: float = 1.0, **_: Any) -> None:
        self.url, self.dependency = url, dependency
        super().init(every_s=every_s)

    def work(self) -> None:
        try:
            with urllib.request.urlopen(self.url, timeout=max(0.5, 2.0 * scale())) as answer:
                answer.read()
        except (urllib.error.URLError, OSError) as error:
            self.ctx.outcome(self.dependency, error)
            return
        self.ctx.outcome(self.dependency)
        super().work()


class Service(Worker):
    """A worker with an HTTP side on 127.0.0.1, served by a thread of its own as such sides are: `reply` answers.

    Its port stands in the file `<name>.port` of the stage, and is `port` where one is given.
    """

    def init(self, *, port: int = 0, every_s: float = 1.0, **_: Any) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = outer.reply(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        place(f"{self.ctx.name}.port").write_text(str(self.server.server_address[1]))
        threading.Thread(target=self.server.serve_forever, daemon=True, name="http").start()
        super().init(every_s=every_s)

    def reply(self, path: str) -> tuple[int, str]:
        """Status and body for a GET of this path."""
        return (200, "ok") if path == "/health" else (404, "no such page")

    def terminate(self, reason: str) -> None:
        self.server.shutdown()


def worker(name: str, path: str = "benchmarks.verdicts.pieces:Worker", **arguments: Any) -> ChildSpec:
    """A node of one actor. `spec={…}` overrides fields of its ChildSpec, the rest goes to `init`."""
    return child(name, path, **arguments)


CROWD = (worker("bystander"), worker("other"))  # who has nothing to do with it
OTHERS = ("bystander", "other")
