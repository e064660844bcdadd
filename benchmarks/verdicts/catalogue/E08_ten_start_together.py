"""E08 Ten services start together, each needs CPU for it, and strangers want the same cores: all are slow."""

import time
from typing import Any

from benchmarks.verdicts.pieces import Worker, place, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

NEED_S = 2.0


class Warming(Worker):
    def init(self, **more: Any) -> None:
        self.burn(0.8)
        place(f"{self.ctx.name}.almost").touch()
        self.burn(0.2)
        super().init(**more)

    def burn(self, share: float) -> None:
        until = time.thread_time() + NEED_S * scale() * share
        while time.thread_time() < until:
            pass


def inject(stage: Stage) -> None:
    stage.burn(4)
    stage.begin()
    stage.until(stage.path("service9.almost").exists, "the last of them is nearly started")
    stage.over()


SERVICES = tuple(worker(f"service{number}", f"{__name__}:Warming") for number in range(10))
SCENARIO = Scenario(
    id="E08",
    title="ten services start together",
    children=SERVICES,
    inject=inject,
    truth=Truth(unit="service9", kind=VerdictKind.STARTING),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.PARK),
    healthy=tuple(f"service{number}" for number in range(9)),
    within_s=60.0,
    lasts_s=90.0,
    starts_most=1,
    boots=False,
)
