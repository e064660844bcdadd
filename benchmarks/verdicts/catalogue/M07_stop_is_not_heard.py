"""M07 It is asked to stop and cannot hear: a call keeps the interpreter and sleeps, the main thread never runs."""

import ctypes

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Deaf(Worker):
    def work(self) -> None:
        if once():
            ctypes.PyDLL(None).sleep(3600)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()
    stage.order("stop", "worker")


SCENARIO = Scenario(
    id="M07",
    title="the order to stop is not heard",
    children=(worker("worker", f"{__name__}:Deaf"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("while-stopping", "gil-blocked")),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.PARK),
    healthy=OTHERS,
    within_s=10.0,
    lasts_s=30.0,
    starts_most=1,
)
