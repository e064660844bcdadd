"""J09 The mailbox grows without end: ten times as much comes in as is worked off, until the inbox is full (10,000)."""

import contextlib
import threading
import time
from typing import Any, ClassVar

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Delivery, Message
from supervisor.words import VerdictKind

A_SECOND = 500


class Item(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM
    number: int


class Flooded(Worker):
    def init(self, **more: Any) -> None:
        threading.Thread(target=self.come_in, daemon=True, name="source").start()
        super().init(**more)

    def come_in(self) -> None:
        while True:
            time.sleep(0.1 * scale())
            with contextlib.suppress(RuntimeError):  # full: what comes now is lost
                for number in range(A_SECOND // 10 if switched() else 0):
                    self.ctx.post(Item(number=number))

    def handle(self, message: Message) -> None:
        if isinstance(message, Item):
            time.sleep(10.0 / A_SECOND * scale())
            self.ctx.progress("item")
            return
        super().handle(message)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


SCENARIO = Scenario(
    id="J09",
    title="the mailbox grows without end",
    children=(worker("worker", f"{__name__}:Flooded"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.EXHAUSTED, causes=("queue",), also=(VerdictKind.BUSY,)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=1,
)
