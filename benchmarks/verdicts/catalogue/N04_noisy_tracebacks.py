"""N04 The log is full of tracebacks, and every one of them was handled. What is written there is no evidence."""

import logging
import sys
import traceback

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Noisy(Worker):
    def work(self) -> None:
        if switched():
            for _ in range(5):
                try:
                    raise ConnectionResetError(104, "Connection reset by peer")
                except ConnectionResetError:
                    logging.getLogger(__name__).exception("CRITICAL: fatal error, giving up")
                    traceback.print_exc(file=sys.stderr)
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="N04",
    title="noisy tracebacks, all handled",
    children=(worker("worker", f"{__name__}:Noisy", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=60.0,
    lasts_s=60.0,
    starts_most=1,
)
