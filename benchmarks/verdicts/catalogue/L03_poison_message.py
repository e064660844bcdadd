"""L03 One message makes its handler exit; the house delivers it again at every start."""

import os
from typing import ClassVar

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.words import VerdictKind


class Order(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY

    number: int
    poison: bool = False


class Desk(Worker):
    publishes = (Order,)  # type: ignore[assignment]

    def work(self) -> None:
        self.number += 1
        self.ctx.publish(Order(number=self.number, poison=once()))
        self.ctx.progress("order")


class Clerk(Actor):
    subscribes = (Order,)

    def handle(self, message: Message) -> None:
        if isinstance(message, Order) and message.poison:
            place("taken").touch()
            os._exit(3)
        self.ctx.progress("booked")


def inject(stage: Stage) -> None:
    stage.sleep(10.0)  # good work before
    stage.switch()
    stage.until(stage.path("taken").exists, "the clerk has met the poison")


SCENARIO = Scenario(
    id="L03",
    title="a poison message",
    children=(worker("desk", f"{__name__}:Desk"), worker("clerk", f"{__name__}:Clerk"), *CROWD),
    inject=inject,
    truth=Truth(unit="clerk", kind=VerdictKind.CRASH_LOOP, causes=("poison",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    never=(Deed.PARK,),
    within_s=20.0,
    lasts_s=60.0,
    starts_most=4,
    recovers=True,
)
