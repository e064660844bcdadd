"""H04 The observer is deaf: every page it reads has become that of nobody. (Elsewhere its beat port is taken.)"""

from benchmarks.verdicts.pieces import CROWD, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

INCARNATION_AT = 16  # bytes into a vitals page


def inject(stage: Stage) -> None:
    stage.begin()
    for page in (stage.home / "vitals").iterdir():
        with page.open("r+b") as file:
            file.seek(INCARNATION_AT)
            file.write(bytes(8))


SCENARIO = Scenario(
    id="H04",
    title="the root hears nobody",
    children=(worker("worker"), worker("second"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.OBSERVER_STALL),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.PARK),
    within_s=20.0,
    lasts_s=60.0,
)
