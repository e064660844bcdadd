# ruff: noqa: E501 - a table row is one line
"""The judge: one row per rule and sub-cause, and what must hold for every evidence there can be."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.verdict import (
    SEEDS,
    Action,
    ActorSample,
    CheckResult,
    Evidence,
    History,
    KernelSample,
    Look,
    Observer,
    Ping,
    PromiseSample,
    Verdict,
    correlate,
    judge,
)
from supervisor.verdict.causes import CAUSES
from supervisor.verdict.correlation import Trial
from supervisor.verdict.evidence import POINTS
from supervisor.words import CrashRecord, ExitKind, ExitReason, State, VerdictKind

NOW = 10_000.0
STEP_S = 0.5
COSTLY = (Action.KILL, Action.RESTART)

WRONG_PORT = CheckResult(
    child="feed",
    kind="http",
    target="http://127.0.0.1:9/",
    ok=False,
    at=NOW - 1,
    reason="wrong port",
    detail="http://127.0.0.1:9/ refused while pid 123 listens on 8000",
    explained=True,
    failures=1,
)
UNEXPLAINED = msgspec.structs.replace(
    WRONG_PORT, reason="handler error", detail="answered 500", explained=False, failures=2
)
SERVER_GONE = msgspec.structs.replace(WRONG_PORT, reason="server gone", detail="pid 7 has ended")
PASSING = msgspec.structs.replace(WRONG_PORT, ok=True, reason="", detail="", explained=False, failures=0)
FRESH = PromiseSample(topic="Tick", at_least_every_s=2.0, last_at=NOW - 0.5)
BROKEN = PromiseSample(topic="Tick", at_least_every_s=2.0, last_at=NOW - 60)


def watched(
    *,
    watched_s: float = 60.0,
    stuck_s: float = 0.0,  # the loops stand still since then
    flat_s: float | None = None,  # nothing was finished since then; None: as the loops
    in_hand_s: float | None = None,
    queued: int = 0,
    queue_age_s: float = 0.0,
    progress_s: float | None = None,
    cpu: float = 0.05,
    run: float = 0.0,
    kernel: str = "S",
    kernel_s: float = 1e9,
    disk_s: float = 0.0,
    last_look_s: float = 0.0,
    others: int = 0,  # more actors in the node, all turning
    twins: int = 0,  # more actors in the node, in the same trouble
    vitals: bool = True,
) -> History:
    """What the root would remember of a child with this story, ending now."""
    history = History()
    steps = int(watched_s / STEP_S)
    for step in range(steps + 1):
        at = NOW - watched_s + step * STEP_S
        if at > NOW - last_look_s:
            break
        loops = int((min(at, NOW - stuck_s) - (NOW - watched_s)) * 10)
        finished = int((min(at, NOW - (stuck_s if flat_s is None else flat_s)) - (NOW - watched_s)) * 4)
        taken = None if in_hand_s is None or at < NOW - in_hand_s else NOW - in_hand_s
        sample = ActorSample(
            name="feed",
            loops=max(0, loops),
            handled=max(0, finished),
            queued=queued,
            in_hand_since=taken,
            last_progress=None if progress_s is None else NOW - progress_s,
            oldest_queued=NOW - queue_age_s if queued else None,
        )
        actors = [sample]
        actors += [msgspec.structs.replace(sample, name=f"twin{n}") for n in range(twins)]
        actors += [ActorSample(name=f"other{n}", loops=step, handled=step) for n in range(others)]
        history = history.add(
            Look(
                at=at,
                incarnation=3,
                kernel=KernelSample(
                    state=kernel if at >= NOW - kernel_s else "S",
                    started_ticks=1,
                    cpu_s=cpu * (at - NOW + watched_s),
                    run_delay_s=run * (at - NOW + watched_s),
                    uninterruptible=int(at >= NOW - disk_s and disk_s > 0),
                ),
                actors=tuple(actors) if vitals else (),
            )
        )
    return history


def evidence(history: History | None = None, **fields: Any) -> Evidence:
    base: dict[str, Any] = {
        "name": "feed",
        "state": State.READY,
        "state_since": NOW - 60,
        "incarnation": 3,
        "pid": 123,
        "history": watched() if history is None else history,
        "ping": Ping(answered_at=NOW - 0.2),
        "observer": Observer(valid_since=NOW - 3600),
    }
    return Evidence(**{**base, **fields})


SILENT = Ping(waiting_since=NOW - 30, answered_at=NOW - 31)
BLOCKED = {"stuck_s": 8.0, "in_hand_s": 8.0, "cpu": 0.0}
SPINNING = {**BLOCKED, "cpu": 0.97}

LIVE = [
    # --- it works
    ("works", {}, {}, VerdictKind.HEALTHY, "", Action.NONE),
    ("idle for hours", {"flat_s": 1e6}, {}, VerdictKind.HEALTHY, "idle", Action.NONE),
    ("idle, then one young message", {"flat_s": 1e6, "in_hand_s": 0.3}, {}, VerdictKind.HEALTHY, "idle", Action.NONE),
    ("idle, then one young message in the queue", {"flat_s": 1e6, "queued": 1, "queue_age_s": 0.3}, {}, VerdictKind.HEALTHY, "idle", Action.NONE),
    ("ping lost while the observer was blind", {}, {"ping": SILENT, "observer": Observer(valid_since=NOW - 2)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("never pinged", {}, {"ping": Ping()}, VerdictKind.HEALTHY, "", Action.NONE),
    ("promise kept", {}, {"promises": (FRESH,)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("promise of the first seconds", {}, {"promises": (BROKEN,), "state_since": NOW - 1, }, VerdictKind.HEALTHY, "", Action.NONE),
    # --- it works and is late
    ("queue", {"queued": 90, "queue_age_s": 4}, {}, VerdictKind.BUSY, "queue", Action.NONE),
    ("queue on a loaded host", {"queued": 90, "queue_age_s": 4, "run": 0.9, "cpu": 0.1}, {}, VerdictKind.BUSY, "starved", Action.NONE),
    ("long message", {"stuck_s": 4, "in_hand_s": 4}, {}, VerdictKind.BUSY, "long-message", Action.NONE),
    ("long message with progress", {**BLOCKED, "progress_s": 1.0}, {}, VerdictKind.BUSY, "long-message", Action.NONE),
    ("starved", {**BLOCKED, "run": 0.95, "cpu": 0.01}, {}, VerdictKind.BUSY, "starved", Action.NONE),
    ("starved for a moment", {"stuck_s": 4, "run": 0.95, "cpu": 0.01}, {}, VerdictKind.BUSY, "starved", Action.NONE),
    ("native call", SPINNING, {"ping": SILENT}, VerdictKind.BUSY, "gil-held", Action.NONE),
    ("native call, ping sent a second after it began", SPINNING, {"ping": Ping(waiting_since=NOW - 4, answered_at=NOW - 8.1)}, VerdictKind.BUSY, "gil-held", Action.NONE),
    ("waits for the disk", {**BLOCKED, "disk_s": 7}, {}, VerdictKind.BUSY, "disk-wait", Action.NONE),
    ("promise broken", {}, {"promises": (BROKEN,)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    # --- the check
    ("wrong port", {}, {"checks": (WRONG_PORT,)}, VerdictKind.CHECK_FAULT, "wrong port", Action.STRIP_CHECK),
    ("wrong port, idle", {"flat_s": 1e6}, {"checks": (WRONG_PORT,)}, VerdictKind.CHECK_FAULT, "wrong port", Action.STRIP_CHECK),
    ("red but working", {}, {"checks": (UNEXPLAINED,)}, VerdictKind.CHECK_FAULT, "handler error", Action.STRIP_CHECK),
    ("red and idle", {"flat_s": 1e6}, {"checks": (UNEXPLAINED,)}, VerdictKind.UNSURE, "check-unexplained", Action.NONE),
    ("red, worked half a minute ago", {"flat_s": 30}, {"checks": (UNEXPLAINED,)}, VerdictKind.UNSURE, "check-unexplained", Action.NONE),
    ("red once", {}, {"checks": (msgspec.structs.replace(UNEXPLAINED, failures=1),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("red long ago", {}, {"checks": (msgspec.structs.replace(WRONG_PORT, at=NOW - 50),)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("red before this life", {}, {"checks": (WRONG_PORT,), "state_since": NOW - 0.5}, VerdictKind.HEALTHY, "", Action.NONE),
    ("green while hung", BLOCKED, {"checks": (PASSING,)}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    # --- it hangs
    ("blocked", BLOCKED, {}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("blocked, node unpinged", BLOCKED, {"ping": Ping()}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("blocked, ports busy", {**BLOCKED, "cpu": 0.2}, {}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("blocked while idle", {"stuck_s": 8, "cpu": 0}, {}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
    ("blocked, others work", {**BLOCKED, "others": 2}, {}, VerdictKind.HUNG, "actor-stuck", Action.RESTART),
    ("two blocked together", {**BLOCKED, "twins": 1}, {}, VerdictKind.HUNG, "deadlock", Action.KILL),
    ("spinning", SPINNING, {}, VerdictKind.HUNG, "livelock", Action.KILL),
    ("spinning on a full host", {**SPINNING, "cpu": 0.5, "run": 0.5}, {}, VerdictKind.HUNG, "livelock", Action.KILL),
    ("GIL blocked", BLOCKED, {"ping": SILENT}, VerdictKind.HUNG, "gil-blocked", Action.KILL),
    ("GIL blocked while idle", {"stuck_s": 8, "cpu": 0}, {"ping": SILENT}, VerdictKind.HUNG, "gil-blocked", Action.KILL),
    ("GIL spinning", {**SPINNING, "stuck_s": 11, "in_hand_s": 11}, {"ping": SILENT}, VerdictKind.HUNG, "gil-spin", Action.KILL),
    ("stopped", {"stuck_s": 2, "kernel": "T", "kernel_s": 2}, {}, VerdictKind.HUNG, "stopped", Action.CONTINUE),
    ("stopped for a blink", {"kernel": "T", "kernel_s": 0.2}, {}, VerdictKind.HEALTHY, "", Action.NONE),
    ("uninterruptible", {**BLOCKED, "stuck_s": 12, "disk_s": 12, "kernel": "D"}, {}, VerdictKind.HUNG, "uninterruptible", Action.KILL),
    ("D in a side thread", {"disk_s": 12}, {}, VerdictKind.HEALTHY, "", Action.NONE),
    # --- it cannot be told
    ("traced", {**BLOCKED, "kernel": "t"}, {}, VerdictKind.UNSURE, "debug-hold", Action.NONE),
    ("zombie", {**BLOCKED, "kernel": "Z"}, {}, VerdictKind.UNSURE, "exit-pending", Action.NONE),
    ("spins without work", {"stuck_s": 8, "cpu": 0.9}, {}, VerdictKind.UNSURE, "livelock", Action.NONE),
    ("loop silent", {"stuck_s": 4}, {}, VerdictKind.UNSURE, "loop-silent", Action.NONE),
    ("main thread silent", {}, {"ping": SILENT}, VerdictKind.DEGRADED, "main-thread-silent", Action.NONE),
    ("takes no work", {"flat_s": 30, "queued": 5, "queue_age_s": 20}, {}, VerdictKind.UNSURE, "takes-no-work", Action.NONE),
    ("blocked but producing", BLOCKED, {"promises": (FRESH,)}, VerdictKind.UNSURE, "loop-blocked", Action.NONE),
    ("a silent program", {"vitals": False}, {"ping": SILENT}, VerdictKind.UNSURE, "main-thread-silent", Action.NONE),
    ("no witness", {"vitals": False}, {"ping": Ping()}, VerdictKind.UNSURE, "no-witness", Action.NONE),
    ("never looked at", None, {}, VerdictKind.UNSURE, "no-look", Action.NONE),
    ("look at a former life", {}, {"incarnation": 4}, VerdictKind.UNSURE, "no-look", Action.NONE),
    # --- a program without vitals
    ("check only", {"vitals": False}, {"ping": Ping(), "checks": (PASSING,)}, VerdictKind.HEALTHY, "", Action.NONE),
    ("red check only", {"vitals": False}, {"ping": Ping(), "checks": (UNEXPLAINED,)}, VerdictKind.UNSURE, "check-unexplained", Action.NONE),
    ("wrong check only", {"vitals": False}, {"ping": Ping(), "checks": (WRONG_PORT,)}, VerdictKind.CHECK_FAULT, "wrong port", Action.STRIP_CHECK),
    ("produces, and was not seen to turn yet", {"watched_s": 0.5, "stuck_s": 1.0}, {"promises": (FRESH,), "state_since": NOW, "observer": Observer(valid_since=NOW)}, VerdictKind.HEALTHY, "idle", Action.NONE),
    ("a shell whose program has ended", {"vitals": False}, {"ping": Ping(), "checks": (SERVER_GONE,)}, VerdictKind.CONFLICT, "wrapper", Action.ALERT),
    ("promise only", {"vitals": False}, {"ping": Ping(), "promises": (BROKEN,)}, VerdictKind.DEGRADED, "stale", Action.NONE),
    # --- we cannot tell, and it is our fault
    ("late observer", BLOCKED, {"observer": Observer(valid_since=NOW + 2, stall_s=9)}, VerdictKind.OBSERVER_STALL, "settling", Action.VOID),
    ("old look", {"last_look_s": 6}, {}, VerdictKind.OBSERVER_STALL, "no-look", Action.VOID),
    ("observer just settled", BLOCKED, {"observer": Observer(valid_since=NOW - 2)}, VerdictKind.UNSURE, "not-seen-yet", Action.NONE),
    ("first look ever", {"watched_s": 0.0}, {}, VerdictKind.UNSURE, "not-seen-yet", Action.NONE),
    ("observer under load", BLOCKED, {"observer": Observer(factor=2.0)}, VerdictKind.BUSY, "long-message", Action.NONE),
    # --- the child's own limit
    ("patient child", BLOCKED, {"hang_after_s": 30.0}, VerdictKind.BUSY, "long-message", Action.NONE),
    ("impatient child", {"stuck_s": 1.5, "in_hand_s": 1.5, "cpu": 0}, {"hang_after_s": 1.0}, VerdictKind.HUNG, "loop-blocked", Action.KILL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("story", "fields", "kind", "cause", "action"), [row[1:] for row in LIVE], ids=[row[0] for row in LIVE]
)
def test_a_ready_child_gets_the_verdict_of_its_story(
    story: dict[str, Any] | None, fields: dict[str, Any], kind: VerdictKind, cause: str, action: Action
) -> None:
    verdict = judge(evidence(History() if story is None else watched(**story), **fields), NOW)

    assert (verdict.kind, verdict.cause, verdict.action) == (kind, cause, action), verdict.reason


QUIET = {"stuck_s": 1e6, "cpu": 0.0}
STARTING = [
    ("young", State.RUNNING, 5.0, {"watched_s": 5.0, **QUIET}, VerdictKind.STARTING, "", Action.NONE),
    ("spawned, never looked at", State.STARTING, 5.0, None, VerdictKind.STARTING, "", Action.NONE),
    ("quiet inside its budget", State.RUNNING, 40.0, QUIET, VerdictKind.STARTING, "quiet", Action.NONE),
    ("over its budget, uses CPU", State.RUNNING, 90.0, {**QUIET, "cpu": 0.5}, VerdictKind.STARTING, "", Action.NONE),
    ("over its budget, marks progress", State.RUNNING, 90.0, {**QUIET, "progress_s": 3}, VerdictKind.STARTING, "", Action.NONE),
    ("over its budget, starved", State.RUNNING, 90.0, {**QUIET, "run": 0.9}, VerdictKind.STARTING, "contention", Action.NONE),
    ("over its budget, quiet", State.RUNNING, 90.0, QUIET, VerdictKind.HUNG, "startup-hang", Action.KILL),
    ("ten budgets, still moving", State.RUNNING, 700.0, {**QUIET, "cpu": 0.5}, VerdictKind.HUNG, "startup-hang", Action.KILL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "age_s", "story", "kind", "cause", "action"),
    [row[1:] for row in STARTING],
    ids=[row[0] for row in STARTING],
)
def test_a_starting_child_is_left_alone_within_its_budget(
    state: State, age_s: float, story: dict[str, Any] | None, kind: VerdictKind, cause: str, action: Action
) -> None:
    history = History() if story is None else watched(**{"watched_s": age_s, **story})

    verdict = judge(evidence(history, state=state, state_since=NOW - age_s), NOW)

    assert (verdict.kind, verdict.cause, verdict.action) == (kind, cause, action), verdict.reason


def test_a_start_that_declared_long_work_is_left_alone_until_that_is_over() -> None:
    history = watched(watched_s=90.0, **QUIET)
    sample = history.traces[0].sample

    def at(lease_until: float) -> Verdict:
        said = msgspec.structs.replace(sample, lease_until=lease_until, lease_why="loads the model")
        told = history.add(Look(at=NOW, incarnation=3, actors=(said,)))
        return judge(evidence(told, state=State.RUNNING, state_since=NOW - 90.0), NOW)

    leased = at(NOW + 40.0)
    assert (leased.kind, leased.action) == (VerdictKind.STARTING, Action.NONE)
    assert "declared long work (loads the model), allowed for 40.0 s yet" in leased.reason
    assert at(NOW - 1.0).cause == "startup-hang"


BUG = ExitReason(
    kind=ExitKind.START_FAILED,
    code=1,
    fingerprint="init | code 1 | AttributeError | bridge:start",
    crash=CrashRecord(
        phase="init",
        exceptions=("AttributeError",),
        message="'Bridge' has no attribute 'start'",
        frame="bridge:start",
        location="bridge.py:41",
        traceback="",
    ),
)
DOWN = [
    ("stopped as asked", {"state": State.STOPPED, "desired_up": False}, VerdictKind.STOPPED, ""),
    ("stopping as asked", {"state": State.STOPPING, "desired_up": False}, VerdictKind.STOPPED, "stopping"),
    ("asked to stop, not begun", {"state": State.READY, "desired_up": False}, VerdictKind.STOPPED, "stopping"),
    ("being restarted", {"state": State.STOPPING}, VerdictKind.STOPPED, "stopping"),
    ("temporary, ended", {"state": State.STOPPED, "last_exit": ExitReason(kind=ExitKind.NORMAL, code=0)}, VerdictKind.STOPPED, "ended"),
    ("waits", {"state": State.WAITING}, VerdictKind.STARTING, "waiting"),
    ("crash loop", {"state": State.QUARANTINED, "crash_loop": True, "last_exit": BUG}, VerdictKind.CRASH_LOOP, "code"),
    ("budget spent", {"state": State.QUARANTINED, "last_exit": BUG}, VerdictKind.CRASHED, "budget-spent"),
    ("crashed", {"state": State.RESTARTING, "last_exit": BUG}, VerdictKind.CRASHED, "exception"),
    ("exit code", {"state": State.RESTARTING, "last_exit": ExitReason(kind=ExitKind.CRASHED, code=3)}, VerdictKind.CRASHED, "exit-code"),
    ("foreign kill", {"state": State.RESTARTING, "last_exit": ExitReason(kind=ExitKind.KILLED, signal=signal.SIGKILL)}, VerdictKind.CRASHED, "foreign-kill"),
    ("native crash", {"state": State.RESTARTING, "last_exit": ExitReason(kind=ExitKind.KILLED, signal=signal.SIGSEGV)}, VerdictKind.CRASHED, "native"),
    ("start timeout", {"state": State.RESTARTING, "last_exit": ExitReason(kind=ExitKind.START_TIMEOUT)}, VerdictKind.CRASHED, "start-timeout"),
    ("convicted", {"state": State.RESTARTING, "last_exit": ExitReason(kind=ExitKind.HUNG, signal=signal.SIGKILL)}, VerdictKind.HUNG, "convicted"),
    ("unknown end", {"state": State.RESTARTING}, VerdictKind.CRASHED, "unknown"),
    ("zombie thread", {"state": State.ZOMBIE}, VerdictKind.HUNG, "zombie"),
    ("exit seen by a late observer", {"state": State.RESTARTING, "last_exit": BUG, "observer": Observer(valid_since=NOW + 5)}, VerdictKind.CRASHED, "exception"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "cause"), [row[1:] for row in DOWN], ids=[row[0] for row in DOWN])
def test_a_child_that_is_down_is_judged_by_its_exit_and_nothing_is_done_to_it(
    fields: dict[str, Any], kind: VerdictKind, cause: str
) -> None:
    verdict = judge(evidence(**fields), NOW)

    assert (verdict.kind, verdict.cause) == (kind, cause), verdict.reason
    assert verdict.action in (Action.NONE, Action.PARK)


def test_the_reason_of_a_check_fault_is_a_sentence_with_the_proof_on_both_sides() -> None:
    verdict = judge(evidence(checks=(WRONG_PORT,)), NOW)

    assert verdict.reason == (
        "CHECK_FAULT wrong port: http://127.0.0.1:9/ refused while pid 123 listens on 8000; "
        "function works (40 messages in 10 s, pings answered)"
    )
    assert verdict.withheld == "restart: the check is at fault, not the child"


def test_a_crash_loop_names_the_fingerprint_and_the_last_words() -> None:
    verdict = judge(evidence(state=State.QUARANTINED, crash_loop=True, last_exit=BUG), NOW)

    assert "AttributeError: 'Bridge' has no attribute 'start' (bridge.py:41)" in verdict.reason
    assert verdict.evidence_for == ("fingerprint init | code 1 | AttributeError | bridge:start",)


def test_a_conviction_names_two_witnesses_and_a_killed_child_keeps_its_cause_while_down() -> None:
    hung = judge(evidence(watched(**BLOCKED)), NOW)
    assert [sentence.partition(":")[0] for sentence in hung.evidence_for] == ["kernel", "loop", "function"]
    assert hung.evidence_against == ()

    killed = ExitReason(kind=ExitKind.HUNG, signal=signal.SIGKILL)
    down = judge(evidence(state=State.RESTARTING, last_exit=killed), NOW + 1, hung)
    assert (down.kind, down.cause, down.action) == (VerdictKind.HUNG, "loop-blocked", Action.NONE)


def test_a_green_verdict_names_its_witnesses_too() -> None:
    verdict = judge(evidence(watched()), NOW)

    assert verdict.kind is VerdictKind.HEALTHY
    witnesses = [sentence.partition(":")[0] for sentence in verdict.evidence_for]
    assert {"kernel", "interpreter", "loop", "function"} <= set(witnesses)


def test_since_lasts_as_long_as_the_kind_and_the_cause_has_its_own() -> None:
    first = judge(evidence(), NOW)
    idle = judge(evidence(watched(flat_s=1e6)), NOW + 1, first)
    hung = judge(evidence(watched(**BLOCKED)), NOW + 2, idle)

    assert (idle.since, idle.cause_since) == (NOW, NOW + 1)
    assert (hung.since, hung.cause_since) == (NOW + 2, NOW + 2)


def test_a_stopped_child_is_told_to_continue_first_and_killed_only_when_it_stays_stopped() -> None:
    def stopped(seconds: float) -> Evidence:
        return evidence(watched(stuck_s=seconds, kernel="T", kernel_s=seconds))

    first = judge(stopped(2), NOW)
    soon = judge(stopped(6), NOW, msgspec.structs.replace(first, cause_since=NOW - 4))
    last = judge(stopped(8), NOW, msgspec.structs.replace(soon, cause_since=NOW - 6))
    ever = judge(stopped(9), NOW, msgspec.structs.replace(last, kind=VerdictKind.UNSURE, cause_since=NOW - 7))

    assert [v.action for v in (first, soon, last, ever)] == [Action.CONTINUE, Action.CONTINUE, Action.KILL, Action.KILL]
    assert soon.withheld.startswith("dump+kill: SIGCONT comes first")


def test_the_time_a_blind_observer_waited_for_a_continue_does_not_count() -> None:
    before = judge(evidence(watched(stuck_s=2, kernel="T", kernel_s=2)), NOW)
    long_ago = msgspec.structs.replace(before, cause_since=NOW - 60)

    told = evidence(watched(stuck_s=60, kernel="T", kernel_s=60), observer=Observer(valid_since=NOW - 4))

    assert judge(told, NOW, long_ago).action is Action.CONTINUE


def test_a_starting_child_nobody_looked_at_is_not_convicted_by_its_silence() -> None:
    verdict = judge(evidence(History(), state=State.RUNNING, state_since=NOW - 700, ping=SILENT), NOW)

    assert (verdict.kind, verdict.action) == (VerdictKind.UNSURE, Action.NONE)
    assert "it was watched for 0.0 s only" in verdict.withheld


def test_a_livelock_on_a_starved_host_is_convicted_once_it_used_its_limit_of_cpu_time() -> None:
    short = {**SPINNING, "stuck_s": 20, "in_hand_s": 20, "cpu": 0.1, "run": 0.9}

    assert judge(evidence(watched(**short)), NOW).cause == "starved"
    long = judge(evidence(watched(**{**short, "stuck_s": 55, "in_hand_s": 55})), NOW)
    assert (long.cause, long.action) == ("livelock", Action.KILL)


def test_a_child_nobody_watched_for_the_whole_window_is_not_convicted() -> None:
    verdict = judge(evidence(watched(watched_s=3.0, stuck_s=1e6, kernel="T")), NOW, judge(evidence(), NOW - 60))

    assert verdict.action not in COSTLY


# --- the history ----------------------------------------------------------------------------------------------------


def test_a_history_is_bounded_and_forgets_a_former_incarnation() -> None:
    history = watched(watched_s=300.0)
    assert len(history.points) == POINTS

    reborn = history.add(Look(at=NOW + 1, incarnation=4, actors=(ActorSample(name="feed", loops=1, handled=0),)))
    assert (reborn.incarnation, reborn.points, len(reborn.traces)) == (4, (), 1)
    assert reborn.traces[0].first_at == NOW + 1


def test_cpu_shares_of_a_past_moment_are_not_those_of_now() -> None:
    history = watched(cpu=0.97)
    for step in range(1, 20):
        sample = history.traces[0].sample
        history = history.add(Look(at=NOW + step * STEP_S, incarnation=3, actors=(sample,)))

    assert "CPU unknown" in judge(evidence(history, hang_after_s=30.0), NOW + 9.5).reason


def test_a_kernel_state_of_a_past_moment_is_not_that_of_now() -> None:
    history = watched(kernel="T", kernel_s=5)
    for step in range(1, 20):
        sample = ActorSample(name="feed", loops=10_000 + step, handled=step)
        history = history.add(Look(at=NOW + step * STEP_S, incarnation=3, actors=(sample,)))

    assert judge(evidence(history), NOW + 9.5).kind is VerdictKind.HEALTHY


def test_many_looks_within_a_moment_do_not_push_the_past_out() -> None:
    history = watched()
    for step in range(1000):
        history = history.add(
            Look(at=NOW + step * 1e-4, incarnation=3, kernel=KernelSample(state="S", started_ticks=1, cpu_s=9.0))
        )

    assert history.points[0].at <= NOW - 15


def test_an_older_look_changes_nothing() -> None:
    history = watched()

    assert (
        history.add(Look(at=NOW - 5, incarnation=3, kernel=KernelSample(state="T", started_ticks=1, cpu_s=0)))
        is history
    )


# --- the observer ---------------------------------------------------------------------------------------------------


def test_a_late_tick_voids_the_window_stretches_the_limits_and_clean_time_eases_them() -> None:
    late = Observer().tick(due=NOW, now=NOW + 8)
    assert late.valid_since == NOW + 8 + 5  # half the stall and two beats
    assert late.factor == 2.0

    on_time = late.tick(due=NOW + 20, now=NOW + 20.01)
    assert (on_time.valid_since, on_time.factor) == (late.valid_since, 2.0)
    assert late.tick(due=NOW + 24, now=NOW + 24).factor == 1.0


@pytest.mark.parametrize(("late_s", "asleep_s", "void"), [(0.4, 0, False), (0.6, 0, True), (0.0, 600, True)])
def test_what_voids_a_window(late_s: float, asleep_s: float, void: bool) -> None:
    assert (Observer().tick(NOW, NOW + late_s, asleep_s=asleep_s).valid_since > NOW) is void


@given(st.lists(st.floats(0, 100), max_size=40))
def test_the_local_health_factor_and_the_settling_time_stay_bounded(lates: list[float]) -> None:
    observer, now = Observer(), NOW
    for late in lates:
        now += 0.1 + late
        observer = observer.tick(now - late, now)
        assert 1.0 <= observer.factor <= 8.0
        assert observer.valid_since <= now + 15


# --- many at once ---------------------------------------------------------------------------------------------------


def hung(name: str, since: float = NOW, action: Action = Action.KILL) -> Verdict:
    return Verdict(
        name=name, kind=VerdictKind.HUNG, cause="actor-stuck", reason="…", since=since, cause_since=since,
        action=action, next_review=NOW,
    )  # fmt: skip


def fine(name: str) -> Verdict:
    return Verdict(name=name, kind=VerdictKind.HEALTHY, reason="…", since=0, cause_since=0, next_review=NOW)


@pytest.mark.parametrize(
    ("suspects", "healthy", "acted"),
    [
        ([0.0], 0, 1),  # one child alone is acted on
        ([0.0], 5, 1),
        ([0.0, 0.5], 4, 2),  # two of six are no crowd
        ([0.0, 0.5], 2, 0),
        ([0.0, 0.5, 2.0], 3, 0),
        ([0.0, 0.5, 2.0], 4, 3),
        ([0.0, 9.0, 18.0], 0, 3),  # one after another is not together
        ([0.0, 9.0, 9.5, 10.0], 2, 1),  # the crowd is held, the straggler is not
    ],
)
def test_half_of_the_children_at_once_are_not_acted_on_singly(suspects: list[float], healthy: int, acted: int) -> None:
    verdicts = {f"s{n}": hung(f"s{n}", NOW + at) for n, at in enumerate(suspects)}
    verdicts |= {f"h{n}": fine(f"h{n}") for n in range(healthy)}

    result = correlate(verdicts, NOW + max(suspects))

    assert sum(v.action is Action.KILL for v in result.values()) == acted
    held = [v for v in result.values() if v.kind is VerdictKind.HUNG and v.action is Action.NONE]
    assert all(v.withheld.startswith("dump+kill: ") and "look at what they share first" in v.withheld for v in held)


def test_a_crowd_that_stays_suspect_is_tried_out_on_the_first_accused_alone() -> None:
    verdicts = {name: hung(name, NOW + at) for name, at in (("b", 0.0), ("a", 0.5), ("c", 1.0))}

    assert {n for n, v in correlate(verdicts, NOW + 10.9).items() if v.action is Action.KILL} == set()
    assert {n for n, v in correlate(verdicts, NOW + 11).items() if v.action is Action.KILL} == {"b"}


def crowd(at: float, trial: Trial, new_life: Verdict | None, *rest: str) -> dict[str, Action]:
    """What becomes of the rest of a crowd of three when `b` was tried out at NOW + 11."""
    verdicts = {name: hung(name, NOW + 0.5) for name in rest}
    if new_life is not None:
        verdicts["b"] = new_life
    return {name: v.action for name, v in correlate(verdicts, at, trial=trial).items() if name in rest}


def test_the_result_of_the_one_that_was_tried_out_decides_about_the_others() -> None:
    trial = Trial("b", NOW + 11)
    well = msgspec.structs.replace(fine("b"), since=NOW + 12)
    rest = ("a", "c")

    held = dict.fromkeys(rest, Action.NONE)
    assert crowd(NOW + 11.25, trial, None, *rest) == held  # it is down: nobody else is tried meanwhile
    assert crowd(NOW + 13, trial, well, *rest) == held  # well, but not for long enough
    assert crowd(NOW + 15, trial, well, *rest) == dict.fromkeys(rest, Action.KILL)  # a restart helps
    again = hung("b", NOW + 17)
    assert crowd(NOW + 18, trial, again, *rest) == held  # it does not
    assert crowd(NOW + 21, trial, again, *rest) == {"a": Action.KILL, "c": Action.NONE}  # then the next alone


def test_an_old_trial_says_nothing_about_a_new_crowd() -> None:
    trial = Trial("b", NOW - 600)
    verdicts = {name: hung(name, NOW) for name in "acd"} | {"b": msgspec.structs.replace(fine("b"), since=NOW - 590)}

    assert {v.action for name, v in correlate(verdicts, NOW + 1, trial=trial).items() if name != "b"} == {Action.NONE}


def test_a_crowd_may_still_be_told_to_continue() -> None:
    verdicts = {name: hung(name, action=Action.CONTINUE) for name in "abc"}

    assert correlate(verdicts, NOW) == verdicts


# -- time scale ------------------------------------------------------------------------------------------------------


def test_a_house_that_lives_ten_times_faster_has_a_tenth_of_every_limit_but_those_of_physics() -> None:
    fast = SEEDS.scaled(0.1)
    assert fast.suspect_s == pytest.approx(0.3)
    assert fast.gil_s == pytest.approx(1.0)
    assert fast.late_s == 0.25
    assert fast.shares_s == 0.15
    assert fast.cpu_spin == SEEDS.cpu_spin
    assert fast.factor_max == SEEDS.factor_max
    assert SEEDS.scaled(1.0) == SEEDS


@pytest.mark.parametrize(("scale", "kind"), [(1.0, VerdictKind.BUSY), (0.5, VerdictKind.HUNG)])
def test_the_same_silence_is_judged_by_the_limits_of_its_house(scale: float, kind: VerdictKind) -> None:
    told = evidence(watched(stuck_s=4.0, in_hand_s=4.0, cpu=0.0), timing=SEEDS.scaled(scale))
    assert judge(told, NOW).kind is kind


def test_every_cause_word_is_explained_to_the_operator() -> None:
    page = (Path(__file__).parents[2] / "docs" / "health.md").read_text()
    table = page.partition("\n## Causes\n")[2].partition("\n## ")[0]
    rows = {row.split("`")[1]: row for row in table.splitlines() if row.startswith("| `")}
    missing = [
        (kind, word)
        for kind, words in CAUSES.items()
        for word in words
        if word
        and f"`{word}`" not in rows[kind]
        and not (kind is VerdictKind.UNSURE and word in CAUSES[VerdictKind.HUNG])
    ]
    assert not missing


def asleep(history: History, wchan: str) -> History:
    assert history.kernel is not None
    kernel = msgspec.structs.replace(history.kernel, wchan=wchan)
    return history.add(Look(at=NOW, incarnation=3, kernel=kernel))


def test_where_one_stands_still_the_kernel_tells_what_it_waits_for() -> None:
    stuck = asleep(watched(**BLOCKED), "poll_schedule_timeout, do_epoll_wait, anon_pipe_write")
    hung = judge(evidence(stuck), NOW)
    assert hung.kind is VerdictKind.HUNG
    assert any("(asleep in anon_pipe_write)" in one for one in hung.evidence_for), hung.evidence_for

    disk = asleep(watched(**BLOCKED, kernel="D", disk_s=20.0), "folio_wait_bit")
    assert "asleep in folio_wait_bit" in judge(evidence(disk), NOW).reason

    only_waits = judge(evidence(asleep(watched(**BLOCKED), "do_epoll_wait")), NOW)
    assert any("asleep in do_epoll_wait" in one for one in only_waits.evidence_for)

    turning = judge(evidence(asleep(watched(), "do_epoll_wait")), NOW)
    assert turning.kind is VerdictKind.HEALTHY
    assert not any("asleep" in one for one in turning.evidence_for)


def test_each_witness_is_told_with_its_age() -> None:
    kept = msgspec.structs.replace(FRESH, at_least_every_s=5.0)
    told = judge(evidence(promises=(kept,), checks=(PASSING,)), NOW + 2).evidence_for

    assert any(one.startswith("kernel: ") and one.endswith(", read 2.0 s ago") for one in told), told
    assert "check: http://127.0.0.1:9/ answered as declared 3.0 s ago" in told
    assert "promise: Tick is kept, last 2.5 s ago" in told


def test_a_reading_of_the_kernel_that_is_too_old_to_count_is_told_as_that() -> None:
    history = watched()
    last = msgspec.structs.replace(history.traces[0].sample, loops=10**6)
    told = judge(evidence(history.add(Look(at=NOW + 12, incarnation=3, actors=(last,)))), NOW + 12)

    assert "kernel: read 12.0 s ago, too long ago to count" in told.evidence_for


def test_a_failing_check_that_is_the_only_witness_is_told_with_its_age() -> None:
    told = judge(evidence(watched(vitals=False), checks=(WRONG_PORT,)), NOW)

    assert told.kind is VerdictKind.CHECK_FAULT
    assert told.evidence_for[0].endswith("1.0 s ago")
