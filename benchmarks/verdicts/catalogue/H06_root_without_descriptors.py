"""H06 The root has no descriptor left: it can open no socket for a check. That is no answer of the child's.

What it sees without a descriptor, the pages of the nodes that are mapped already, goes on: HEALTHY is no less true.
"""

import itertools
import resource
import time
from pathlib import Path

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    check = Check(target=stage.simulator("side").url, every_s=2.0)
    return (worker("worker", spec={"checks": (check,)}), *CROWD)


def lowest_free(stage: Stage) -> int:
    time.sleep(0.01)
    used = {int(path.name) for path in Path(f"/proc/{stage.root_pid}/fd").iterdir()}
    return next(number for number in itertools.count() if number not in used)


def inject(stage: Stage) -> None:
    _, hard = resource.prlimit(stage.root_pid, resource.RLIMIT_NOFILE)
    free = min(lowest_free(stage) for _ in range(50))  # whatever is open only now and then is seen closed
    stage.begin()
    resource.prlimit(stage.root_pid, resource.RLIMIT_NOFILE, (free, hard))
    stage.sleep(45.0)
    stage.over()
    resource.prlimit(stage.root_pid, resource.RLIMIT_NOFILE, (hard, hard))


SCENARIO = Scenario(
    id="H06",
    title="the root has no descriptor left",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.OBSERVER_STALL, also=(VerdictKind.HEALTHY,)),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=40.0,
    lasts_s=60.0,
)
