"""C15 The handler puts the same message back for ever: the loop turns, the inbox moves, nothing is done."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Turn, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Requeuer(Worker):
    lost = False

    def work(self) -> None:
        self.lost = self.lost or once()
        if self.lost:
            self.ctx.after(0.005, Turn())
            return
        super().work()


PROMISE = Promise(topic="Result", at_least_every_s=4.0)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C15",
    title="the same message for ever",
    children=(worker("worker", f"{__name__}:Requeuer", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("livelock", "hollow")),
    action=(Deed.ACTOR, Deed.RESTART, Deed.NOTHING),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=50.0,
)
