# ruff: noqa: E501 - a table row is one line
"""The one who looks may be the one at fault; and many at once are one event."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.verdict import Action, Evidence, Observer, Verdict, correlate, judge
from supervisor.verdict.evidence import DependencySample, Host
from supervisor.words import State, VerdictKind
from tests.supervisor.test_judge import BLOCKED, NOW, SILENT, UNEXPLAINED, evidence, watched

PAUSED = Host(at=NOW - 0.5, sentinel_late_s=4.0)
STALL = VerdictKind.OBSERVER_STALL


@pytest.mark.parametrize(
    ("story", "fields", "kind", "cause"),
    [
        ({}, {"blind": "no descriptor left for its page"}, STALL, "blind"),
        ({}, {"blind": "all vitals pages are gone with /run"}, STALL, "pages-gone"),
        (BLOCKED, {"blind": "its vitals page is gone"}, STALL, "blind"),
        ({"kernel": "T"}, {"blind": "its vitals page is gone"}, VerdictKind.HUNG, "stopped"),  # the kernel tells that
        (BLOCKED, {"host": PAUSED}, STALL, "sentinel-late"),
        ({}, {"host": PAUSED}, VerdictKind.HEALTHY, ""),  # the sentinel alone is late: nobody else is the worse for it
        (BLOCKED, {"host": Host(at=NOW - 60, sentinel_late_s=4.0)}, VerdictKind.HUNG, "loop-blocked"),  # long ago
        (BLOCKED, {"host": Host(at=NOW, sentinel_late_s=600.0)}, VerdictKind.HUNG, "loop-blocked"),  # it is broken
        (BLOCKED, {"host": Host(at=NOW, sentinel_late_s=0.1)}, VerdictKind.HUNG, "loop-blocked"),
        ({}, {"orders_unread_s": 9.0}, VerdictKind.DEGRADED, "deaf"),
    ],
)
def test_what_was_not_seen_is_no_evidence(
    story: dict[str, Any], fields: dict[str, Any], kind: VerdictKind, cause: str
) -> None:
    verdict = judge(evidence(watched(**story), **fields), NOW)

    assert (verdict.kind, verdict.cause) == (kind, cause), verdict.reason
    if kind is STALL:
        assert verdict.action is Action.VOID


def test_a_child_that_hung_before_it_was_asked_to_stop_is_said_to_hang() -> None:
    stuck = watched(stuck_s=20.0, in_hand_s=20.0, cpu=0.0)

    verdict = judge(evidence(stuck, state=State.STOPPING, state_since=NOW - 3), NOW)
    assert (verdict.kind, verdict.cause) == (VerdictKind.HUNG, "while-stopping")
    seen_late = watched(stuck_s=6.0, in_hand_s=20.0, cpu=0.0)  # calm before, so nobody looked
    assert judge(evidence(seen_late, state=State.STOPPING, state_since=NOW - 7), NOW).cause == "while-stopping"
    farewell = watched(stuck_s=20.0, in_hand_s=20.0, cpu=0.0)
    assert judge(evidence(farewell, state=State.STOPPING, state_since=NOW - 30), NOW).kind is VerdictKind.STOPPED


def all_of(count: int, healthy: int = 0, **fields: Any) -> tuple[dict[str, Verdict], dict[str, Evidence]]:
    told = {f"a{n}": evidence(watched(**BLOCKED), name=f"a{n}", **fields) for n in range(count)}
    told |= {f"z{n}": evidence(name=f"z{n}") for n in range(healthy)}
    return {name: judge(one, NOW) for name, one in told.items()}, told


@pytest.mark.parametrize(
    ("fields", "kind", "cause", "action"),
    [
        ({"dependencies": (DependencySample(name="db", owner="db", owner_up=False),)}, VerdictKind.UPSTREAM, "blocked", Action.GATE),
        ({"host": Host(at=NOW, cpu_pressure=0.9), "observer": Observer(valid_since=NOW - 99, factor=1.5)}, VerdictKind.BUSY, "starved", Action.NONE),
        ({}, VerdictKind.HUNG, "loop-blocked", Action.NONE),
    ],
)  # fmt: skip
def test_what_all_suspects_share_is_asked_first(
    fields: dict[str, Any], kind: VerdictKind, cause: str, action: Action
) -> None:
    verdicts, told = all_of(3, healthy=2, **fields)

    for name in ("a0", "a1", "a2"):
        verdict = correlate(verdicts, NOW, told=told)[name]
        assert (verdict.kind, verdict.cause, verdict.action) == (kind, cause, action), verdict.reason


def test_held_verdicts_still_count_at_the_next_judgement() -> None:
    verdicts, told = all_of(3, healthy=2)
    held = correlate(verdicts, NOW, told=told)

    again = correlate({**held, "a0": verdicts["a0"]}, NOW + 1, told=told)
    assert again["a0"].action is Action.NONE


def test_nodes_that_turn_and_are_all_unheard_at_once_mean_our_own_ear() -> None:
    verdicts = {name: judge(evidence(name=name, ping=SILENT), NOW) for name in "abc"}
    assert {v.cause for v in verdicts.values()} == {"main-thread-silent"}

    result = correlate(verdicts, NOW)
    assert {(v.kind, v.cause) for v in result.values()} == {(STALL, "blind")}
    assert correlate(result, NOW) == result
    assert correlate({"a": verdicts["a"]}, NOW)["a"].kind is VerdictKind.DEGRADED


def test_checks_that_turn_red_together_and_nothing_else_does_are_at_fault_themselves() -> None:
    verdicts = {name: judge(evidence(watched(flat_s=1e6), name=name, checks=(UNEXPLAINED,)), NOW) for name in "abc"}
    assert {v.cause for v in verdicts.values()} == {"check-unexplained"}

    result = correlate(verdicts, NOW)
    assert {(v.kind, v.action) for v in result.values()} == {(VerdictKind.CHECK_FAULT, Action.STRIP_CHECK)}
