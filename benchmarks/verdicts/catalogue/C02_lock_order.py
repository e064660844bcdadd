"""C02 Two threads of one process take two locks in opposite order; the handler is one of them."""

import threading
import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Locker(Worker):
    def init(self, **more: Any) -> None:
        self.left, self.right = threading.Lock(), threading.Lock()
        super().init(**more)

    def work(self) -> None:
        if once():
            with self.left:
                threading.Thread(target=self.other_order, daemon=True).start()
                time.sleep(0.05)
                self.right.acquire()
        super().work()

    def other_order(self) -> None:
        with self.right, self.left:
            """Never got here."""


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C02",
    title="a lock-order deadlock",
    children=(worker("worker", f"{__name__}:Locker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("deadlock", "loop-blocked")),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=25.0,
    recovers=True,
)
