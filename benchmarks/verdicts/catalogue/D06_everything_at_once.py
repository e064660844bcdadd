"""D06 All at once 9,000 messages wait (an inbox holds 10,000); they are drained at a constant rate."""

import time
from typing import ClassVar

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Delivery, Message
from supervisor.words import VerdictKind

COUNT, DRAIN_S = 9000, 30.0


class Item(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM
    number: int


class Drain(Worker):
    def handle(self, message: Message) -> None:
        if isinstance(message, Item):
            time.sleep(DRAIN_S * scale() / COUNT)
            self.ctx.progress("item")
            return
        super().handle(message)

    def work(self) -> None:
        if once():
            for number in range(COUNT):
                self.ctx.post(Item(number=number))
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="D06",
    title="thousands of messages at once",
    children=(worker("worker", f"{__name__}:Drain"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.BUSY, causes=("queue",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=10.0,
    lasts_s=40.0,
)
