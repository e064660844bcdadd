"""A house of ill actors for the judge: each has one disease, and healthy siblings to show that nobody else notices."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, cast

from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.plan import Draft
from supervisor.spec import Check, ChildSpec, SupervisorSpec, ZygoteSpec, child, supervise
from supervisor.words import Strategy

HOUSE = Path(__file__).resolve().parents[2]


class Beat(Message, frozen=True, kw_only=True):
    """A private timer."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Steady(Actor):
    """Beats ten times a second and calls that useful work."""

    def init(self) -> None:
        self.ctx.after(0.1, Beat())

    def handle(self, message: Message) -> None:
        self.ctx.progress("beat")
        self.ctx.after(0.1, Beat())


class Bridge(Actor):
    """The predecessor's own death: its start calls a method that does not exist."""

    def init(self) -> None:
        self.engine = cast(Any, object())
        self.engine.start()  # does not exist

    def handle(self, message: Message) -> None:
        return


class Served(Steady):
    """Answers HTTP on its own port; its declared check asks another one."""

    def init(self, port: int) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"alive")

            def log_message(self, *_: Any) -> None:
                return

        server = HTTPServer(("127.0.0.1", port), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        super().init()


class Spinner(Steady):
    """In its first life its third message never ends: a loop in pure Python."""

    def init(self) -> None:
        self.beats = 0
        super().init()

    def handle(self, message: Message) -> None:
        self.beats += 1
        if self.ctx.incarnation == 1 and self.beats == 3:
            self.ctx.after(0.05, Beat())
            going_round_in_circles()
        super().handle(message)


def going_round_in_circles() -> None:
    while True:
        pass


def ill(port: int, wrong: int) -> Draft:
    """The tree: two healthy ones and one of each disease. `wrong` is a port nobody listens on."""
    check = Check(kind="http", target=f"http://127.0.0.1:{wrong}/", every_s=0.5, timeout_s=1.0)
    patients: list[ChildSpec | SupervisorSpec] = [
        child("steady", f"{__name__}:Steady"),
        child("bridge", f"{__name__}:Bridge", spec={"required": False}),
        child("served", f"{__name__}:Served", spec={"checks": (check,)}, port=port),
        child("spinner", f"{__name__}:Spinner", spec={"hang_after_s": 2.0}),
        child("calm", f"{__name__}:Steady"),
    ]
    return Draft(
        tree=supervise("root", Strategy.ONE_FOR_ONE, [supervise("ward", Strategy.ONE_FOR_ONE, patients)]),
        zygotes=(ZygoteSpec(role="core", imports=(__name__,)),),
        own_roots=(str(HOUSE),),
    )
