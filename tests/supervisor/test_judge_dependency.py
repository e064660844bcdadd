# ruff: noqa: E501 - a table row is one line
"""Is it the child, or what it leans on?"""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.verdict import Action, CheckResult, Evidence, Observer, PromiseSample, Verdict, judge
from supervisor.verdict.evidence import DependencySample
from supervisor.verdict.fingerprint import upstream_cause
from supervisor.words import ExitKind, ExitReason, State, VerdictKind
from tests.supervisor.test_judge import BLOCKED, BROKEN, FRESH, NOW, PASSING, SILENT, SPINNING, evidence, watched


def need(name: str = "venue", **fields: Any) -> DependencySample:
    return DependencySample(name=name, **fields)


FAILING: dict[str, Any] = {"failures": 5, "used_failed_at": NOW - 0.5, "error": "upstream"}
DEAD = need(probe_ok=False, probe_at=NOW - 1, probe_detail="127.0.0.1:9 refused")
DEAD_AND_USED = need(probe_ok=False, probe_detail="127.0.0.1:9 refused", **FAILING)
WELL = need("db", probe_ok=True, probe_at=NOW - 1)
IDLE: dict[str, Any] = {"flat_s": 1e6}
HANDLER_503 = CheckResult(
    child="feed", kind="http", target="http://127.0.0.1:9/", ok=False, at=NOW - 1, reason="says unavailable", failures=3
)

ROWS: list[tuple[str, dict[str, Any], dict[str, Any], VerdictKind, str, Action]] = [
    ("its calls are refused, so is our question", {}, {"dependencies": (DEAD_AND_USED,)}, VerdictKind.UPSTREAM, "refused", Action.GATE),
    ("idle while its venue is away", IDLE, {"dependencies": (DEAD,)}, VerdictKind.UPSTREAM, "refused", Action.GATE),
    ("output absent while its venue is away", {}, {"dependencies": (DEAD,), "promises": (BROKEN,)}, VerdictKind.UPSTREAM, "refused", Action.GATE),
    ("nobody misses it", {}, {"dependencies": (DEAD,)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("our question is wrong, its calls go well", IDLE, {"dependencies": (need(probe_ok=False, used_ok_at=NOW - 1),)}, VerdictKind.HEALTHY, "idle", Action.NONE),
    ("rate limited", {}, {"dependencies": (need(probe_ok=False, probe_detail="answered 429", **FAILING),)}, VerdictKind.UPSTREAM, "rate", Action.GATE),
    ("maintenance", {}, {"dependencies": (need(probe_ok=False, probe_detail="scheduled maintenance", **FAILING),)}, VerdictKind.UPSTREAM, "planned", Action.GATE),
    ("no question of ours, its calls fail", {}, {"dependencies": (need(**FAILING),)}, VerdictKind.UPSTREAM, "error", Action.GATE),
    ("its certificate has expired, as the calls say", {}, {"dependencies": (need(**FAILING, cause="tls"),)}, VerdictKind.UPSTREAM, "tls", Action.GATE),
    ("two failures only", {}, {"dependencies": (need(**{**FAILING, "failures": 2}),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("failures long ago", {}, {"dependencies": (need(**{**FAILING, "used_failed_at": NOW - 500}),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("its own bug", {}, {"dependencies": (need(**{**FAILING, "error": "code"}),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("frames nobody can read", {}, {"dependencies": (need(**{**FAILING, "error": "data"}),)}, VerdictKind.UPSTREAM, "data", Action.GATE),
    ("login refused", {}, {"dependencies": (need(**{**FAILING, "error": "credential"}),)}, VerdictKind.UPSTREAM, "credential", Action.GATE),
    ("its clock is wrong", {}, {"dependencies": (need(**{**FAILING, "error": "clock"}),)}, VerdictKind.DEGRADED, "clock", Action.ALERT),
    ("all users fail together", {}, {"dependencies": (need(probe_ok=True, users=3, users_failing=3, **FAILING),)}, VerdictKind.UPSTREAM, "error", Action.GATE),
    ("the sibling that serves it is down", {}, {"dependencies": (need(owner="db", owner_up=False, **FAILING),)}, VerdictKind.UPSTREAM, "sibling", Action.GATE),
    ("blocked on a peer that is gone", BLOCKED, {"dependencies": (need(owner="bus", owner_up=False),)}, VerdictKind.UPSTREAM, "blocked", Action.GATE),
    ("blocked on a peer that went away after a good call", BLOCKED, {"dependencies": (need("peer", probe_ok=False, probe_at=NOW - 1, used_ok_at=NOW - 8),)}, VerdictKind.UPSTREAM, "blocked", Action.GATE),
    ("blocked, its venue is well", BLOCKED, {"dependencies": (WELL,)}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("blocked, and nobody has asked its peer since", BLOCKED, {"dependencies": (need("peer", probe_ok=True, probe_at=NOW - 9),)}, VerdictKind.UNSURE, "loop-blocked", Action.NONE),
    ("blocked for twice as long, its peer still not asked", {**BLOCKED, "stuck_s": 11.0, "in_hand_s": 11.0}, {"dependencies": (need("peer", probe_ok=True, probe_at=NOW - 12),)}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("blocked on a peer that nobody can ask", BLOCKED, {"dependencies": (need("peer"),)}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("spinning, and nobody has asked its venue since", SPINNING, {"dependencies": (need(probe_ok=True, probe_at=NOW - 9),)}, VerdictKind.HUNG, "livelock", Action.KILL),
    ("spinning while its venue is away", SPINNING, {"dependencies": (DEAD,)}, VerdictKind.HUNG, "livelock", Action.KILL),
    ("interpreter held while its venue is away", BLOCKED, {"dependencies": (DEAD,), "ping": SILENT}, VerdictKind.HUNG, "gil-blocked", Action.KILL),
    ("one of three away", {}, {"dependencies": (DEAD_AND_USED, WELL, need("x", probe_ok=True)), "promises": (FRESH,)}, VerdictKind.DEGRADED, "partial", Action.NONE),
    ("one of two away, and no output at all", {}, {"dependencies": (DEAD_AND_USED, WELL), "promises": (BROKEN,)}, VerdictKind.UPSTREAM, "refused", Action.GATE),
    ("its health route counts the database", {}, {"dependencies": (DEAD_AND_USED,), "checks": (HANDLER_503,)}, VerdictKind.UPSTREAM, "refused", Action.GATE),
    ("its health route counts what nobody needs", {}, {"dependencies": (DEAD,), "checks": (HANDLER_503,)}, VerdictKind.CHECK_FAULT, "says unavailable", Action.STRIP_CHECK),
]  # fmt: skip


@pytest.mark.parametrize(
    ("story", "fields", "kind", "cause", "action"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_dependency_that_is_the_cause_closes_the_gate_and_restarts_nobody(
    story: dict[str, Any], fields: dict[str, Any], kind: VerdictKind, cause: str, action: Action
) -> None:
    verdict = judge(evidence(watched(**story), **fields), NOW)

    assert (verdict.kind, verdict.cause, verdict.action) == (kind, cause, action), verdict.reason


def test_a_start_that_waits_for_its_database_is_not_convicted() -> None:
    late = evidence(
        watched(stuck_s=50, cpu=0.0),
        state=State.RUNNING,
        state_since=NOW - 61,
        start_timeout_s=30,
        dependencies=(DEAD,),
    )

    assert judge(late, NOW).kind is VerdictKind.UPSTREAM


def after(*told: Evidence, every_s: float = 1.0) -> Verdict:
    """The verdict at the end of this story, one judgement per evidence, ending now."""
    verdict = None
    for n, one in enumerate(told):
        verdict = judge(one, NOW - every_s * (len(told) - 1 - n), verdict)
    assert verdict is not None
    return verdict


AWAY = evidence(dependencies=(DEAD_AND_USED,))
BACK = evidence(dependencies=(need(probe_ok=True, **FAILING),))


def test_calls_that_still_fail_when_the_dependency_is_back_are_the_childs_own_and_a_restart_is_right() -> None:
    assert after(AWAY, BACK).kind is VerdictKind.UNSURE
    verdict = after(AWAY, *[BACK] * 7)

    assert (verdict.kind, verdict.cause, verdict.action) == (VerdictKind.HUNG, "sticky", Action.RESTART)
    assert {said.partition(":")[0] for said in verdict.evidence_for} == {"dependency", "function"}


def test_calls_that_fail_from_the_first_are_upstream_although_our_question_is_answered() -> None:
    assert after(*[BACK] * 20).kind is VerdictKind.UPSTREAM


def test_one_user_that_fails_alone_is_its_own_fault() -> None:
    alone = evidence(dependencies=(need(users=4, users_failing=1, probe_ok=True, **FAILING),))

    assert after(*[alone] * 8).cause == "sticky"


@pytest.mark.parametrize(
    "fields",
    [
        {"promises": (PromiseSample(topic="Tick", at_least_every_s=20.0, last_at=NOW - 5),)},  # it works all the same
        {"observer": Observer(valid_since=NOW - 3)},  # not seen for the whole window
        {"last_exit": ExitReason(kind=ExitKind.HUNG, detail="sticky: db is back")},  # it was tried, and did not help
    ],
)
def test_a_sticky_child_is_spared(fields: dict[str, Any]) -> None:
    told = evidence(dependencies=(need(probe_ok=True, **FAILING),), **fields)

    verdict = after(AWAY, *[told] * 8)
    assert (verdict.kind, verdict.action) == (VerdictKind.UNSURE, Action.NONE)
    assert verdict.withheld.startswith("restart: ")


def test_a_green_check_beside_a_dead_dependency_is_blind() -> None:
    assert judge(evidence(dependencies=(DEAD_AND_USED,), checks=(PASSING,)), NOW).check_blind
    assert not judge(evidence(dependencies=(DEAD_AND_USED,)), NOW).check_blind


@pytest.mark.parametrize(
    ("exceptions", "message", "cause"),
    [
        (("ConnectionRefusedError",), "[Errno 111] Connection refused", "refused"),
        (("ExchangeNotAvailable", "ClientConnectorError"), "binance GET 503", "error"),
        (("RateLimitExceeded",), "binance 429 Too Many Requests", "rate"),
        (("DDoSProtection",), "418 I'm a teapot", "rate"),
        (("HTTPError",), "HTTP Error 418: banned until …", "rate"),
        (("OnMaintenance",), "", "planned"),
        (("TimeoutError",), "", "timeout"),
        (("OperationalError",), "the server closed the connection", "down"),
        ((), "answered 500", "error"),
        ((), "certificate has expired", "tls"),
        ((), "Name or service not known", "names"),
    ],
)
def test_what_a_dependency_does_to_us_is_one_word(exceptions: tuple[str, ...], message: str, cause: str) -> None:
    assert upstream_cause(exceptions, message) == cause
