"""B09 A start fails three times in ten, each time in another way: bad luck, not a loop."""

import random
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Budget
from supervisor.words import VerdictKind


class Unlucky(Worker):
    def init(self, **more: Any) -> None:
        if random.random() < 0.3:
            random.choice((self.one, self.two, self.three, self.four, self.five))()
        super().init(**more)

    def one(self) -> None:
        raise RuntimeError("the session was closed")

    def two(self) -> None:
        raise ConnectionResetError("reset by peer")

    def three(self) -> None:
        raise TimeoutError("no snapshot in time")

    def four(self) -> None:
        raise LookupError("no such instrument yet")

    def five(self) -> None:
        raise ArithmeticError("a book that does not add up")

    def work(self) -> None:
        if once():
            raise RuntimeError("a gap in the stream")
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()
    for _ in range(3):
        stage.sleep(15.0)
        stage.switch()


SCENARIO = Scenario(
    id="B09",
    title="starts that fail by chance",
    children=(worker("worker", f"{__name__}:Unlucky", spec={"budget": Budget(intensity=30)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASHED),
    action=Deed.RESTART,
    healthy=OTHERS,
    never=(Deed.PARK,),
    within_s=1.0,
    lasts_s=80.0,
    starts_most=20,
)
