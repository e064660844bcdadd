"""B13 The database refuses for three minutes and the service needs it to start: it exits with 1 each time."""

import urllib.request
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


class Store(Caller):
    def init(self, *, url: str = "", **more: Any) -> None:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            answer.read()
        super().init(url=url, **more)


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    database = stage.simulator("database")
    database.down()
    needs = Dependency(name="database", check=Check(target=database.url, every_s=2.0))
    store = worker("store", f"{__name__}:Store", url=database.url, dependency="database", spec={"depends": (needs,)})
    return (store, *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B13",
    title="the database refuses at the start",
    children=children,
    inject=inject,
    truth=Truth(unit="store", kind=VerdictKind.UPSTREAM, causes=("refused", "down")),
    action=Deed.GATE,
    never=(Deed.PARK,),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=120.0,
    starts_most=20,
    boots=False,
)
