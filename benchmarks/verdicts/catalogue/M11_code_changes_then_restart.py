"""M11 It was parked for a bug; the code on disk changes and it starts. A death under the new code counts from one."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Deployed(Worker):
    def init(self, **more: Any) -> None:
        code = place("watched/code.txt").read_text()
        if code.startswith("bug"):
            raise RuntimeError("the table is not sorted")
        super().init(**more)


def deploy(stage: Stage, code: str) -> None:
    stage.watched("code.txt").write_text(code)


def children(stage: Stage) -> tuple[Any, ...]:
    deploy(stage, "good")
    return (worker("worker", f"{__name__}:Deployed"), *CROWD)


def inject(stage: Stage) -> None:
    deploy(stage, "bug 1")
    stage.order("restart", "worker")
    stage.until(lambda: stage.row("worker").get("state") == "quarantined", "it is parked for the old code")
    deploy(stage, "good again")
    stage.order("release", "worker")
    stage.until(lambda: stage.row("worker").get("ready"), "it runs the new code")
    stage.sleep(5.0)
    stage.begin()
    deploy(stage, "bug 2: one bad deploy")
    lives = stage.row("worker")["incarnation"]
    stage.order("restart", "worker")
    stage.until(lambda: stage.row("worker").get("incarnation", 0) > lives, "it has been started anew")
    deploy(stage, "good at last")


SCENARIO = Scenario(
    id="M11",
    title="the code changes, then a restart",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.STARTING, also=(VerdictKind.HEALTHY, VerdictKind.CRASHED)),
    action=(Deed.NOTHING, Deed.RESTART),
    never=(Deed.PARK,),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=10,
)
