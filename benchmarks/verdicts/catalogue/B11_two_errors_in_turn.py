"""B11 Two deterministic errors in turn: no two deaths in a row are alike, and still nothing will ever work."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Alternating(Worker):
    def init(self, **more: Any) -> None:
        if self.ctx.incarnation % 2:
            raise KeyError("left")
        raise AttributeError("right")


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B11",
    title="two errors in turn",
    children=(worker("worker", f"{__name__}:Alternating"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASH_LOOP, causes=("alternating", "code", "config")),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=40.0,
    lasts_s=80.0,
    starts_most=6,
    boots=False,
)
