"""F01 The declared check asks a port where nobody listens; the service answers on another and works."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    wrong = stage.free_port()
    check = Check(target=f"http://127.0.0.1:{wrong}/", every_s=2.0)
    return (worker("service", "benchmarks.verdicts.pieces:Service", spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F01",
    title="the check asks the wrong port",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CHECK_FAULT, causes=("wrong port",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
)
