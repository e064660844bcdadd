"""N06 The root takes up new inputs (code, models) while twelve children run: zygotes are made anew, nobody restarts.

A root is not reloaded here; what comes nearest is that what it starts from now on runs something else.
"""

from benchmarks.verdicts.pieces import worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

NAMES = tuple(f"worker{number}" for number in range(12))


def inject(stage: Stage) -> None:
    stage.begin()
    for version in range(3):
        stage.watched("model.bin").write_text(f"version {version}")
        stage.sleep(20.0)


SCENARIO = Scenario(
    id="N06",
    title="new inputs are taken up",
    children=tuple(worker(name) for name in NAMES),
    inject=inject,
    truth=Truth(unit="worker0", kind=VerdictKind.HEALTHY),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=NAMES[1:],
    within_s=90.0,
    lasts_s=90.0,
    starts_most=1,
)
