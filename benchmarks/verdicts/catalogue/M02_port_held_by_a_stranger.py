"""M02 The port is held by a program that is not ours."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.simulator("stranger").port
    return (worker("service", "benchmarks.verdicts.pieces:Service", port=port), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="M02",
    title="the port is held by a stranger",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CONFLICT, causes=("foreign",)),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=60.0,
    starts_most=3,
    boots=False,
)
