"""H16 Only the sentinel is stopped (here the waiting zygote, which beats): it is late, and nobody else is ill."""

import struct
from signal import SIGSTOP

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.evidence import sentinel
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    (pid,) = struct.unpack_from("Q", sentinel.page_of(stage.home / "run", "core").read_bytes())
    stage.begin()
    stage.kill(pid, SIGSTOP)


SCENARIO = Scenario(
    id="H16",
    title="only the sentinel is stopped",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=40.0,
    lasts_s=40.0,
    starts_most=1,
)
