"""C03 A native call keeps the interpreter lock and sleeps: no Python thread of the process runs."""

import ctypes

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Holder(Worker):
    def work(self) -> None:
        if once():
            ctypes.PyDLL(None).sleep(3600)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C03",
    title="the interpreter lock is held, asleep",
    children=(worker("worker", f"{__name__}:Holder"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("gil-blocked",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=25.0,
    recovers=True,
)
