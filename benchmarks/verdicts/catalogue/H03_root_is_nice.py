"""H03 The root runs at nice 19 and strangers want every core many times over: it looks late, and everybody is slow."""

import os
from pathlib import Path

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    for thread in Path(f"/proc/{stage.root_pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)
    stage.begin()
    stage.burn(32 * (os.cpu_count() or 1))
    stage.sleep(30.0)
    stage.cool()


SCENARIO = Scenario(
    id="H03",
    title="the root is starved",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.OBSERVER_STALL, also=(VerdictKind.BUSY,)),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=50.0,
)
