"""I05 The database is away; the health route of its user answers 503 meanwhile."""

import urllib.request
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Service, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


class Store(Service):
    def init(self, *, url: str = "", **more: Any) -> None:
        self.url, self.up = url, True
        super().init(**more)

    def reply(self, path: str) -> tuple[int, str]:
        return (200, "ok") if self.up else (503, "no database")

    def work(self) -> None:
        try:
            with urllib.request.urlopen(self.url, timeout=1.0) as answer:
                answer.read()
        except OSError as error:
            self.up = False
            self.ctx.outcome("database", error)
            return
        self.up = True
        self.ctx.outcome("database")
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    url, port = stage.simulator("database").url, stage.free_port()
    spec = {
        "checks": (Check(target=f"http://127.0.0.1:{port}/health", every_s=2.0),),
        "depends": (Dependency(name="database", check=Check(target=url, every_s=2.0)),),
    }
    return (worker("store", f"{__name__}:Store", url=url, port=port, spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("database").down()


SCENARIO = Scenario(
    id="I05",
    title="the database is away and the health route says so",
    children=children,
    inject=inject,
    truth=Truth(unit="store", kind=VerdictKind.UPSTREAM, causes=("refused", "down")),
    action=(Deed.GATE, Deed.NOTHING),
    healthy=OTHERS,
    never=(Deed.RESTART, Deed.PARK),
    within_s=20.0,
    lasts_s=60.0,
)
