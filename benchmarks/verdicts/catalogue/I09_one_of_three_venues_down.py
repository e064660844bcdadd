"""I09 One of three venues is down: the client says so of its calls, and goes on with the other two."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind

VENUES = ("first", "second", "third")


class Threefold(Caller):
    def init(self, *, urls: dict[str, str] | None = None, **more: Any) -> None:
        self.urls = urls or {}
        super().init(every_s=0.5, **more)

    def work(self) -> None:
        self.dependency = VENUES[(VENUES.index(self.dependency) + 1) % 3] if self.dependency in VENUES else VENUES[0]
        self.url = self.urls[self.dependency]
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    urls = {name: stage.simulator(name).url for name in VENUES}
    needs = tuple(Dependency(name=name, check=Check(target=url, every_s=2.0)) for name, url in urls.items())
    return (worker("client", f"{__name__}:Threefold", urls=urls, spec={"depends": needs}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("second").down()


SCENARIO = Scenario(
    id="I09",
    title="one of three venues is down",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.DEGRADED, causes=("partial",)),
    action=(Deed.GATE, Deed.NOTHING),
    never=(Deed.RESTART, Deed.ACTOR, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=1,
)
