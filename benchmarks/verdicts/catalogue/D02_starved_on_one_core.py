"""D02 The service runs at nice 19 on a core that two busy strangers have: it works on, as fast as it is let."""

import os
import time
from pathlib import Path

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Reckoner(Worker):
    """Needs about a third of a core."""

    def work(self) -> None:
        until = time.thread_time() + self.every_s / 3
        while time.thread_time() < until:
            pass
        super().work()


def inject(stage: Stage) -> None:
    pid, core = stage.pid("worker"), max(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})
        os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)
    stage.burn(2, core)
    stage.begin()


SCENARIO = Scenario(
    id="D02",
    title="starved at nice 19 on one core",
    children=(worker("worker", f"{__name__}:Reckoner"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.BUSY, causes=("starved",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=60.0,
)
