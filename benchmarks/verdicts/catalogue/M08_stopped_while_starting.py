"""M08 It is asked to stop while it starts: it ends, and nobody calls that a failed start or starts it again."""

import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Slow(Worker):
    def init(self, **more: Any) -> None:
        for _ in range(30):
            time.sleep(1.0 * scale())
            self.ctx.progress("table loaded")
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.until(lambda: stage.row("worker").get("pid"), "the worker has a process")
    stage.sleep(5.0)
    stage.order("stop", "worker")
    stage.begin()


SCENARIO = Scenario(
    id="M08",
    title="stopped while it starts",
    children=(*CROWD, worker("worker", f"{__name__}:Slow")),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.STOPPED),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.PARK),
    healthy=OTHERS,
    within_s=10.0,
    lasts_s=60.0,
    starts_most=1,
    boots=False,
)
