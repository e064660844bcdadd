"""G07 The order book is frozen: the same price again and again, in time."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Result, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Book(Worker):
    def work(self) -> None:
        self.number += 1
        self.ctx.publish(
            Result(number=0, value=0.0) if switched() else Result(number=self.number, value=float(self.number))
        )
        self.ctx.progress("book")


PROMISES = (Promise(topic="Result", at_least_every_s=4.0, changing=True),)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SCENARIO = Scenario(
    id="G07",
    title="an order book is frozen",
    children=(worker("feed", f"{__name__}:Book", spec={"promises": PROMISES}), *CROWD),
    inject=inject,
    truth=Truth(unit="feed", kind=VerdictKind.DEGRADED, causes=("stale",)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=60.0,
)
