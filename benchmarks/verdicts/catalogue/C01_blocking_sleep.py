"""C01 A blocking sleep in the handler: the loop stands still, everything else in the process answers."""

import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Sleeper(Worker):
    def work(self) -> None:
        if once():
            time.sleep(3600)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C01",
    title="a blocking sleep in the handler",
    children=(worker("worker", f"{__name__}:Sleeper"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("loop-blocked",)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=25.0,
    recovers=True,
)
