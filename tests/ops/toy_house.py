"""A small tree for the real runtime, so that `qt` can be tested on a real heart and root without any trading."""

from __future__ import annotations

from pathlib import Path

from supervisor.plan import Draft
from supervisor.spec import ZygoteSpec, child, supervise
from supervisor.words import Strategy


class Bridge:
    """An account's port that can do nothing but submit."""

    def submit(self, client_order_id: str, intent: object) -> None: ...


def open_bridge(post: object, *, account: str, product: str, symbols: object, currency: str, url: object) -> Bridge:
    return Bridge()


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
