"""I11 The venue sends frames that cannot be read; the parser raises, and the actor dies of each one."""

import json
import urllib.request

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


class Parser(Caller):
    """Believes what it is sent: an exception of the parser leaves the handler."""

    def work(self) -> None:
        self.price = float(json.loads(self.fetch())["price"])
        super().work()

    def fetch(self) -> bytes:
        with urllib.request.urlopen(self.url, timeout=2.0) as answer:
            return bytes(answer.read())


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    venue = stage.simulator("venue")
    venue.answer(200, '{"price": "101.5"}')
    needs = Dependency(name="venue", check=Check(kind="tcp", target=f"127.0.0.1:{venue.port}", every_s=2.0))
    return (worker("feed", f"{__name__}:Parser", url=venue.url, spec={"depends": (needs,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("venue").answer(200, '{"price": "101.5')


SCENARIO = Scenario(
    id="I11",
    title="frames that cannot be read",
    children=children,
    inject=inject,
    truth=Truth(unit="feed", kind=VerdictKind.UPSTREAM, causes=("data",)),
    action=Deed.GATE,
    never=(Deed.PARK,),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=60.0,
    starts_most=4,
)
