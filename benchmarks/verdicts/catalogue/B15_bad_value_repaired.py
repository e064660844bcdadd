"""B15 A bad value in a configuration file parks the service; after a minute the file is repaired, and it comes back.

The file is one that the root counts among the inputs of a node (`Plan.watched`): an honest house declares it so.
"""

import json
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, place, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind


class Configured(Worker):
    def init(self, **more: Any) -> None:
        limit = int(json.loads(place("watched/settings.json").read_text())["limit"])
        super().init(every_s=1.0 / max(1, limit))


def inject(stage: Stage) -> None:
    stage.begin()
    stage.sleep(60.0)
    stage.over()
    stage.watched("settings.json").write_text('{"limit": 1}')


def children(stage: Stage) -> tuple[Any, ...]:
    stage.watched("settings.json").write_text('{"limit": "many"}')
    return (worker("worker", f"{__name__}:Configured"), *CROWD)


SCENARIO = Scenario(
    id="B15",
    title="a bad value in the configuration, then repaired",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CRASH_LOOP, causes=("config", "data")),
    action=Deed.PARK,
    healthy=OTHERS,
    within_s=45.0,
    lasts_s=150.0,
    starts_most=4,
    recovers=True,
    boots=False,
)
