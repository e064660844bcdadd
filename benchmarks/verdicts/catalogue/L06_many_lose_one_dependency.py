"""L06 Eight services lose the one dependency they share, and all exit at once."""

import urllib.request
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind

NAMES = tuple(f"user{number}" for number in range(8))


class Fragile(Worker):
    """Dies of its dependency: the exception of the call leaves the handler, and `init` already calls."""

    def init(self, *, url: str = "", **more: Any) -> None:
        self.url = url
        self.call()
        super().init(**more)

    def call(self) -> None:
        with urllib.request.urlopen(self.url, timeout=2.0) as answer:
            answer.read()

    def work(self) -> None:
        try:
            self.call()
        except OSError as error:
            self.ctx.outcome("database", error)
            raise
        self.ctx.outcome("database")
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    url = stage.simulator("database").url
    spec = {"depends": (Dependency(name="database", check=Check(target=url, every_s=2.0)),)}
    return (*(worker(name, f"{__name__}:Fragile", url=url, spec=spec) for name in NAMES), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("database").down()
    stage.sleep(60.0)
    stage.over()
    stage.simulator("database").up()


SCENARIO = Scenario(
    id="L06",
    title="many lose one dependency and exit",
    children=children,
    inject=inject,
    truth=Truth(unit="user0", kind=VerdictKind.UPSTREAM, causes=("refused", "down")),
    action=Deed.GATE,
    never=(Deed.PARK,),
    healthy=OTHERS,
    involved=NAMES[1:],
    within_s=15.0,
    lasts_s=90.0,
    starts_most=12,
    recovers=True,
)
