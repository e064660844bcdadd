"""K02 The service's wall clock is two hours behind: what it says carries old stamps, and all it does is right."""

import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind

BEHIND_S = 7200


class Late(Worker):
    def work(self) -> None:
        if once():
            wall, wall_ns = time.time, time.time_ns
            time.time = lambda: wall() - BEHIND_S
            time.time_ns = lambda: wall_ns() - BEHIND_S * 1_000_000_000
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="K02",
    title="a clock behind: old stamps",
    children=(worker("worker", f"{__name__}:Late", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=45.0,
    lasts_s=45.0,
    starts_most=1,
)
