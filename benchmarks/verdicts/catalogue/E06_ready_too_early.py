"""E06 It says ready at once and begins to work twenty seconds later: the promise it will keep is not kept yet."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Turn, Worker, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Message
from supervisor.spec import Promise
from supervisor.words import VerdictKind

WARM_S = 20.0


class Hasty(Worker):
    def init(self, **more: Any) -> None:
        self.warm_at = self.ctx.monotonic() + WARM_S * scale()
        super().init(**more)

    def handle(self, message: Message) -> None:
        if self.ctx.monotonic() < self.warm_at:
            self.ctx.after(self.every_s, Turn())
            return
        super().handle(message)


def inject(stage: Stage) -> None:
    stage.until(lambda: stage.row("worker").get("ready"), "the worker says that it is ready")
    stage.begin()
    stage.sleep(WARM_S - 2.0)
    stage.over()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="E06",
    title="ready is said too early",
    children=(*CROWD, worker("worker", f"{__name__}:Hasty", spec={"promises": (PROMISE,)})),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.STARTING, causes=("early-ready",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    starts_most=1,
    boots=False,
)
