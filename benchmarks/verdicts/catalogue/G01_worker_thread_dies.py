"""G01 The thread that does the work has died; the HTTP side answers 200."""

import threading
import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Result, Service, once, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Message
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind


class TwoFaced(Service):
    """A thread of its own makes the results; the inbox has nothing to do with them."""

    def init(self, **more: Any) -> None:
        super().init(**more)
        threading.Thread(target=self.make, daemon=True, name="maker").start()

    def make(self) -> None:
        while not once():
            self.ctx.post(Made())
            time.sleep(1.0 * scale())

    def handle(self, message: Message) -> None:
        if isinstance(message, Made):
            self.number += 1
            self.ctx.publish(Result(number=self.number))
            self.ctx.progress("made")


class Made(Message, frozen=True, kw_only=True):
    """The maker has something."""


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    spec = {
        "checks": (Check(target=f"http://127.0.0.1:{port}/health"),),
        "promises": (Promise(topic="Result", at_least_every_s=4.0),),
    }
    return (worker("service", f"{__name__}:TwoFaced", port=port, spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="G01",
    title="the working thread is dead, the HTTP side lives",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.DEGRADED, causes=("stale", "hollow"), also=(VerdictKind.HUNG,)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=25.0,
    lasts_s=50.0,
)
