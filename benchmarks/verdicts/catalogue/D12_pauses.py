"""D12 Pauses of 0.8 s every five seconds, as a garbage collector makes them."""

import ctypes

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Pausing(Worker):
    def work(self) -> None:
        if self.number % 5 == 0 and switched():
            ctypes.PyDLL(None).usleep(int(0.8e6 * scale()))
        super().work()


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SCENARIO = Scenario(
    id="D12",
    title="pauses of a garbage collector",
    children=(worker("worker", f"{__name__}:Pausing"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=30.0,
    lasts_s=60.0,
)
