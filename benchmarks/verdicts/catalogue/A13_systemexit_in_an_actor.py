"""A13 SystemExit in one of two actors that share a node: here the process ends with it, none stays up half dead."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import ChildSpec, NodeStart, actor
from supervisor.words import VerdictKind


class Raiser(Worker):
    def work(self) -> None:
        if once():
            raise SystemExit("bye")
        super().work()


PATH = "benchmarks.verdicts.pieces:Worker"
HOUSE = ChildSpec(id="house", start=NodeStart(actors=(actor("raiser", f"{__name__}:Raiser"), actor("second", PATH))))


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="A13",
    title="SystemExit in one actor",
    children=(HOUSE, *CROWD),
    inject=inject,
    truth=Truth(unit="house", kind=VerdictKind.CRASHED),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=1.0,
    lasts_s=15.0,
    recovers=True,
)
