"""A01 An exception in mid-work, once, after a minute of good work."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Once(Worker):
    def work(self) -> None:
        if once():
            raise RuntimeError("an order book with a hole in it")
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="A01",
    title="an exception after good work",
    children=(worker("worker", f"{__name__}:Once"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASHED, causes=("exception", "unknown")),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=1.0,
    lasts_s=15.0,
    recovers=True,
)
