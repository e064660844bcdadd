"""B14 The venue answers 401 at login and bans after five strikes; the service exits each time."""

import urllib.request
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Caller, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import ChildSpec
from supervisor.words import VerdictKind


class Client(Caller):
    def init(self, *, url: str = "", **more: Any) -> None:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            answer.read()
        super().init(url=url, **more)


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    venue = stage.simulator("venue")
    venue.answer(401, "unknown key")
    venue.ban_after = 5
    return (worker("client", f"{__name__}:Client", url=venue.url), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="B14",
    title="the login is refused",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.CRASH_LOOP, causes=("credential",)),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=60.0,
    starts_most=2,
    boots=False,
)
