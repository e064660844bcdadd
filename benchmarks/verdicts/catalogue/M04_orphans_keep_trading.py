"""M04 The node is shot and what it has started lives on and trades: it must end before the next life begins."""

import subprocess
import sys
from signal import SIGKILL
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

TRADER = """import os, pathlib, sys, time
while True:
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(0.02)"""


class Parent(Worker):
    def init(self, **more: Any) -> None:
        path = place(f"trader.{self.ctx.incarnation}")
        subprocess.Popen([sys.executable, "-S", "-E", "-c", TRADER, str(path)])
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.until(stage.path("trader.1").exists, "what it has started trades")
    stage.begin()
    stage.send_signal("worker", SIGKILL)


SCENARIO = Scenario(
    id="M04",
    title="orphans keep trading",
    children=(worker("worker", f"{__name__}:Parent"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CONFLICT, causes=("own-orphan",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=10.0,
    lasts_s=45.0,
    recovers=True,
)
