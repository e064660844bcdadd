"""G06 The feed is connected and pings; one of its two channels is silently unsubscribed."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Result, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Feed(Worker):
    def work(self) -> None:
        self.number += 1
        for channel in ("btc", "eth"):
            if channel == "btc" or not switched():
                self.ctx.publish(Result(number=self.number, value=float(self.number), channel=channel), key=channel)
        self.ctx.progress("ticks")


PROMISES = tuple(Promise(topic="Result", at_least_every_s=4.0, key=key) for key in ("btc", "eth"))


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SCENARIO = Scenario(
    id="G06",
    title="one channel of a feed is silent",
    children=(worker("feed", f"{__name__}:Feed", spec={"promises": PROMISES}), *CROWD),
    inject=inject,
    truth=Truth(unit="feed", kind=VerdictKind.DEGRADED, causes=("stale", "partial")),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=60.0,
)
