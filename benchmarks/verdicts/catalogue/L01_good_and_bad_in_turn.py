"""L01 The function is good for twenty seconds and bad for twenty, again and again."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind

HALF_S = 20.0


class Flapping(Worker):
    since: float | None = None

    def work(self) -> None:
        now = self.ctx.monotonic()
        if self.since is None and switched():
            self.since = now
        if self.since is not None and int((now - self.since) / (HALF_S * scale())) % 2 == 0:
            return  # bad: asked, and nothing comes out
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="L01",
    title="good and bad in turn",
    children=(worker("worker", f"{__name__}:Flapping", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.DEGRADED, causes=("flapping",)),
    action=Deed.NOTHING,
    never=(Deed.PARK,),
    healthy=OTHERS,
    within_s=150.0,
    lasts_s=180.0,
)
