"""N03 The market is closed: nothing comes in for hours, so nothing comes out."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Result, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.actor import Actor
from supervisor.message import Message
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Wish(Message, frozen=True, kw_only=True):
    """What the strategy owes for every result."""


class Feed(Actor):
    publishes = (Result,)

    def handle(self, message: Message) -> None:
        """Nothing ever comes."""


class Strategy(Actor):
    subscribes = (Result,)
    publishes = (Wish,)

    def handle(self, message: Message) -> None:
        self.ctx.publish(Wish())


OWES = (Promise(topic="Wish", at_least_every_s=5.0, when="Result"),)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="N03",
    title="the market is closed",
    children=(
        worker("feed", f"{__name__}:Feed"),
        worker("strategy", f"{__name__}:Strategy", spec={"promises": OWES}),
        *CROWD,
    ),
    inject=inject,
    truth=Truth(unit="strategy", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    healthy=("feed", *OTHERS),
    never=(Deed.RESTART, Deed.PARK),
    within_s=60.0,
    lasts_s=120.0,
)
