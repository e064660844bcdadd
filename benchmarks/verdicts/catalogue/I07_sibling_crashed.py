"""I07 A sibling that others call was shot and takes its time to come back: only that one is restarted."""

import time
from signal import SIGKILL
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Service, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import ChildSpec, Dependency
from supervisor.words import VerdictKind


class Store(Service):
    def init(self, **more: Any) -> None:
        for _ in range(30 if self.ctx.incarnation > 1 else 0):
            time.sleep(1.0 * scale())
            self.ctx.progress("table loaded")
        super().init(**more)


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    spec = {"depends": (Dependency(name="store", child="store"),)}
    calls = {"url": f"http://127.0.0.1:{port}/health", "dependency": "store", "spec": spec}
    users = (worker(name, "benchmarks.verdicts.pieces:Caller", **calls) for name in ("user", "second"))
    return (worker("store", f"{__name__}:Store", port=port), *users, *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.send_signal("store", SIGKILL)
    stage.sleep(28.0)
    stage.over()


SCENARIO = Scenario(
    id="I07",
    title="a sibling that others call has crashed",
    children=children,
    inject=inject,
    truth=Truth(unit="user", kind=VerdictKind.UPSTREAM, causes=("sibling",)),
    action=(Deed.GATE, Deed.NOTHING),
    never=(Deed.RESTART, Deed.PARK),
    healthy=OTHERS,
    involved=("store", "second"),
    within_s=15.0,
    lasts_s=45.0,
    starts_most=1,
)
