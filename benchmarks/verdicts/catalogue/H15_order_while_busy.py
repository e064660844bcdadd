"""H15 An order comes while the supervisor still carries out another: it must be obeyed or refused, never be forgotten.

The pattern of circus, which drops a command as "busy" and goes on as if it had acted.
"""

import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class SlowToEnd(Worker):
    def terminate(self, reason: str) -> None:
        time.sleep(4.0 * scale())


def inject(stage: Stage) -> None:
    stage.order("restart", "slow")
    stage.order("stop", "worker")
    stage.begin()


SCENARIO = Scenario(
    id="H15",
    title="an order while another is carried out",
    children=(worker("slow", f"{__name__}:SlowToEnd"), worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.STOPPED),
    action=Deed.NOTHING,
    healthy=OTHERS,
    within_s=10.0,
    lasts_s=30.0,
    starts_most=1,
)
