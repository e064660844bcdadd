"""F21 The probe deletes the marker that it looks for; the service writes it once a minute, the probe looks every ten.

The pattern of sentry-kubernetes/charts#2187: five of six answers are no, and the service works the whole time.
"""

import shlex
import sys

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind

PROBE = "import os, sys; os.remove(sys.argv[1]); print('alive')"


class Marking(Worker):
    def work(self) -> None:
        if self.number % 60 == 0:
            place("alive").touch()
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    command = [sys.executable, "-S", "-E", "-c", PROBE, str(stage.path("alive"))]
    check = Check(kind="exec", target=shlex.join(command), every_s=10.0)
    promise = Promise(topic="Result", at_least_every_s=5.0)
    return (worker("worker", f"{__name__}:Marking", spec={"checks": (check,), "promises": (promise,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F21",
    title="the probe deletes the marker it looks for",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=60.0,
    lasts_s=130.0,
    boots=False,
)
