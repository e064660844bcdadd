"""D12 A garbage collector's pauses: every five seconds the interpreter is held for 0.8 s. That is its normal life.

The pause is one call in C that burns a CPU and lets no other thread run, as a full collection does.
"""

import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

TRIAL = 200_000


class Pausing(Worker):
    def init(self, **more: Any) -> None:
        began = time.monotonic()
        sum(range(TRIAL))
        self.per_second = TRIAL / (time.monotonic() - began)
        super().init(**more)

    def work(self) -> None:
        if switched() and self.number % 5 == 0:
            sum(range(int(self.per_second * 0.8 * scale())))
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


SCENARIO = Scenario(
    id="D12",
    title="pauses of a garbage collector",
    children=(worker("worker", f"{__name__}:Pausing"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=60.0,
    lasts_s=60.0,
)
