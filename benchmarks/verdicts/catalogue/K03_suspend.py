"""K03 The machine slept for ten minutes: boottime gained them on monotonic. Only the root's clock says so here."""

import os
import time
from pathlib import Path

from benchmarks.verdicts.pieces import CROWD, OTHERS, STAGE, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

SLEPT_S = 600.0


def clock_of_root() -> None:
    read, switch = time.clock_gettime, Path(os.environ[STAGE], "fault")

    def since_boot(clock: int) -> float:
        return read(clock) + (SLEPT_S if clock == time.CLOCK_BOOTTIME and switch.exists() else 0.0)

    time.clock_gettime = since_boot


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SCENARIO = Scenario(
    id="K03",
    title="the machine was suspended",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.OBSERVER_STALL),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=30.0,
    starts_most=1,
    in_root=clock_of_root,
)
