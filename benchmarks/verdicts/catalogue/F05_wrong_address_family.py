"""F05 The check asks the IPv6 loopback (what "localhost" is to some resolvers); the service listens on IPv4."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(target=f"http://[::1]:{port}/health", every_s=2.0)
    return (worker("service", "benchmarks.verdicts.pieces:Service", port=port, spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F05",
    title="the check asks the wrong address family",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CHECK_FAULT, causes=("wrong address family",)),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=15.0,
    lasts_s=40.0,
)
