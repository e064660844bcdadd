"""The status and `why` as plain values: what is said of those that nobody watches by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.events import Cause
from supervisor.moves import ChildView
from supervisor.runtime import board
from supervisor.verdict import Verdict
from supervisor.words import CrashRecord, ExitKind, ExitReason, State, VerdictKind

NOW = 1000.0
BUG = ExitReason(
    kind=ExitKind.CRASHED,
    crash=CrashRecord(
        phase="init",
        exceptions=("AttributeError",),
        message="no attribute 'start'",
        frame="actors.bridge:start",
        location="bridge.py:41",
        traceback="",
    ),
)


def view(name: str, state: State = State.READY, **fields: Any) -> ChildView:
    base: dict[str, Any] = {
        "path": f"root/{name}",
        "id": name,
        "kind": "worker",
        "state": state,
        "incarnation": 3,
        "pid": None,
        "since": NOW - 60,
        "restarts_in_window": 0,
        "restart_limit": 5,
        "restarts_total": 2,
        "next_retry_at": None,
        "last_exit": None,
        "ready": state is State.READY,
        "required": True,
    }
    return ChildView(**{**base, **fields})


@pytest.mark.parametrize(
    ("parked", "last_exit", "kind", "cause"),
    [
        (Cause.CRASH_LOOP, BUG, VerdictKind.CRASH_LOOP, "code"),
        (Cause.BUDGET, BUG, VerdictKind.CRASHED, "budget-spent"),
        (Cause.INTENSITY, None, VerdictKind.CRASHED, "budget-spent"),
        (None, None, VerdictKind.CRASHED, "budget-spent"),
    ],
)
def test_a_parked_actor_inside_a_node_is_judged_by_why_it_was_parked(
    parked: Cause | None, last_exit: ExitReason | None, kind: VerdictKind, cause: str
) -> None:
    actor = view("brain", State.QUARANTINED, last_exit=last_exit)

    row = board.child_map(actor, None, None, NOW, parked)
    answer = board.why(actor, None, [], NOW, parked)

    assert (row["verdict"], row["cause"]) == (kind, cause)
    assert (answer["verdict"]["kind"], answer["verdict"]["cause"]) == (kind, cause)
    assert answer["verdict"]["age_s"] == 60.0
    assert last_exit is None or "no attribute 'start'" in row["reason"]


def test_what_the_verdict_on_a_node_says_of_one_actor_is_shown_with_that_actor_and_with_no_other() -> None:
    hung = Verdict(
        name="node",
        kind=VerdictKind.HUNG,
        cause="actor-stuck",
        reason="brain has not turned for 9.0 s",
        since=NOW - 3,
        cause_since=NOW - 3,
        next_review=NOW + 1,
        actor="brain",
    )
    actors = {name: view(name) for name in ("brain", "gate")}

    rows = {name: board.child_map(one, None, None, NOW, None, hung) for name, one in actors.items()}

    assert (rows["brain"]["verdict"], rows["brain"]["reason"]) == ("HUNG", "brain has not turned for 9.0 s")
    assert (rows["gate"]["verdict"], rows["gate"]["reason"]) == ("HEALTHY", "")
    again = view("brain", State.RESTARTING)
    assert board.child_map(again, None, None, NOW, None, hung)["verdict"] == "CRASHED"  # that one is no more
    assert board.why(actors["brain"], None, [], NOW, None, hung)["verdict"]["evidence_for"] == []


def test_an_entry_made_earlier_is_shown_with_what_is_believed_now() -> None:
    actor = view("brain", State.QUARANTINED, last_exit=BUG)
    made = board.child_map(actor, None, None, NOW - 50)

    document = board.status(
        {}, [view("node")], {}, {}, NOW, lambda *_: [made], lambda _: actor, {"brain": Cause.CRASH_LOOP}
    )

    assert [(row["name"], row["verdict"]) for row in document["children"]] == [
        ("node", "HEALTHY"),
        ("brain", "CRASH_LOOP"),
    ]
