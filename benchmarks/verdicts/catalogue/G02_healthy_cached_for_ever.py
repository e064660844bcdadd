"""G02 The health route answers from a cache that nobody renews; the loop behind it stands still."""

import time

from benchmarks.verdicts.pieces import CROWD, OTHERS, Service, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind


class Cached(Service):
    def work(self) -> None:
        if once():
            time.sleep(3600)
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(target=f"http://127.0.0.1:{port}/health", every_s=2.0)
    promise = Promise(topic="Result", at_least_every_s=5.0)
    spec = {"checks": (check,), "promises": (promise,)}
    return (worker("service", f"{__name__}:Cached", port=port, spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="G02",
    title='"healthy" is cached for ever',
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.HUNG, causes=("loop-blocked", "actor-stuck")),
    action=(Deed.ACTOR, Deed.RESTART),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=30.0,
    recovers=True,
)
