"""A05 It ends with code 0 in the middle of its work; nobody asked."""

import os

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Leaver(Worker):
    def work(self) -> None:
        if once():
            os._exit(0)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="A05",
    title="an exit with 0 that nobody asked for",
    children=(worker("worker", f"{__name__}:Leaver"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASHED, causes=("exit-0",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=1.0,
    lasts_s=15.0,
    recovers=True,
)
