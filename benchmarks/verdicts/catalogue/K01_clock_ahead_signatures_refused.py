"""K01 The service's wall clock is two hours ahead: the venue refuses every signed call for its time stamp."""

import json
import time
import urllib.error
import urllib.request

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, switched, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind

AHEAD_S = 7200.0
REFUSAL = '{"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}'


class Signer(Caller):
    """Tells what the venue says of a refused call, as an adapter does."""

    def work(self) -> None:
        stamp = int((time.time() + AHEAD_S * switched()) * 1000)
        try:
            with urllib.request.urlopen(f"{self.url}order?timestamp={stamp}", timeout=2.0) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            told = json.loads(error.read() or b"{}")
            self.ctx.outcome(self.dependency, f"{error.code} {told.get('code')} {told.get('msg')}")
            return
        except OSError as error:
            self.ctx.outcome(self.dependency, error)
            return
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    venue = stage.simulator("venue")
    needs = Dependency(name="venue", check=Check(kind="tcp", target=f"127.0.0.1:{venue.port}", every_s=2.0))
    return (worker("client", f"{__name__}:Signer", url=venue.url, spec={"depends": (needs,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.switch()
    stage.simulator("venue").answer(400, REFUSAL)


SCENARIO = Scenario(
    id="K01",
    title="a clock ahead: signatures are refused",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.DEGRADED, causes=("clock",)),
    action=(Deed.NOTHING, Deed.GATE),
    never=(Deed.RESTART, Deed.ACTOR, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
    starts_most=1,
)
