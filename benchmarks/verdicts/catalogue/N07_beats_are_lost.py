"""N07 One beat of work in twenty is lost, at random: the gap is twice as long then, and that is within its promise."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Lossy(Worker):
    def work(self) -> None:
        if not (switched() and self.ctx.rng.random() < 0.05):
            super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="N07",
    title="one beat in twenty is lost",
    children=(worker("worker", f"{__name__}:Lossy", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=120.0,
    lasts_s=120.0,
    starts_most=1,
)
