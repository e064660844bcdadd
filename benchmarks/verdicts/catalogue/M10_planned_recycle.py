"""M10 A planned recycle: it is asked to end, exits with 0 and is started again. Nothing of that is a crash."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    stage.begin()
    stage.order("restart", "worker")


SCENARIO = Scenario(
    id="M10",
    title="a planned recycle",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.STOPPED, also=(VerdictKind.STARTING, VerdictKind.HEALTHY)),
    action=Deed.NOTHING,
    never=(Deed.PARK,),
    healthy=OTHERS,
    within_s=10.0,
    lasts_s=30.0,
)
