# ruff: noqa: E501 - a table row is one line
"""What a child does and what it owes: promises, canaries, the same message again, queues, leases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from supervisor.verdict import (
    Action,
    CheckResult,
    Evidence,
    History,
    KernelSample,
    Look,
    Observer,
    Ping,
    PromiseSample,
    Verdict,
    judge,
)
from supervisor.verdict.evidence import CanarySample, DependencySample, Host, ThreadSample
from supervisor.words import ExitKind, ExitReason, VerdictKind
from tests.supervisor.test_judge import (
    BLOCKED,
    BROKEN,
    FRESH,
    NOW,
    PASSING,
    SILENT,
    SPINNING,
    UNEXPLAINED,
    WRONG_PORT,
    evidence,
    watched,
)


def due(**fields: Any) -> PromiseSample:
    return msgspec.structs.replace(BROKEN, **fields)


def asked(**fields: Any) -> CanarySample:
    return CanarySample(**{"name": "price", "asked_at": NOW - 1, "expect": "42", **fields})


WRONG = asked(answered_at=NOW - 0.9, ok=False, answer="41", failures=2)
RIGHT = asked(answered_at=NOW - 0.9, ok=True, answer="42")
LATE = asked(asked_at=NOW - 30)
MANY_KEPT = tuple(msgspec.structs.replace(FRESH, key=str(n)) for n in range(9))
SAME = PromiseSample(topic="Book", at_least_every_s=2.0, last_at=NOW - 0.5, changed_at=NOW - 30)

ROWS: list[tuple[str, dict[str, Any], dict[str, Any], VerdictKind, str, Action]] = [
    ("absent, others see data", {}, {"promises": (due(elsewhere=True),)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("absent, its inputs come in", {}, {"promises": (due(inputs=50),)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("absent, nobody sees data", {}, {"promises": (due(elsewhere=False),)}, VerdictKind.UPSTREAM, "source", Action.GATE),
    ("absent, nobody knows", {}, {"promises": (BROKEN,)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("nothing came in, nothing is due", {"flat_s": 1e6}, {"promises": (due(due=False, inputs=0),)}, VerdictKind.HEALTHY, "idle", Action.NONE),
    ("the first input after a quiet night", {}, {"promises": (due(last_at=NOW - 9000, inputs=1, due_since=NOW - 0.5),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("its own rhythm is slower than promised", {}, {"promises": (due(last_at=NOW - 5, rhythm_s=2.0),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("one silent channel of ten, others see it", {}, {"promises": (due(key="x", elsewhere=True), *MANY_KEPT)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("one symbol of ten always fails", {}, {"promises": (due(key="x", last_at=None), *MANY_KEPT)}, VerdictKind.DEGRADED, "partial", Action.NONE),
    ("a frozen book", {}, {"promises": (SAME,)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("a book that was quiet for a moment", {}, {"promises": (msgspec.structs.replace(SAME, changed_at=NOW - 3),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("ready too early", {}, {"promises": (due(last_at=None),), "state_since": NOW - 8}, VerdictKind.STARTING, "early-ready", Action.NONE),
    ("ready and never anything", {}, {"promises": (due(last_at=None),)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("ready, nothing, and others see data", {}, {"promises": (due(last_at=None, elsewhere=True),), "state_since": NOW - 8}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("absent and the check is red too", {}, {"promises": (due(elsewhere=True),), "checks": (UNEXPLAINED,)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    ("kept and the check is red", {}, {"promises": (FRESH,), "checks": (WRONG_PORT,)}, VerdictKind.CHECK_FAULT, "wrong port", Action.STRIP_CHECK),
    ("wrong answers", {}, {"canaries": (WRONG,)}, VerdictKind.DEGRADED, "wrong", Action.NONE),
    ("one wrong answer", {}, {"canaries": (msgspec.structs.replace(WRONG, failures=1),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("one of five questions answered wrongly", {}, {"canaries": (WRONG, *[RIGHT] * 4)}, VerdictKind.DEGRADED, "partial", Action.NONE),
    ("right answers while idle", {"flat_s": 1e6}, {"canaries": (RIGHT,)}, VerdictKind.HEALTHY, "idle", Action.NONE),
    ("no answer while it works", {}, {"canaries": (LATE,)}, VerdictKind.DEGRADED, "canary-silent", Action.NONE),
    ("no answer while idle", {"flat_s": 1e6}, {"canaries": (LATE,)}, VerdictKind.UNSURE, "canary-silent", Action.NONE),
    ("asked while the observer was blind", {}, {"canaries": (LATE,), "observer": Observer(valid_since=NOW - 2)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("hung while the host pages", {**BLOCKED, "cpu": 0.2}, {"host": Host(memory_pressure=0.6)}, VerdictKind.BUSY, "memory", Action.NONE),
    ("hung long after", {"stuck_s": 30.0, "in_hand_s": 30.0, "cpu": 0.2}, {"host": Host(memory_pressure=0.6)}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("hung at rest while the host pages", BLOCKED, {"host": Host(memory_pressure=0.6)}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("story", "fields", "kind", "cause", "action"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_what_is_owed_counts_and_whose_fault_an_absence_is_the_neighbours_tell(
    story: dict[str, Any], fields: dict[str, Any], kind: VerdictKind, cause: str, action: Action
) -> None:
    verdict = judge(evidence(watched(**story), **{"state_since": NOW - 60, **fields}), NOW)

    assert (verdict.kind, verdict.cause, verdict.action) == (kind, cause, action), verdict.reason


def after(told: Evidence, times: int = 8, every_s: float = 1.0) -> Verdict:
    verdict = None
    for n in range(times):
        verdict = judge(told, NOW - every_s * (times - 1 - n), verdict)
    assert verdict is not None
    return verdict


def test_an_actor_whose_output_stays_away_while_others_see_data_is_started_again_and_only_once() -> None:
    told = evidence(promises=(due(elsewhere=True, actor="feed"),))

    verdict = after(told)
    assert (verdict.kind, verdict.action, verdict.actor) == (VerdictKind.DEGRADED, Action.RESTART_ACTOR, "feed")
    assert {said.partition(":")[0] for said in verdict.evidence_for} == {"function", "dependency"}

    tried = msgspec.structs.replace(told, last_exit=ExitReason(kind=ExitKind.HUNG, detail="stale: no ticks"))
    assert after(tried).action is Action.ALERT


@pytest.mark.parametrize(
    ("fields", "right"),
    [
        ({"rhythm_s": 1.0}, Action.RESTART_ACTOR),
        ({"rhythm_s": 1.0, "elsewhere": False}, Action.GATE),
        ({"rhythm_s": 1.0, "inputs": 0, "due": False}, Action.NONE),
        ({"at_least_every_s": 0.5}, Action.RESTART_ACTOR),  # no rhythm was learned yet: the promised one
        ({"at_least_every_s": 19.0}, Action.NONE),
        ({"last_at": None}, Action.NONE),  # never kept: a promise alone is one witness
    ],
)
def test_an_output_that_had_a_steady_rhythm_and_ceased_is_worth_one_new_life(
    fields: dict[str, Any], right: Action
) -> None:
    told = evidence(promises=(due(**fields),))

    assert after(told).action is right
    if right is Action.RESTART_ACTOR:
        unknown = DependencySample(name="venue")
        assert after(msgspec.structs.replace(told, dependencies=(unknown,))).action is Action.NONE
        well = DependencySample(name="venue", probe_ok=True, probe_at=NOW - 1)
        assert after(msgspec.structs.replace(told, dependencies=(well,))).action is Action.RESTART_ACTOR
        tried = msgspec.structs.replace(told, last_exit=ExitReason(kind=ExitKind.HUNG, detail="stale: no ticks"))
        assert after(tried).action is Action.ALERT


def test_one_whose_calls_failed_a_moment_ago_may_be_on_its_way_back_and_is_left_alone() -> None:
    for ago_s, right in ((12.0, Action.NONE), (60.0, Action.RESTART_ACTOR)):
        back = DependencySample(name="venue", probe_ok=True, probe_at=NOW - 1, used_failed_at=NOW - ago_s)
        told = evidence(promises=(due(elsewhere=True, actor="feed"),), dependencies=(back,))
        assert after(told).action is right


def test_wrong_answers_are_worth_one_new_life_and_then_an_alert() -> None:
    told = evidence(canaries=(WRONG,))

    assert after(told).action is Action.RESTART_ACTOR
    tried = msgspec.structs.replace(told, last_exit=ExitReason(kind=ExitKind.HUNG, detail="wrong: 41"))
    assert after(tried).action is Action.ALERT
    long_ago = msgspec.structs.replace(tried, state_since=NOW - 700)
    assert after(long_ago).action is Action.RESTART_ACTOR  # it helped for long


def with_actor(history: History, **fields: Any) -> History:
    """The same history, and in the last look the actor says this of itself."""
    last = history.traces[0].sample
    return history.add(Look(at=NOW, incarnation=3, actors=(msgspec.structs.replace(last, **fields),)))


def test_the_same_message_again_and_again_is_a_livelock_although_the_loop_turns() -> None:
    told = evidence(with_actor(watched(), repeats=500, in_hand="x:Order:7"))

    assert judge(told, NOW).kind is VerdictKind.UNSURE
    verdict = after(told)
    assert (verdict.kind, verdict.cause, verdict.action) == (VerdictKind.HUNG, "livelock", Action.RESTART_ACTOR)
    tried = msgspec.structs.replace(told, last_exit=ExitReason(kind=ExitKind.SHUTDOWN, detail="livelock: again"))
    assert after(tried).action is Action.RESTART  # the tree counts it now
    assert after(msgspec.structs.replace(told, promises=(FRESH,))).kind is VerdictKind.UNSURE  # it works all the same


def test_messages_that_are_burnt_without_the_promised_output_are_a_hollow_life() -> None:
    told = evidence(watched(cpu=0.9), promises=(due(inputs=500),))

    verdict = after(told)
    assert (verdict.kind, verdict.cause, verdict.action) == (VerdictKind.HUNG, "hollow", Action.RESTART_ACTOR)


def test_a_green_check_beside_an_absent_output_is_blind() -> None:
    assert judge(evidence(promises=(due(elsewhere=True),), checks=(PASSING,)), NOW).check_blind


def test_a_queue_that_grows_is_told_to_the_senders() -> None:
    history = watched(queued=10, queue_age_s=2.0)
    grown = history.add(
        Look(
            at=NOW,
            incarnation=3,
            kernel=KernelSample(state="S", started_ticks=1, cpu_s=3.0),
            actors=(msgspec.structs.replace(history.traces[0].sample, queued=900),),
        )
    )

    assert (judge(evidence(history), NOW).cause, judge(evidence(history), NOW).action) == ("queue", Action.NONE)
    assert (judge(evidence(grown), NOW).cause, judge(evidence(grown), NOW).action) == ("queue", Action.SHED)


@pytest.mark.parametrize(
    ("story", "ping"), [(BLOCKED, Ping()), (SPINNING, SILENT), ({"stuck_s": 3.5, "cpu": 0.0}, Ping())]
)
def test_declared_long_work_is_no_hang_before_its_time_is_over(story: dict[str, Any], ping: Ping) -> None:
    leased = with_actor(watched(**story), lease_until=NOW + 4, lease_why="training")

    verdict = judge(evidence(leased, ping=ping), NOW)
    assert (verdict.kind, verdict.cause) == (VerdictKind.BUSY, "lease")
    assert "training" in verdict.reason
    over = with_actor(watched(**story), lease_until=NOW - 1)
    assert judge(evidence(over, ping=ping), NOW).cause != "lease"


def with_threads(history: History, *switches: int) -> History:
    """Two deep looks a second apart; each thread switched so often in between."""
    for at, times in ((NOW - 1, 0), (NOW, 1)):
        threads = tuple(
            ThreadSample(id=n, state="S", cpu_s=0.0, voluntary=100 + times * count) for n, count in enumerate(switches)
        )
        kernel = msgspec.structs.replace(
            history.kernel or KernelSample(state="S", started_ticks=1, cpu_s=0), per_thread=threads
        )
        history = msgspec.structs.replace(history, at=at).add(Look(at=at, incarnation=3, kernel=kernel))
    return history


@pytest.mark.parametrize(
    ("switches", "twins", "cause"),
    [
        ((0, 196, 197), 0, "gil-blocked"),
        ((0, 0, 183), 1, "gil-blocked"),
        ((0, 20, 2), 0, "loop-blocked"),  # nobody waits for the interpreter
        ((0, 20, 2), 1, "deadlock"),
        ((0,), 0, "gil-blocked"),  # one thread alone tells nothing
    ],
)
def test_threads_that_wait_for_the_interpreter_tell_a_held_one_from_a_deadlock(
    switches: tuple[int, ...], twins: int, cause: str
) -> None:
    history = with_threads(watched(**BLOCKED, twins=twins), *switches)

    verdict = judge(evidence(history, ping=SILENT), NOW)
    assert (verdict.kind, verdict.cause) == (VerdictKind.HUNG, cause), verdict.reason


def test_a_traced_child_is_left_alone() -> None:
    history = watched(**BLOCKED)
    assert history.kernel is not None
    traced = history.add(Look(at=NOW, incarnation=3, kernel=msgspec.structs.replace(history.kernel, traced=True)))

    assert (judge(evidence(traced), NOW).kind, judge(evidence(traced), NOW).cause) == (VerdictKind.UNSURE, "debug-hold")


FLAKY = CheckResult(
    child="feed", kind="http", target="http://127.0.0.1:1/health", ok=True, at=NOW - 1, every_s=1.0, asked=100, refused=5,
    episodes=4,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "kind", "cause"),
    [
        ({}, VerdictKind.CHECK_FAULT, "flaky"),
        ({"episodes": 2}, VerdictKind.HEALTHY, ""),  # twice is bad luck
        ({"episodes": 1, "refused": 50}, VerdictKind.HEALTHY, ""),  # it was down once, for long, and is back
        ({"ok": False, "failures": 1, "reason": "handler error"}, VerdictKind.CHECK_FAULT, "flaky"),
        ({"ok": False, "failures": 2, "reason": "handler error"}, VerdictKind.CHECK_FAULT, "handler error"),
    ],
)
def test_a_check_that_says_no_now_and_then_is_told_with_its_rate(
    changes: dict[str, Any], kind: VerdictKind, cause: str
) -> None:
    verdict = judge(evidence(watched(), checks=(msgspec.structs.replace(FLAKY, **changes),)), NOW)

    assert (verdict.kind, verdict.cause) == (kind, cause), verdict.reason
    if cause == "flaky":
        assert "5 of 100 questions, 4 times anew" in verdict.reason
        assert verdict.action is Action.STRIP_CHECK
