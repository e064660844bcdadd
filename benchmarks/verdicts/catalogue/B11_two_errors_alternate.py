"""B11 Two deterministic errors alternate at the start: each second death is another one, and none will ever end."""

from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Undecided(Worker):
    def init(self, **more: Any) -> None:
        if self.ctx.incarnation % 2:
            self.bridge()
        self.table()

    def bridge(self) -> None:
        self.gateway.start()  # type: ignore[attr-defined]

    def table(self) -> None:
        place(f"no such folder {self.ctx.name}/table.csv").read_text()


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B11",
    title="two errors alternate at the start",
    children=(worker("worker", f"{__name__}:Undecided"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASH_LOOP, causes=("alternating",)),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=60.0,
    lasts_s=90.0,
    starts_most=6,
    boots=False,
)
