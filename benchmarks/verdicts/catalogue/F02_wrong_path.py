"""F02 The check asks for a page that was moved: 404."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(target=f"http://127.0.0.1:{port}/healthz", every_s=2.0)
    return (worker("service", "benchmarks.verdicts.pieces:Service", port=port, spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F02",
    title="the check asks for a wrong path",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CHECK_FAULT, causes=("wrong path",)),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=15.0,
    lasts_s=40.0,
)
