"""C05 A regular expression explodes: it keeps the interpreter lock and burns."""

import re

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Matcher(Worker):
    def work(self) -> None:
        if once():
            re.match(r"(a+)+$", "a" * 60 + "b")
        super().work()


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="C05",
    title="an exploding regular expression",
    children=(worker("worker", f"{__name__}:Matcher"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG, causes=("gil-spin",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=18.0,
    lasts_s=35.0,
    recovers=True,
)
