"""J03 Descriptors leak towards a limit of 64 more; when none is left, the work fails and the process lives on."""

import resource
from pathlib import Path
from typing import IO, Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind


class Leaky(Worker):
    leak: list[IO[Any]] | None = None

    def work(self) -> None:
        if once():
            self.leak = []
            used = len(list(Path("/proc/self/fd").iterdir()))
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        if self.leak is not None:
            try:
                self.leak += [Path("/dev/null").open() for _ in range(3)]  # noqa: SIM115 - that is the fault
            except OSError:
                return  # as a server that cannot accept: this one is lost, the next may come
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


PROMISE = Promise(topic="Result", at_least_every_s=5.0)
SCENARIO = Scenario(
    id="J03",
    title="descriptors leak",
    children=(worker("worker", f"{__name__}:Leaky", spec={"promises": (PROMISE,)}), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.EXHAUSTED, causes=("descriptors",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=40.0,
    lasts_s=70.0,
    recovers=True,
)
