"""A08 Stopped by order; the program dies of SIGTERM. That is an end as wished, not a crash."""

import sys

from benchmarks.verdicts.pieces import CROWD, OTHERS
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import ChildSpec, ProgramStart
from supervisor.words import VerdictKind

SLEEPER = ProgramStart(argv=(sys.executable, "-c", "import time; time.sleep(100000)"))


def inject(stage: Stage) -> None:
    stage.begin()
    stage.order("stop", "program")


SCENARIO = Scenario(
    id="A08",
    title="stopped by order",
    children=(ChildSpec(id="program", start=SLEEPER), *CROWD),
    inject=inject,
    truth=Truth(unit="program", kind=VerdictKind.STOPPED),
    action=Deed.NOTHING,
    healthy=OTHERS,
    never=(Deed.RESTART,),
    within_s=2.0,
    lasts_s=20.0,
)
