"""A small tree for the real runtime, so that `qt` can be tested on a real heart and root without any trading."""

from __future__ import annotations

from pathlib import Path

from supervisor.plan import Draft
from supervisor.spec import ZygoteSpec, child, supervise
from supervisor.words import Strategy

HOUSE = Path(__file__).resolve().parents[2]


def build(home: str) -> Draft:
    worker = "tests.supervisor.toys:Worker"
    return Draft(
        tree=supervise(
            "root",
            Strategy.ONE_FOR_ONE,
            [
                supervise(
                    "market",
                    Strategy.ONE_FOR_ONE,
                    [
                        child("steady", worker),
                        child("doomed", "tests.supervisor.toys:Doomed", spec={"required": False}),
                    ],
                ),
                supervise("watch", Strategy.ONE_FOR_ONE, [child("other", worker)]),
            ],
        ),
        zygotes=(ZygoteSpec(role="core", imports=("tests.supervisor.toys",)),),
        own_roots=(str(HOUSE),),
    )
