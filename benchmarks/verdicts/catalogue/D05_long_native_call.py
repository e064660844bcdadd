"""D05 A legitimate native call keeps the interpreter lock for 15 seconds, declared by a lease."""

import ctypes

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Solver(Worker):
    def work(self) -> None:
        if once():
            self.ctx.lease(20.0 * scale(), "a native solver")
            ctypes.PyDLL(None).usleep(int(15e6 * scale()))
            self.ctx.lease(0)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="D05",
    title="a long native call under a lease",
    children=(worker("worker", f"{__name__}:Solver"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.BUSY, causes=("lease", "gil-held")),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=10.0,
    lasts_s=30.0,
)
