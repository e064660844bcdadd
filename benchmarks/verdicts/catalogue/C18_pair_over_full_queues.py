"""C18 Two services each send to the other before they read: both ZeroMQ queues are full, and both wait for ever."""

from pathlib import Path
from typing import Any

import zmq

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Promise
from supervisor.words import VerdictKind

SIZE = 1 << 18


class Mutual(Worker):
    def init(self, *, other: str = "", **more: Any) -> None:
        context: zmq.Context[Any] = zmq.Context.instance()
        self.inbound, self.outbound = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        for one in (self.inbound, self.outbound):
            one.set(zmq.LINGER, 0)
            one.set(zmq.SNDHWM, 1)
            one.set(zmq.RCVHWM, 1)
        Path(place(f"{self.ctx.name}.ipc")).unlink(missing_ok=True)
        self.inbound.bind(f"ipc://{place(self.ctx.name)}.ipc")
        self.outbound.connect(f"ipc://{place(other)}.ipc")
        super().init(**more)

    def work(self) -> None:
        if switched():
            place(f"{self.ctx.name}.sending").touch()
            for _ in range(10_000):
                self.outbound.send(bytes(SIZE))
        while self.inbound.poll(0):
            self.inbound.recv()
        self.outbound.send(b"one", zmq.NOBLOCK) if self.outbound.poll(0, zmq.POLLOUT) else None
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    sending = [stage.path(f"{name}.sending") for name in ("left", "right")]
    stage.until(lambda: all(path.exists() for path in sending), "both send")
    stage.switch(on=False)
    stage.begin()


SPEC = {"promises": (Promise(topic="Result", at_least_every_s=5.0),)}
SCENARIO = Scenario(
    id="C18",
    title="two processes wait for each other's full queue",
    children=(
        worker("left", f"{__name__}:Mutual", other="right", spec=SPEC),
        worker("right", f"{__name__}:Mutual", other="left", spec=SPEC),
        *CROWD,
    ),
    inject=inject,
    truth=Truth(unit="left", kind=VerdictKind.HUNG, causes=("deadlock", "loop-blocked", "actor-stuck")),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    involved=("right",),
    within_s=30.0,
    lasts_s=60.0,
    recovers=True,
)
