"""E04 The service waits two minutes for a sibling that takes so long to start.

In this house who needs a sibling stands after it in the tree and is started when that one is ready.
"""

import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Dependency
from supervisor.words import VerdictKind


class Slow(Worker):
    def init(self, **more: Any) -> None:
        for _ in range(120):
            time.sleep(1.0 * scale())
            self.ctx.progress("table loaded")
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.until(lambda: stage.row("store"), "the tree is there")
    stage.begin()
    stage.sleep(110.0)
    stage.over()


NEEDS = Dependency(name="store", child="store")
SCENARIO = Scenario(
    id="E04",
    title="waits for a sibling that starts slowly",
    children=(*CROWD, worker("store", f"{__name__}:Slow"), worker("user", spec={"depends": (NEEDS,)})),
    inject=inject,
    truth=Truth(unit="user", kind=VerdictKind.STARTING, causes=("waiting",), also=(VerdictKind.UPSTREAM,)),
    action=(Deed.NOTHING, Deed.GATE),
    never=(Deed.RESTART, Deed.PARK),
    healthy=(*OTHERS, "store"),
    within_s=20.0,
    lasts_s=130.0,
    starts_most=1,
    boots=False,
)
