"""I02 The venue answers 429, then 418: it limits its client, then bans it."""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    url = stage.simulator("venue").url
    needs = Dependency(name="venue", check=Check(target=url, every_s=2.0))
    return (
        worker("client", "benchmarks.verdicts.pieces:Caller", url=url, dependency="venue", spec={"depends": (needs,)}),
        *CROWD,
    )


def inject(stage: Stage) -> None:
    stage.begin()
    venue = stage.simulator("venue")
    venue.answer(429, "slowly")
    stage.sleep(15.0)
    venue.answer(418, "banned")


SCENARIO = Scenario(
    id="I02",
    title="the venue limits and bans",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.UPSTREAM, causes=("rate",)),
    action=(Deed.GATE, Deed.NOTHING),
    healthy=OTHERS,
    never=(Deed.RESTART, Deed.PARK),
    within_s=20.0,
    lasts_s=60.0,
)
