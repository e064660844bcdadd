"""A02 A foreign SIGKILL in mid-work: the process is gone, nobody is to blame for it but the one who shot."""

from signal import SIGKILL

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


def inject(stage: Stage) -> None:
    stage.begin()
    stage.send_signal("worker", SIGKILL)


SCENARIO = Scenario(
    id="A02",
    title="killed from outside",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASHED, causes=("kill",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=1.0,
    lasts_s=15.0,
    recovers=True,
)
