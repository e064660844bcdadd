"""H11 Many targets take the probe's call and never answer; the check of a bystander must not look timed out for it."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    dead = tuple(Check(target=f"{stage.simulator('dead').url}{n}", every_s=1.0, timeout_s=10.0) for n in range(20))
    live = Check(target=stage.simulator("live").url, every_s=2.0)
    return (worker("victim", spec={"checks": dead}), worker("worker", spec={"checks": (live,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("dead").silence()


SCENARIO = Scenario(
    id="H11",
    title="hung targets hold the prober",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=60.0,
    lasts_s=60.0,
    starts_most=1,
)
