"""L12 Each of two services ends the other when it starts, to have the place for itself: neither ever works again."""

import contextlib
import os
import signal
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Jealous(Worker):
    def init(self, *, other: str = "", **more: Any) -> None:
        place(f"{self.ctx.name}.pid").write_text(str(os.getpid()))
        if switched():
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(place(f"{other}.pid").read_text()), signal.SIGKILL)
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()
    stage.send_signal("left", signal.SIGKILL)


SCENARIO = Scenario(
    id="L12",
    title="two end each other",
    children=(
        worker("left", f"{__name__}:Jealous", other="right"),
        worker("right", f"{__name__}:Jealous", other="left"),
        *CROWD,
    ),
    inject=inject,
    truth=Truth(unit="left", kind=VerdictKind.CRASH_LOOP, also=(VerdictKind.CONFLICT,)),
    action=Deed.PARK,
    healthy=OTHERS,
    involved=("right",),
    within_s=60.0,
    lasts_s=90.0,
    starts_most=8,
)
