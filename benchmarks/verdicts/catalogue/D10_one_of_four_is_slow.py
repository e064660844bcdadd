"""D10 One of four equal workers needs ten times as long for the same work; no promise is broken."""

import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import partitions
from supervisor.words import VerdictKind

PIECE_S = 0.05


class Equal(Worker):
    slow = False

    def work(self) -> None:
        if self.ctx.name == "pool:2" and once():
            self.slow = True
        time.sleep(PIECE_S * scale() * (10 if self.slow else 1))
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="D10",
    title="one of four equal workers is ten times slower",
    children=(partitions("pool", 4, lambda id, number: worker(id, f"{__name__}:Equal")), *CROWD),
    inject=inject,
    truth=Truth(unit="pool:2", kind=VerdictKind.DEGRADED, causes=("outlier",)),
    action=(Deed.RESTART, Deed.ACTOR),
    healthy=("pool:0", "pool:1", "pool:3", *OTHERS),
    within_s=60.0,
    lasts_s=90.0,
    recovers=True,
)
