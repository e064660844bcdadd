"""F28 The 33-hour story, compressed: three services work, their check is red from the first minute on."""

from benchmarks.verdicts.pieces import worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    made = []
    for name in ("brain", "second", "third"):
        check = Check(target=f"http://127.0.0.1:{stage.free_port()}/health", every_s=2.0)
        made.append(worker(name, "benchmarks.verdicts.pieces:Service", spec={"checks": (check,)}))
    return (*made, worker("bystander"))


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F28",
    title="three brains with a broken probe",
    children=children,
    inject=inject,
    truth=Truth(unit="brain", kind=VerdictKind.CHECK_FAULT, causes=("wrong port",)),
    action=Deed.NOTHING,
    healthy=("bystander",),
    never=(Deed.RESTART, Deed.PARK),
    within_s=15.0,
    lasts_s=180.0,
)
