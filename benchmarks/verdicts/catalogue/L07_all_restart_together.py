"""L07 Eight services are restarted together and starve each other while they start."""

import time
from typing import Any

from benchmarks.verdicts.pieces import Worker, place, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

NEED_S = 5.0
NAMES = tuple(f"service{number}" for number in range(8))


class Warming(Worker):
    def init(self, **more: Any) -> None:
        if self.ctx.incarnation > 1:
            self.burn(0.8)
            place(f"{self.ctx.name}.almost").touch()
            self.burn(0.2)
        super().init(**more)

    def burn(self, share: float) -> None:
        until = time.thread_time() + NEED_S * scale() * share
        while time.thread_time() < until:
            pass


def inject(stage: Stage) -> None:
    for name in NAMES:
        stage.order("restart", name)
    stage.begin()
    stage.until(lambda: any(stage.path(f"{name}.almost").exists() for name in NAMES), "the first is nearly started")
    stage.over()


SCENARIO = Scenario(
    id="L07",
    title="all restart together",
    children=tuple(worker(name, f"{__name__}:Warming") for name in NAMES),
    inject=inject,
    # where they starve the root as well, that is no less true
    truth=Truth(unit="service7", kind=VerdictKind.STARTING, also=(VerdictKind.OBSERVER_STALL,)),
    action=Deed.NOTHING,
    never=(Deed.PARK,),
    healthy=NAMES[:-1],
    within_s=90.0,
    lasts_s=90.0,
    starts_most=2,
)
