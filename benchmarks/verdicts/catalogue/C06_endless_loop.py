"""C06 An endless loop of Python in the handler."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Looper(Worker):
    def work(self) -> None:
        if once():
            while True:
                self.number += 1
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C06",
    title="an endless loop",
    children=(worker("worker", f"{__name__}:Looper"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("livelock",)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=25.0,
    recovers=True,
)
