"""D13 The consumer is slow, the bounded queue before it is full, and the producer waits its turn, but it moves."""

import threading
import time
from typing import Any, ClassVar

import zmq

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, scale, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.words import VerdictKind

SIZE = 1 << 20


class Item(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM
    number: int


class Producer(Actor):
    """Five items a second come in from a thread; each waits for its place in the queue."""

    def init(self, **more: Any) -> None:
        self.queue: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self.queue.set(zmq.LINGER, 0)
        self.queue.set(zmq.SNDHWM, 1)
        self.queue.bind(f"ipc://{place('queue.ipc')}")
        threading.Thread(target=self.come_in, daemon=True, name="source").start()

    def come_in(self) -> None:
        for number in range(5000):
            time.sleep(max(0.02, 0.2 * scale()))
            self.ctx.post(Item(number=number))

    def handle(self, message: Message) -> None:
        self.queue.send(bytes(SIZE))
        self.ctx.progress("sent")


class Taker(Worker):
    """Takes all there is; once it is slow, one in three seconds."""

    def init(self, **more: Any) -> None:
        self.queue: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
        self.queue.set(zmq.RCVHWM, 1)
        self.queue.connect(f"ipc://{place('queue.ipc')}")
        super().init(every_s=0.2, **more)

    def work(self) -> None:
        self.every_s = 3.0 * scale() if switched() else self.every_s
        while self.queue.poll(0):
            self.queue.recv()
            if switched():
                break
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.begin()


SCENARIO = Scenario(
    id="D13",
    title="the producer waits for a slow consumer",
    children=(worker("producer", f"{__name__}:Producer"), worker("taker", f"{__name__}:Taker"), *CROWD),
    inject=inject,
    truth=Truth(unit="producer", kind=VerdictKind.BUSY),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=("taker", *OTHERS),
    within_s=30.0,
    lasts_s=60.0,
)
