"""H01 The observer sleeps for eight seconds (SIGSTOP of the root); everybody else goes on."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    stage.begin()
    stage.pause_root(8.0)


SCENARIO = Scenario(
    id="H01",
    title="the root is paused",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.OBSERVER_STALL),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=40.0,
)
