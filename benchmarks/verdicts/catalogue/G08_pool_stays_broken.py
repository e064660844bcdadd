"""G08 The database was away and is back; the service's pool of connections stays broken until somebody restarts it."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency, Promise
from supervisor.words import VerdictKind


class Pooled(Caller):
    broken = False

    def work(self) -> None:
        if self.broken:
            self.ctx.outcome(self.dependency, ConnectionError("the connection in the pool is closed"))
            return
        before = self.number
        super().work()
        self.broken = self.number == before


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    url = stage.simulator("database").url
    needs = Dependency(name="database", check=Check(target=url, every_s=2.0))
    spec = {"depends": (needs,), "promises": (Promise(topic="Result", at_least_every_s=5.0),)}
    store = worker("store", f"{__name__}:Pooled", url=url, dependency="database", spec=spec)
    user = worker("user", "benchmarks.verdicts.pieces:Caller", url=url, dependency="database", spec=spec)
    return (store, user, *CROWD)


def inject(stage: Stage) -> None:
    stage.simulator("database").down()
    stage.sleep(20.0)
    stage.simulator("database").up()
    stage.begin()


SCENARIO = Scenario(
    id="G08",
    title="a pool of connections stays broken",
    children=children,
    inject=inject,
    truth=Truth(unit="store", kind=VerdictKind.HUNG, causes=("sticky",)),
    action=(Deed.RESTART, Deed.ACTOR),
    healthy=("user", *OTHERS),
    within_s=30.0,
    lasts_s=60.0,
    recovers=True,
)
