"""C08 posix_spawn of a child that opens a FIFO nobody writes: the parent sleeps in state D."""

import os

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Spawner(Worker):
    def work(self) -> None:
        if once():
            pipe = str(place(f"pipe-{self.ctx.incarnation}"))
            os.mkfifo(pipe)
            os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, pipe, os.O_RDONLY, 0)])
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C08",
    title="uninterruptible sleep",
    children=(worker("worker", f"{__name__}:Spawner"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("uninterruptible",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=40.0,
    recovers=True,
)
