"""F04 The service refuses the method of the check: 405."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Service, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


class Site(Service):
    def reply(self, path: str) -> tuple[int, str]:
        return 405, "not so"


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(target=f"http://127.0.0.1:{port}/health", every_s=2.0)
    return (worker("service", f"{__name__}:Site", port=port, spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F04",
    title="the method of the check is refused",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CHECK_FAULT, causes=("method refused",)),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=15.0,
    lasts_s=40.0,
)
