"""G04 A TCP check on a stopped process: the kernel takes the call, nobody will ever answer it."""

from signal import SIGSTOP

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(kind="tcp", target=f"127.0.0.1:{port}", every_s=2.0)
    spec = {"checks": (check,), "promises": (Promise(topic="Result", at_least_every_s=5.0),)}
    return (worker("service", "benchmarks.verdicts.pieces:Service", port=port, spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.send_signal("service", SIGSTOP)


SCENARIO = Scenario(
    id="G04",
    title="the port is open, the process stopped",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.HUNG, causes=("stopped",)),
    action=(Deed.NOTHING, Deed.RESTART),
    healthy=OTHERS,
    within_s=10.0,
    lasts_s=30.0,
)
