"""I01 The venue refuses connections; its client says so of every call and tries again."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    url = stage.simulator("venue").url
    needs = Dependency(name="venue", check=Check(target=url, every_s=2.0))
    return (worker("client", "benchmarks.verdicts.pieces:Caller", url=url, spec={"depends": (needs,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("venue").down()


SCENARIO = Scenario(
    id="I01",
    title="the venue refuses connections",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.UPSTREAM, causes=("refused", "down")),
    action=(Deed.GATE, Deed.NOTHING),
    never=(Deed.RESTART, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=60.0,
)
