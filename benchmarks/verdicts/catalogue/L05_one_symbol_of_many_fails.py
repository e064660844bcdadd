"""L05 One of two hundred symbols always fails; the other 199 go on."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Result, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind

SYMBOLS = tuple(f"COIN{number}" for number in range(200))
BAD = SYMBOLS[77]


class Book(Worker):
    def work(self) -> None:
        self.number += 1
        for symbol in SYMBOLS:
            if symbol != BAD or not switched():
                self.ctx.publish(Result(number=self.number, value=float(self.number), channel=symbol))
        self.ctx.progress("book")


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


PROMISES = tuple(Promise(topic="Result", key=symbol, at_least_every_s=5.0) for symbol in SYMBOLS)
SCENARIO = Scenario(
    id="L05",
    title="one of two hundred symbols fails",
    children=(worker("worker", f"{__name__}:Book", spec={"promises": PROMISES}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.DEGRADED, causes=("partial",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=1,
)
