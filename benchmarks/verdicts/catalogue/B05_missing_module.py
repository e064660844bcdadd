"""B05 A module it needs is not installed."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Importer(Worker):
    def init(self, **more: Any) -> None:
        import importlib

        importlib.import_module("a_library_nobody_installed")
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B05",
    title="a missing module",
    children=(worker("worker", f"{__name__}:Importer"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASH_LOOP, causes=("code",)),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    boots=False,
    starts_most=3,
)
