"""C13 One of ten actors waits for ever on a socket without a timeout; nine work."""

import socket

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import member, node
from supervisor.words import Strategy, VerdictKind


class Reader(Worker):
    def work(self) -> None:
        if once():
            ours, theirs = socket.socketpair()
            self.kept = theirs  # open, and silent
            ours.recv(1)
        super().work()


NINE = [member(f"good{n}", "benchmarks.verdicts.pieces:Worker") for n in range(9)]
HOUSE = node("house", Strategy.ONE_FOR_ONE, [member("reader", f"{__name__}:Reader"), *NINE])


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C13",
    title="one of ten actors waits for ever",
    children=(HOUSE, *CROWD),
    inject=inject,
    truth=Truth(unit="reader", kind=VerdictKind.HUNG, causes=("actor-stuck",)),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=25.0,
    recovers=True,
)
