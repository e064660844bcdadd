"""G13 The loop turns and beats and takes its messages; the promised candle never comes."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Hollow(Worker):
    def work(self) -> None:
        if switched():
            return  # everything is filtered away
        super().work()


PROMISES = (Promise(topic="Result", at_least_every_s=4.0),)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SCENARIO = Scenario(
    id="G13",
    title="beats without a result",
    children=(worker("feed", f"{__name__}:Hollow", spec={"promises": PROMISES}), *CROWD),
    inject=inject,
    truth=Truth(unit="feed", kind=VerdictKind.DEGRADED, causes=("stale", "hollow"), also=(VerdictKind.HUNG,)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=60.0,
)
