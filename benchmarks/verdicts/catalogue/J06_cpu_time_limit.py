"""J06 A limit of CPU time ends the process in mid-work: the kernel sends SIGXCPU."""

import resource
import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Reckoner(Worker):
    limited = False

    def work(self) -> None:
        if once():
            self.limited = True
            usage = resource.getrusage(resource.RUSAGE_SELF)
            soft = int(usage.ru_utime + usage.ru_stime) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        until = time.thread_time() + self.every_s * (0.6 if self.limited else 0.0)
        while time.thread_time() < until:
            pass
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="J06",
    title="the limit of CPU time",
    children=(worker("worker", f"{__name__}:Reckoner"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.EXHAUSTED, causes=("cpu",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=40.0,
    lasts_s=60.0,
    recovers=True,
)
