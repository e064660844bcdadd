"""F25 The check looks the instance up under the name that its host used to have: nobody is entered there.

The pattern of apache/airflow#31200: the instance enters itself under one name, and its check asks for another.
"""

import shlex
import sys

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind

PROBE = """import pathlib, sys
if not pathlib.Path(sys.argv[1], sys.argv[2]).exists():
    sys.exit(f"no live instance on host {sys.argv[2]}")"""


class Entered(Worker):
    def work(self) -> None:
        place("instance-host-7").touch()
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    command = [sys.executable, "-S", "-E", "-c", PROBE, str(stage.folder), "instance-host-7.example"]
    check = Check(kind="exec", target=shlex.join(command), every_s=3.0)
    promise = Promise(topic="Result", at_least_every_s=5.0)
    return (worker("worker", f"{__name__}:Entered", spec={"checks": (check,), "promises": (promise,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F25",
    title="the check asks for another host name",
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
