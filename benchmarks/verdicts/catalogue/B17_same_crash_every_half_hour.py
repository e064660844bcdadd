"""B17 The same exception after half an hour of good work, again and again (a minute here): restart and say so."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Tired(Worker):
    def work(self) -> None:
        if once():
            raise RuntimeError("the session has expired")
        super().work()


def inject(stage: Stage) -> None:
    stage.begin()
    for _ in range(3):
        stage.switch()
        stage.until_taken()
        stage.sleep(1.0)
        stage.until_ready("worker")
        stage.sleep(70.0)


SCENARIO = Scenario(
    id="B17",
    title="the same crash after long good work",
    children=(worker("worker", f"{__name__}:Tired"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASHED),
    action=Deed.RESTART,
    never=(Deed.PARK,),
    healthy=OTHERS,
    within_s=5.0,
    lasts_s=240.0,
    starts_most=4,
    recovers=True,
)
