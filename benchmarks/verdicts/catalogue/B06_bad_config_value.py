"""B06 A bad value in its configuration."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Configured(Worker):
    def init(self, **more: Any) -> None:
        self.limit = float({"max_order": "five"}["max_order"])
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B06",
    title="a bad value in the configuration",
    children=(worker("worker", f"{__name__}:Configured"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASH_LOOP, causes=("config",)),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    boots=False,
    starts_most=3,
)
