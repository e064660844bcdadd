"""N01 Nothing is wrong: workers whose beats jitter, for a long time."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Jittering(Worker):
    def work(self) -> None:
        self.every_s = max(0.02, self.ctx.rng.expovariate(1.0)) * scale()
        super().work()


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="N01",
    title="nothing is wrong",
    children=(*(worker(f"worker{n}", f"{__name__}:Jittering") for n in range(4)), *CROWD),
    inject=inject,
    truth=Truth(unit="worker0", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.PARK),
    healthy=("worker1", "worker2", "worker3", *OTHERS),
    within_s=60.0,
    lasts_s=120.0,
)
