"""C07 The process is stopped (SIGSTOP); told to continue it works on."""

import signal

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    stage.begin()
    stage.send_signal("worker", signal.SIGSTOP)


SCENARIO = Scenario(
    id="C07",
    title="stopped by a signal",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("stopped",)),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=8.0,
    lasts_s=20.0,
    recovers=True,
)
