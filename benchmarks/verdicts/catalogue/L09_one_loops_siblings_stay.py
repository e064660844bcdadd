"""L09 One child dies at every start under a supervisor that allows few restarts: it is parked, its siblings stay."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import supervise
from supervisor.words import Strategy, VerdictKind


class Doomed(Worker):
    def init(self, **more: Any) -> None:
        if switched():
            self.bridge.start()  # type: ignore[attr-defined]
        super().init(**more)

    def work(self) -> None:
        if switched():
            raise RuntimeError("the first death")
        super().work()


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


BRANCH = supervise(
    "branch",
    Strategy.ONE_FOR_ONE,
    [worker("elder"), worker("doomed", f"{__name__}:Doomed"), worker("younger")],
    intensity=3,
    period_s=60.0,
)
SCENARIO = Scenario(
    id="L09",
    title="one loops, its siblings stay",
    children=(BRANCH, *CROWD),
    inject=inject,
    truth=Truth(unit="doomed", kind=VerdictKind.CRASH_LOOP, causes=("code",)),
    action=Deed.PARK,
    never=(Deed.SUBTREE,),
    healthy=("elder", "younger", *OTHERS),
    within_s=45.0,
    lasts_s=60.0,
    starts_most=5,
)
