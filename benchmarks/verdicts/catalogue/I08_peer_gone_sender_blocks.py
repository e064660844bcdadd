"""I08 The ZeroMQ peer is gone; the sender blocks in its own loop as soon as its queue is at the high-water mark."""

from signal import SIGKILL
from typing import Any

import zmq

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind

PEER = """import os, pathlib, sys, zmq
inbound = zmq.Context().socket(zmq.PULL)
inbound.bind(sys.argv[1])
pathlib.Path("peer.pid").write_text(str(os.getpid()))
while True:
    inbound.recv()"""


class Sender(Worker):
    def init(self, *, address: str = "", **more: Any) -> None:
        self.outbound: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self.outbound.set(zmq.LINGER, 0)
        self.outbound.set(zmq.SNDHWM, 10)
        self.outbound.connect(address)
        super().init(**more)

    def work(self) -> None:
        self.outbound.send(b"order")
        self.ctx.outcome("peer")
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    stage.stranger(PEER, f"tcp://127.0.0.1:{port}")
    stage.until(lambda: stage.path("peer.pid").exists() and stage.path("peer.pid").read_text(), "the peer is there")
    needs = Dependency(name="peer", check=Check(kind="tcp", target=f"127.0.0.1:{port}", every_s=2.0))
    spec = {"depends": (needs,)}
    return (worker("sender", f"{__name__}:Sender", address=f"tcp://127.0.0.1:{port}", spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.kill(int(stage.path("peer.pid").read_text()), SIGKILL)


SCENARIO = Scenario(
    id="I08",
    title="the peer is gone, the sender blocks",
    children=children,
    inject=inject,
    truth=Truth(unit="sender", kind=VerdictKind.UPSTREAM, causes=("blocked", "refused", "down")),
    action=(Deed.GATE, Deed.NOTHING),
    never=(Deed.RESTART, Deed.ACTOR, Deed.PARK),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=60.0,
    starts_most=1,
)
