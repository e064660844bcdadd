"""F19 The health route also asks an optional cache, which is down: 503, and all that the service is for works."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, Service, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind


class Strict(Service):
    def reply(self, path: str) -> tuple[int, str]:
        return (503, "cache: connection refused (optional)") if switched() else super().reply(path)


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(target=f"http://127.0.0.1:{port}/health", every_s=2.0)
    promise = Promise(topic="Result", at_least_every_s=5.0)
    spec = {"checks": (check,), "promises": (promise,)}
    return (worker("service", f"{__name__}:Strict", port=port, spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()


SCENARIO = Scenario(
    id="F19",
    title="the health route includes an optional dependency",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CHECK_FAULT, causes=("says unavailable",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
)
