"""Restarts are counted by their cause, and one that healed nothing is booked as false."""

from __future__ import annotations

import pytest

from supervisor.events import Cause, SupervisionKind, supervision
from supervisor.runtime.audit import Audit
from supervisor.runtime.tally import MOST, Tally
from supervisor.verdict import CheckResult
from supervisor.words import ExitKind, ExitReason, VerdictKind


def check(ok: bool, reason: str = "wrong port") -> CheckResult:
    return CheckResult(child="a", kind="http", target="http://127.0.0.1:1/", ok=ok, at=0.0, reason=reason)


RED, GREEN = check(False), check(True)


@pytest.mark.parametrize(
    ("before", "life", "kind", "after", "false"),
    [
        (RED, 2, VerdictKind.CHECK_FAULT, RED, True),
        (RED, 2, VerdictKind.HEALTHY, RED, True),
        (RED, 2, VerdictKind.HEALTHY, GREEN, False),  # it did heal it
        (RED, 2, VerdictKind.HUNG, RED, False),  # the function does not work either
        (RED, 1, VerdictKind.HEALTHY, RED, False),  # still the old life
        (RED, 2, VerdictKind.HEALTHY, check(False, "timeout too short"), False),  # another complaint
        (GREEN, 2, VerdictKind.CHECK_FAULT, RED, False),  # no check was red when it was restarted
    ],
)
def test_a_restart_is_false_when_the_same_complaint_stands_while_the_function_works(
    before: CheckResult, life: int, kind: VerdictKind, after: CheckResult, false: bool
) -> None:
    audit = Audit()
    audit.ended("a", 1, [before])
    assert bool(audit.review("a", life, kind, [after])) is false


def test_a_false_restart_is_booked_once_and_only_after_the_check_was_asked_again() -> None:
    audit = Audit()
    audit.ended("a", 1, [RED])
    assert not audit.review("a", 2, VerdictKind.HEALTHY, [])
    assert audit.review("a", 2, VerdictKind.HEALTHY, [RED])
    assert not audit.review("a", 2, VerdictKind.HEALTHY, [RED])
    audit.ended("a", 2, [RED])
    audit.forget("a")
    assert not audit.review("a", 3, VerdictKind.HEALTHY, [RED])


@pytest.mark.parametrize(
    ("cause", "exit", "counted"),
    [
        (Cause.HUNG, ExitReason(kind=ExitKind.HUNG, detail="livelock: it has not turned for 5 s"), "livelock"),
        (Cause.EXIT, ExitReason(kind=ExitKind.CRASHED, code=1), "crashed"),
        (Cause.GROUP, None, "group"),
    ],
)
def test_a_restart_counts_under_the_cause_a_person_would_name(
    cause: Cause, exit: ExitReason | None, counted: str
) -> None:
    tally = Tally()
    record = supervision(SupervisionKind.RESTARTING, id="a", path="root/a", incarnation=1, at=0.0, cause=cause)
    tally.happened(record, exit)
    tally.happened(record, exit)
    assert tally.document()["restarts"] == [["a", counted, 2]]


def test_what_the_judge_has_had_restarted_in_order_counts_under_his_cause_although_the_tree_saw_an_order() -> None:
    tally = Tally()
    tally.ordered("a", "memory")
    tally.ordered("a", "memory")
    assert tally.document()["restarts"] == [["a", "memory", 2]]


def test_the_book_is_bounded() -> None:
    tally = Tally()
    for number in range(MOST + 100):
        tally.check_fault(f"unit-{number}", "wrong port")
    assert len(tally.check_faults) == MOST + 1
    assert sum(tally.check_faults.values()) == MOST + 100
