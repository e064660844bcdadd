"""F10 The check gives up after one second; the honest answer has come to take 1.4 s."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    check = Check(target=stage.simulator("side").url, every_s=2.0, timeout_s=1.0)
    return (worker("worker", spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("side").delay_s = 1.4 * max(0.5, stage.seconds(1.0))  # a timeout is never under half a second


SCENARIO = Scenario(
    id="F10",
    title="the timeout of the check is too short",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT, causes=("timeout too short",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=60.0,
)
