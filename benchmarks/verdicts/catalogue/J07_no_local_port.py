"""J07 Every connect fails with "cannot assign requested address": no local port is left (the call is patched)."""

import errno
import os
import socket
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


def no_port(*_: Any) -> None:
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


class Portless(Caller):
    def work(self) -> None:
        if once():
            socket.socket.connect = no_port  # type: ignore[method-assign]
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    url = stage.simulator("venue").url
    needs = Dependency(name="venue", check=Check(target=url, every_s=2.0))
    return (worker("client", f"{__name__}:Portless", url=url, spec={"depends": (needs,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="J07",
    title="no local port is left",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.EXHAUSTED, causes=("ports",)),
    action=(Deed.NOTHING, Deed.GATE),
    never=(Deed.RESTART, Deed.ACTOR, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=1,
)
