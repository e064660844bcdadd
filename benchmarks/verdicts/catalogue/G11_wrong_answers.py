"""G11 Its answers are constant and wrong; a canary with a known answer says so."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Canary
from supervisor.words import VerdictKind


class Oracle(Worker):
    def canary(self, name: str) -> str:
        return "0" if switched() else str(sum((1, 2, 3)))


CANARY = Canary(name="sum", expect="6", every_s=3.0, timeout_s=3.0)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SCENARIO = Scenario(
    id="G11",
    title="answers are wrong",
    children=(worker("oracle", f"{__name__}:Oracle", spec={"canaries": (CANARY,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="oracle", kind=VerdictKind.DEGRADED, causes=("wrong",)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=50.0,
)
