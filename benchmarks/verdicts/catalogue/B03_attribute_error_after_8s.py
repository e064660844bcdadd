"""B03 The same AttributeError at every start, after 8 seconds of getting ready."""

import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Bridge(Worker):
    def init(self, **more: Any) -> None:
        time.sleep(8.0 * scale())
        self.ctx.start_session()  # type: ignore[attr-defined]
        super().init(**more)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B03",
    title="the same error 8 s into every start",
    children=(worker("worker", f"{__name__}:Bridge"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASH_LOOP, causes=("code",)),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=47.0,
    lasts_s=80.0,
    boots=False,
    starts_most=3,
)
