"""L11 After a restart its cache is cold and each item takes long: it is overloaded by that, and catches up alone."""

import threading
import time
from typing import Any, ClassVar

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Delivery, Message
from supervisor.words import VerdictKind

COLD = 30


class Item(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM
    number: int


class Cached(Worker):
    """One item a second; the first thirty of a life after the first take two seconds each."""

    def init(self, **more: Any) -> None:
        self.left = COLD if self.ctx.incarnation > 1 else 0
        threading.Thread(target=self.come_in, daemon=True, name="source").start()
        super().init(**more)

    def come_in(self) -> None:
        for number in range(5000):
            time.sleep(1.0 * scale())
            self.ctx.post(Item(number=number))

    def handle(self, message: Message) -> None:
        if isinstance(message, Item):
            time.sleep((2.0 if self.left > 0 else 0.1) * scale())
            self.left -= 1
            self.ctx.progress("item")
            return
        super().handle(message)


def inject(stage: Stage) -> None:
    stage.order("restart", "worker")
    stage.until(lambda: stage.row("worker").get("incarnation", 1) > 1 and stage.row("worker").get("ready"), "restarted")
    stage.begin()


SCENARIO = Scenario(
    id="L11",
    title="the restart makes it slow",
    children=(worker("worker", f"{__name__}:Cached"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.BUSY, causes=("queue", "long-message")),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=60.0,
)
