"""F27 One answer in twenty is no, at random, and the service works: a flaky check, to be told with its rate.

A day of it is compressed into a few minutes; three in a row come about once in 8,000 questions.
"""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Promise
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    check = Check(target=stage.simulator("side").url, every_s=1.0)
    promise = Promise(topic="Result", at_least_every_s=5.0)
    return (worker("worker", spec={"checks": (check,), "promises": (promise,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("side").share_bad = 0.05


SCENARIO = Scenario(
    id="F27",
    title="a check that fails at random",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=150.0,
    lasts_s=150.0,
)
