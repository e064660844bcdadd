"""F23 The check wants a beat younger than thirty seconds and reads it with a clock in another time zone."""

import shlex
import sys
import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind

PROBE = """import pathlib, sys, time
age = time.time() + 3600 - float(pathlib.Path(sys.argv[1]).read_text())
sys.exit(f"last beat {age:.0f} s ago" if age > 30 else 0)"""


class Beating(Worker):
    def work(self) -> None:
        place("beat").write_text(repr(time.time()))
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    stage.path("beat").write_text(repr(time.time()))
    command = [sys.executable, "-S", "-E", "-c", PROBE, str(stage.path("beat"))]
    check = Check(kind="exec", target=shlex.join(command), every_s=3.0)
    promise = Promise(topic="Result", at_least_every_s=5.0)
    return (worker("worker", f"{__name__}:Beating", spec={"checks": (check,), "promises": (promise,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F23",
    title="the check reads the age with another clock",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    boots=False,
)
