"""B01 The bridge story: AttributeError in the first line of its start, the same every time, after milliseconds."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Bridge(Worker):
    def init(self, **_: object) -> None:
        self.ctx.start_session()  # type: ignore[attr-defined]  # there is no such thing, today and tomorrow


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B01",
    title="the same AttributeError at every start",
    children=(worker("bridge", f"{__name__}:Bridge"), *CROWD),
    inject=inject,
    truth=Truth(unit="bridge", kind=VerdictKind.CRASH_LOOP, causes=("code",)),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    starts_most=3,
    boots=False,
)
