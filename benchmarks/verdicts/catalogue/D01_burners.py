"""D01 Sixteen busy processes per core; the service wants a third of one and hardly gets it."""

import os
import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Cruncher(Worker):
    def work(self) -> None:
        until = time.thread_time() + 0.3 * self.every_s
        while time.thread_time() < until:
            pass
        super().work()


def inject(stage: Stage) -> None:
    stage.begin()
    stage.burn(16 * (os.cpu_count() or 1))
    stage.sleep(25.0)
    stage.over()
    stage.cool()


SCENARIO = Scenario(
    id="D01",
    title="a machine full of burners",
    children=(worker("worker", f"{__name__}:Cruncher"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.BUSY, also=(VerdictKind.OBSERVER_STALL,)),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART, Deed.PARK),
    within_s=20.0,
    lasts_s=40.0,
)
