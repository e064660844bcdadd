"""J05 The disk is full: every write fails, the service says so, and a restart would not make room (/dev/full)."""

from pathlib import Path

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Dependency, Promise
from supervisor.words import VerdictKind


class Writer(Worker):
    def work(self) -> None:
        path = Path("/dev/full") if switched() else place("book.txt")
        try:
            path.write_text("one more line\n")
        except OSError as error:
            self.ctx.outcome("disk", error)
            return
        self.ctx.outcome("disk")
        super().work()


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SPEC = {
    "promises": (Promise(topic="Result", at_least_every_s=5.0),),
    "depends": (Dependency(name="disk"),),
}
SCENARIO = Scenario(
    id="J05",
    title="the disk is full",
    children=(worker("worker", f"{__name__}:Writer", spec=SPEC), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.EXHAUSTED, causes=("disk",)),
    action=(Deed.NOTHING, Deed.GATE),
    never=(Deed.RESTART, Deed.ACTOR, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=1,
)
