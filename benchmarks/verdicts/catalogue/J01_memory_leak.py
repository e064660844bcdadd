"""J01 A leak of three MiB a second towards a limit of the address space; a MemoryError is where it would end."""

import resource
from pathlib import Path

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

MIB = 1 << 20


class Leaky(Worker):
    leak: list[bytearray] | None = None

    def work(self) -> None:
        if once():
            self.leak = []
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + 600 * MIB
            resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
        if self.leak is not None:
            self.leak.append(bytearray(b"x") * (3 * MIB))
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="J01",
    title="a memory leak",
    children=(worker("worker", f"{__name__}:Leaky", spec={"memory_limit_mib": 400.0}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.EXHAUSTED, causes=("memory",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=120.0,
    lasts_s=180.0,
    recovers=True,
)
