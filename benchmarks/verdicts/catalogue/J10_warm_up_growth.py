"""J10 Memory grows while a cache warms up, and levels off far below the limit: nothing is wrong."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

MIB = 1 << 20


class Warming(Worker):
    """Three MiB a second for a minute."""

    def work(self) -> None:
        self.cache = getattr(self, "cache", [])
        if switched() and len(self.cache) < 60:
            self.cache.append(bytearray(b"x") * (3 * MIB))
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


SCENARIO = Scenario(
    id="J10",
    title="growth while warming up, then level",
    children=(worker("worker", f"{__name__}:Warming", spec={"memory_limit_mib": 500.0}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=150.0,
    lasts_s=150.0,
    starts_most=1,
)
