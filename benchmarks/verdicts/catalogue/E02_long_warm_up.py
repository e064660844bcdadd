"""E02 A warm-up of a hundred seconds, with marks of progress."""

import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Starter(Worker):
    def init(self, **more: Any) -> None:
        until = time.monotonic() + 100.0 * scale()
        while time.monotonic() < until:
            self.ctx.progress("warming")
            time.sleep(0.005)
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.until(lambda: stage.row("worker").get("state") == "running", "the worker is starting")
    stage.begin()


SCENARIO = Scenario(
    id="E02",
    title="a long warm-up",
    children=(worker("worker", f"{__name__}:Starter"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.STARTING),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART, Deed.PARK),
    within_s=85.0,
    lasts_s=85.0,
    starts_most=1,
    boots=False,
)
