"""F30 The check succeeds only for the user it was written for; the supervisor runs it as itself."""

import shlex
import sys

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, Promise
from supervisor.words import VerdictKind

PROBE = "import os, sys; sys.exit(0 if os.getuid() == 54321 else 'must be run as user postgres')"
CHECK = Check(kind="exec", target=shlex.join([sys.executable, "-S", "-E", "-c", PROBE]), every_s=3.0)
PROMISE = Promise(topic="Result", at_least_every_s=5.0)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F30",
    title="the check wants to be another user",
    children=(worker("worker", spec={"checks": (CHECK,), "promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    boots=False,
)
