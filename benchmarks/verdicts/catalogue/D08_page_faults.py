"""D08 Every piece of work drops a large map and touches it again: its time goes into page faults."""

import mmap
import time
from typing import ClassVar

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, scale, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.message import Delivery, Message
from supervisor.words import VerdictKind

COUNT, EACH_S, BYTES = 40, 0.8, 64 << 20


class Item(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM
    number: int


class Churner(Worker):
    def handle(self, message: Message) -> None:
        if isinstance(message, Item):
            self.churn(time.monotonic() + EACH_S * scale())
            self.ctx.progress("item")
            return
        super().handle(message)

    def churn(self, until: float) -> None:
        with mmap.mmap(-1, BYTES) as pages:
            while time.monotonic() < until:
                pages.madvise(mmap.MADV_DONTNEED)
                for at in range(0, BYTES, mmap.PAGESIZE):
                    pages[at] = 1

    def work(self) -> None:
        if once():
            for number in range(COUNT):
                self.ctx.post(Item(number=number))
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="D08",
    title="page-fault churn",
    children=(worker("worker", f"{__name__}:Churner"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.BUSY, causes=("memory",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=30.0,
)
