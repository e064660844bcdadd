"""C12 Two actors of one node wait for each other without a limit: by locks, since an actor has no ask.

A thread cannot be killed, so the node is the smallest unit that cures it.
"""

import threading
import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, scale
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import member, node
from supervisor.words import Strategy, VerdictKind

LEFT, RIGHT = threading.Lock(), threading.Lock()


class Asker(Worker):
    def work(self) -> None:
        if once("first"):
            self.ask(LEFT, RIGHT)
        super().work()

    def ask(self, mine: threading.Lock, theirs: threading.Lock) -> None:
        mine.acquire()
        time.sleep(1.0 * scale())
        theirs.acquire()


class Answerer(Asker):
    def work(self) -> None:
        if once("second"):
            self.ask(RIGHT, LEFT)
        self.number += 1
        self.ctx.progress("answer")


PAIR = [member("asker", f"{__name__}:Asker", every_s=0.2), member("answerer", f"{__name__}:Answerer", every_s=0.2)]
THIRD = member("third", "benchmarks.verdicts.pieces:Worker")
HOUSE = node("house", Strategy.ONE_FOR_ONE, [*PAIR, THIRD])


def inject(stage: Stage) -> None:
    stage.switch("first")
    stage.switch("second")
    stage.until_taken("second")
    stage.until_taken("first")


SCENARIO = Scenario(
    id="C12",
    title="two actors wait for each other",
    children=(HOUSE, *CROWD),
    inject=inject,
    truth=Truth(unit="asker", kind=VerdictKind.HUNG, causes=("actor-stuck", "deadlock")),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=25.0,
    recovers=True,
)
