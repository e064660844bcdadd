"""H02 The whole tree sleeps for a minute (SIGSTOP of root and children), as a suspended machine does."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    stage.begin()
    stage.pause_all(60.0)


SCENARIO = Scenario(
    id="H02",
    title="the machine is paused",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.OBSERVER_STALL),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART, Deed.PARK),
    within_s=65.0,
    lasts_s=100.0,
)
