"""F11 On a loaded machine the check's own client takes twice its timeout to start; the service is not even asked."""

import shlex
import sys

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind

CLIENT = "import pathlib, sys, time; time.sleep(float(sys.argv[1]) if pathlib.Path(sys.argv[2]).exists() else 0)"


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    slow_s = 2.0 * max(0.5, stage.seconds(1.0))
    command = [sys.executable, "-S", "-E", "-c", CLIENT, f"{slow_s:g}", str(stage.path("fault"))]
    check = Check(kind="exec", target=shlex.join(command), every_s=3.0, timeout_s=1.0)
    return (worker("worker", spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


SCENARIO = Scenario(
    id="F11",
    title="the check's client starts too slowly",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT, causes=("timeout too short",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=40.0,
    lasts_s=80.0,
)
