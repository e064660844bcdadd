"""K05 The wall clock is slewed: it gains one part in two thousand, as a time daemon does to set it right."""

import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind

SLEW = 500e-6


class Slewed(Worker):
    def work(self) -> None:
        if once():
            wall, wall_ns, began = time.time, time.time_ns, time.monotonic()
            time.time = lambda: wall() + SLEW * (time.monotonic() - began)
            time.time_ns = lambda: wall_ns() + int(SLEW * (time.monotonic() - began) * 1e9)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="K05",
    title="a clock that is slewed",
    children=(worker("worker", f"{__name__}:Slewed", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=60.0,
    lasts_s=60.0,
    starts_most=1,
)
