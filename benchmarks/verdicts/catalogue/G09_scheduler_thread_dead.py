"""G09 The thread that schedules the work is dead of an exception; the rest of the service answers as ever."""

import threading
import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Result, Service, Turn, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Message
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind


class Scheduled(Service):
    """Its beat says `tick`; the thread of the scheduler has it say `report`."""

    def init(self, **more: Any) -> None:
        super().init(**more)
        threading.Thread(target=self.schedule, daemon=True, name="scheduler").start()

    def schedule(self) -> None:
        number = 0
        while not once():
            number += 1
            self.ctx.post(Result(number=number, channel="report"))
            time.sleep(self.every_s)
        raise RuntimeError("the scheduler has lost its table")

    def handle(self, message: Message) -> None:
        if isinstance(message, Turn):
            self.ctx.after(self.every_s, Turn())
            self.number += 1
            self.ctx.publish(Result(number=self.number, channel="tick"))
            self.ctx.progress("tick")
        elif isinstance(message, Result):
            self.ctx.publish(message)


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(target=f"http://127.0.0.1:{port}/health", every_s=2.0)
    promises = tuple(Promise(topic="Result", key=key, at_least_every_s=5.0) for key in ("tick", "report"))
    spec = {"checks": (check,), "promises": promises}
    return (worker("service", f"{__name__}:Scheduled", port=port, spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="G09",
    title="the scheduler's thread is dead",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.DEGRADED, causes=("partial", "stale")),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    recovers=True,
)
