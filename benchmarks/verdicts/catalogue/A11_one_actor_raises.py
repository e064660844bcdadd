"""A11 One actor of a node raises; the process and its other actors are fine. (pykka: a tell; here: any message.)"""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import member, node
from supervisor.words import Strategy, VerdictKind


class Raiser(Worker):
    def work(self) -> None:
        if once():
            raise ValueError("a price below zero")
        super().work()


PATH = "benchmarks.verdicts.pieces:Worker"
HOUSE = node(
    "house",
    Strategy.ONE_FOR_ONE,
    [member("raiser", f"{__name__}:Raiser"), member("second", PATH), member("third", PATH)],
)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="A11",
    title="one actor of a node raises",
    children=(HOUSE, *CROWD),
    inject=inject,
    truth=Truth(unit="raiser", kind=VerdictKind.CRASHED, causes=("exception", "unknown", "data")),
    action=Deed.ACTOR,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=1.0,
    lasts_s=15.0,
    recovers=True,
)
