"""F07 The client that the check calls is not installed (127)."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(kind="exec", target="a-client-nobody-installed --ping", every_s=2.0)
    return (worker("service", "benchmarks.verdicts.pieces:Service", port=port, spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F07",
    title="the check calls a client that is missing",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CHECK_FAULT, causes=("missing client",)),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=15.0,
    lasts_s=40.0,
)
