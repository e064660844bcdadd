"""C15 The handler puts the same message back for ever: the loop turns, the messages are handled, nothing comes out."""

from typing import ClassVar

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Delivery, Message
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Job(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM
    number: int


class Requeuer(Worker):
    def handle(self, message: Message) -> None:
        if isinstance(message, Job):
            self.ctx.post(message)  # "try again later", at once and for ever; the beat never gets its turn
        elif once():
            self.ctx.post(Job(number=7))
        else:
            super().handle(message)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="C15",
    title="the same message is put back for ever",
    children=(worker("worker", f"{__name__}:Requeuer", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("livelock",)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    recovers=True,
)
