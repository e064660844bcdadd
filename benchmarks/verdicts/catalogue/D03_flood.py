"""D03 A flood: four hundred jobs at once, each takes a twentieth of a second, all done at full rate."""

import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Message
from supervisor.words import VerdictKind


class Job(Message, frozen=True, kw_only=True):
    number: int

    def key(self) -> str:
        return str(self.number)


class Crew(Worker):
    def handle(self, message: Message) -> None:
        if isinstance(message, Job):
            time.sleep(0.05 * scale())
            self.ctx.progress("job")
            return
        super().handle(message)

    def work(self) -> None:
        if once():
            for number in range(400):
                self.ctx.post(Job(number=number))
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="D03",
    title="a flood of jobs",
    children=(worker("worker", f"{__name__}:Crew"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.BUSY, causes=("queue",)),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=10.0,
    lasts_s=18.0,
)
