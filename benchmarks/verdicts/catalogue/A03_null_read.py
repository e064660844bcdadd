"""A03 A read of address zero: SIGSEGV out of native code."""

import ctypes

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Native(Worker):
    def work(self) -> None:
        if once():
            ctypes.string_at(0)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="A03",
    title="a native crash",
    children=(worker("worker", f"{__name__}:Native"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASHED, causes=("native",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=1.0,
    lasts_s=15.0,
    recovers=True,
)
