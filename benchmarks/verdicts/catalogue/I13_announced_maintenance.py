"""I13 The venue is down for maintenance, as it has announced; the client tells what the status channel says."""

import json
import urllib.error
import urllib.request

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


class Informed(Caller):
    def work(self) -> None:
        try:
            with urllib.request.urlopen(self.url, timeout=2.0) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            told = json.loads(error.read() or b"{}")
            self.ctx.outcome(self.dependency, f"{error.code} scheduled maintenance: {told.get('msg')}")
        except OSError as error:
            self.ctx.outcome(self.dependency, error)
        else:
            super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    url = stage.simulator("venue").url
    needs = Dependency(name="venue", check=Check(target=url, every_s=2.0))
    return (worker("client", f"{__name__}:Informed", url=url, spec={"depends": (needs,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("venue").answer(503, '{"status": 1, "msg": "system maintenance until 06:00 UTC"}')


SCENARIO = Scenario(
    id="I13",
    title="announced maintenance of the venue",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.UPSTREAM, causes=("planned",)),
    action=(Deed.GATE, Deed.NOTHING),
    never=(Deed.RESTART, Deed.ACTOR, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=1,
)
