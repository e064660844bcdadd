"""A10 The command does not exist: there never is a process."""

from benchmarks.verdicts.pieces import CROWD, OTHERS
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import ChildSpec, ProgramStart
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="A10",
    title="the command does not exist",
    children=(ChildSpec(id="program", start=ProgramStart(argv=("/no/such/program",))), *CROWD),
    inject=inject,
    truth=Truth(unit="program", kind=VerdictKind.CRASH_LOOP, causes=("spawn", "code", "config")),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    starts_most=3,
    boots=False,
)
