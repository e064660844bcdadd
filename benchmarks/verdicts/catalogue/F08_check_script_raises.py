"""F08 The check is a script that raises while it imports: it has never asked anything; the service works."""

import shlex
import sys

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check
from supervisor.words import VerdictKind

SCRIPT = "import a_client_that_moved; a_client_that_moved.ping()"
CHECK = Check(kind="exec", target=shlex.join([sys.executable, "-c", SCRIPT]), every_s=2.0)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F08",
    title="the check's script raises on import",
    children=(worker("worker", spec={"checks": (CHECK,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT, causes=("client crashed",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    boots=False,
)
