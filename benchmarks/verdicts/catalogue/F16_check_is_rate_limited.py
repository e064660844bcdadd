"""F16 The route of the check is rate-limited: the service answers 429 to its supervisor alone."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    check = Check(target=stage.simulator("side").url, every_s=2.0)
    return (worker("worker", spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("side").answer(429, "too many requests")


SCENARIO = Scenario(
    id="F16",
    title="the route of the check is rate-limited",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT, causes=("rate limited",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
)
