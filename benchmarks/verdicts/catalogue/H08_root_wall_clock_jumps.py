"""H08 The root's wall clock jumps ahead by an hour: an interval is no difference of wall clocks."""

import os
import time
from pathlib import Path

from benchmarks.verdicts.pieces import CROWD, OTHERS, STAGE, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

AHEAD_S = 3600.0


def clock_of_root() -> None:
    wall, wall_ns, switch = time.time, time.time_ns, Path(os.environ[STAGE], "fault")
    time.time = lambda: wall() + AHEAD_S * switch.exists()
    time.time_ns = lambda: wall_ns() + int(AHEAD_S * 1e9) * switch.exists()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


SCENARIO = Scenario(
    id="H08",
    title="the root's wall clock jumps by an hour",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY, also=(VerdictKind.OBSERVER_STALL,)),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=30.0,
    starts_most=1,
    in_root=clock_of_root,
)
