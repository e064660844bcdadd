# ruff: noqa: E501 - a table row is one line
"""How an end is judged: whose fault it was, whether it is a habit, who stands in the way."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from supervisor.verdict import Action, judge
from supervisor.verdict.evidence import Death, DependencySample, Holder, KernelSample, Look
from supervisor.verdict.fingerprint import told_apart
from supervisor.words import CrashRecord, ExitKind, ExitReason, State, VerdictKind
from tests.supervisor.test_judge import NOW, evidence, watched


def died(*exceptions: str, message: str = "", phase: str = "steady", in_hand: str = "", **fields: Any) -> ExitReason:
    crash = CrashRecord(
        phase=phase,
        exceptions=exceptions,
        message=message,
        frame="feed:run",
        location="feed.py:1",
        traceback="",
        in_hand_id=in_hand,
    )
    return ExitReason(kind=ExitKind.CRASHED, code=1, crash=crash, fingerprint="|".join(exceptions), **fields)


def killed(number: int, detail: str = "") -> ExitReason:
    return ExitReason(kind=ExitKind.KILLED, signal=number, detail=detail)


def deaths(*ways: str, worked: bool = False, every_s: float = 2.0, messages: tuple[str, ...] = ()) -> tuple[Death, ...]:
    count = len(ways)
    return tuple(
        Death(
            at=NOW - every_s * (count - 1 - n),
            fingerprint=way,
            prior="data" if messages else "",
            worked=worked,
            in_hand=messages[n] if messages else "",
        )
        for n, way in enumerate(ways)
    )


BUG = died("AttributeError", phase="import")
REFUSED = died("ConnectionRefusedError", message="[Errno 111] Connection refused")
BUSY_PORT = died("OSError", message="[Errno 98] Address already in use")
PARSE = died("JSONDecodeError", message="Expecting value")
OURS = Holder(what="port 127.0.0.1:8080", pid=77, name="feed", ours=True)
FOREIGN = Holder(what="port 127.0.0.1:8080", pid=78, name="nginx")

BACKING_OFF = [
    ("raised", {"last_exit": BUG}, VerdictKind.CRASHED, "exception", Action.NONE),
    ("killed from outside", {"last_exit": killed(signal.SIGKILL)}, VerdictKind.CRASHED, "foreign-kill", Action.NONE),
    ("terminated from outside", {"last_exit": killed(signal.SIGTERM)}, VerdictKind.CRASHED, "foreign-kill", Action.NONE),
    ("segmentation fault", {"last_exit": killed(signal.SIGSEGV)}, VerdictKind.CRASHED, "native", Action.NONE),
    ("killed by the kernel", {"last_exit": killed(signal.SIGKILL), "deaths": (Death(at=NOW - 1, fingerprint="", prior="", worked=True, oom=True),)}, VerdictKind.CRASHED, "oom", Action.NONE),
    ("left in mid-work", {"last_exit": ExitReason(kind=ExitKind.NORMAL, code=0)}, VerdictKind.CRASHED, "exit-0", Action.NONE),
    ("exit code", {"last_exit": ExitReason(kind=ExitKind.CRASHED, code=3)}, VerdictKind.CRASHED, "exit-code", Action.NONE),
    ("out of memory", {"last_exit": died("MemoryError")}, VerdictKind.EXHAUSTED, "memory", Action.ALERT),
    ("out of descriptors", {"last_exit": died("OSError", message="[Errno 24] Too many open files")}, VerdictKind.EXHAUSTED, "descriptors", Action.ALERT),
    ("disk full", {"last_exit": died("OSError", message="[Errno 28] No space left on device")}, VerdictKind.EXHAUSTED, "disk", Action.ALERT),
    ("file too large", {"last_exit": killed(signal.SIGXFSZ)}, VerdictKind.EXHAUSTED, "disk", Action.ALERT),
    ("CPU limit", {"last_exit": killed(signal.SIGXCPU)}, VerdictKind.EXHAUSTED, "cpu", Action.ALERT),
    ("no port free", {"last_exit": died("OSError", message="[Errno 99] Cannot assign requested address")}, VerdictKind.EXHAUSTED, "ports", Action.SHED),
    ("no thread", {"last_exit": died("RuntimeError", message="can't start new thread")}, VerdictKind.EXHAUSTED, "threads", Action.ALERT),
    ("refused", {"last_exit": REFUSED}, VerdictKind.UPSTREAM, "refused", Action.GATE),
    ("rate limited", {"last_exit": died("RateLimitExceeded", message="429")}, VerdictKind.UPSTREAM, "rate", Action.GATE),
    ("names", {"last_exit": died("ClientConnectorError", "gaierror")}, VerdictKind.UPSTREAM, "names", Action.GATE),
    ("certificate", {"last_exit": died("SSLCertVerificationError")}, VerdictKind.UPSTREAM, "tls", Action.GATE),
    ("maintenance", {"last_exit": died("OnMaintenance")}, VerdictKind.UPSTREAM, "planned", Action.GATE),
    ("a bare code while its database is away", {"last_exit": ExitReason(kind=ExitKind.CRASHED, code=1), "dependencies": (DependencySample(name="db", probe_ok=False),)}, VerdictKind.UPSTREAM, "down", Action.GATE),
    ("its venue sends what no parser reads", {"last_exit": told_apart(PARSE, leans=True)}, VerdictKind.UPSTREAM, "data", Action.GATE),
    ("a bug while its database is away", {"last_exit": BUG, "dependencies": (DependencySample(name="db", probe_ok=False),)}, VerdictKind.CRASHED, "exception", Action.NONE),
    ("port held by our orphan", {"last_exit": BUSY_PORT, "holders": (OURS,), "orphans": (77,)}, VerdictKind.CONFLICT, "own-orphan", Action.CLEAN),
    ("left-overs of the last life", {"last_exit": BUG, "orphans": (77,)}, VerdictKind.CONFLICT, "own-orphan", Action.CLEAN),
    ("port held by a stranger", {"last_exit": BUSY_PORT, "holders": (FOREIGN,)}, VerdictKind.CONFLICT, "foreign", Action.PARK),
    ("port held by a second copy", {"last_exit": BUSY_PORT, "holders": (Holder(what="lock", pid=5, name="feed"),)}, VerdictKind.CONFLICT, "double", Action.PARK),
    ("port held, nobody knows by whom", {"last_exit": BUSY_PORT}, VerdictKind.CONFLICT, "unknown-holder", Action.ALERT),
    ("the same message twice", {"last_exit": PARSE, "deaths": deaths("a", "a", messages=("x:Order:7", "x:Order:7"))}, VerdictKind.CRASH_LOOP, "poison", Action.QUARANTINE_MESSAGE),
    ("one bad message after the other", {"last_exit": PARSE, "deaths": deaths("a", "a", messages=("x:Tick:7", "x:Tick:8"))}, VerdictKind.UPSTREAM, "data", Action.QUARANTINE_MESSAGE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "kind", "cause", "action"), [row[1:] for row in BACKING_OFF], ids=[row[0] for row in BACKING_OFF]
)
def test_an_end_is_judged_by_its_last_words_and_by_what_stood_around(
    fields: dict[str, Any], kind: VerdictKind, cause: str, action: Action
) -> None:
    verdict = judge(evidence(state=State.RESTARTING, **fields), NOW)

    assert (verdict.kind, verdict.cause, verdict.action) == (kind, cause, action), verdict.reason


UNSTARTED = ExitReason(kind=ExitKind.START_FAILED, detail="/no/such/program cannot be started: [Errno 2]")
LOGIN = died("AuthenticationError", phase="init")
PARKED = [
    ("a bug at import", {"last_exit": BUG, "crash_loop": True}, VerdictKind.CRASH_LOOP, "code"),
    ("bad configuration", {"last_exit": died("KeyError", phase="init"), "crash_loop": True}, VerdictKind.CRASH_LOOP, "config"),
    ("refused login", {"last_exit": LOGIN, "crash_loop": True}, VerdictKind.CRASH_LOOP, "credential"),
    ("typed refusal", {"last_exit": ExitReason(kind=ExitKind.REFUSED, prior="credential")}, VerdictKind.CRASH_LOOP, "credential"),
    ("no such program", {"last_exit": UNSTARTED, "crash_loop": True}, VerdictKind.CRASH_LOOP, "spawn"),
    ("program not executable", {"last_exit": ExitReason(kind=ExitKind.START_FAILED, code=126), "crash_loop": True}, VerdictKind.CRASH_LOOP, "spawn"),
    ("two bugs in turn", {"last_exit": BUG, "crash_loop": True, "deaths": deaths(*"ababab")}, VerdictKind.CRASH_LOOP, "alternating"),
    ("one message", {"last_exit": BUG, "crash_loop": True, "deaths": deaths("a", "a", messages=("m", "m"))}, VerdictKind.CRASH_LOOP, "poison"),
    ("in native code", {"last_exit": killed(signal.SIGSEGV), "crash_loop": True}, VerdictKind.CRASH_LOOP, "native"),
    ("a stranger on its port", {"last_exit": BUSY_PORT, "crash_loop": True, "holders": (FOREIGN,)}, VerdictKind.CONFLICT, "foreign"),
    ("disk full", {"last_exit": died("OSError", message="No space left on device"), "crash_loop": True}, VerdictKind.EXHAUSTED, "disk"),
    ("budget spent", {"last_exit": BUG}, VerdictKind.CRASHED, "budget-spent"),
    ("budget spent on its database", {"last_exit": REFUSED}, VerdictKind.UPSTREAM, "refused"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "cause"), [row[1:] for row in PARKED], ids=[row[0] for row in PARKED])
def test_a_parked_child_is_told_why(fields: dict[str, Any], kind: VerdictKind, cause: str) -> None:
    verdict = judge(evidence(state=State.QUARANTINED, **fields), NOW)

    assert (verdict.kind, verdict.cause) == (kind, cause), verdict.reason


def test_the_same_death_after_useful_work_is_a_pattern_for_a_person_and_no_loop() -> None:
    often = deaths("AttributeError", "AttributeError", "AttributeError", worked=True, every_s=1800.0)

    verdict = judge(evidence(state=State.RESTARTING, last_exit=BUG, deaths=often), NOW)

    assert (verdict.kind, verdict.recurrent) == (VerdictKind.CRASHED, True)
    assert "every 1800 s" in verdict.reason
    assert not judge(evidence(state=State.RESTARTING, last_exit=BUG, deaths=often[:1]), NOW).recurrent


def test_a_kill_at_the_memory_limit_was_the_kernels() -> None:
    full = KernelSample(state="S", started_ticks=1, cpu_s=1.0, rss_mib=97.0, memory_limit_mib=100.0)
    history = watched().add(Look(at=NOW, incarnation=3, kernel=full))

    assert judge(evidence(history, state=State.RESTARTING, last_exit=killed(signal.SIGKILL)), NOW).cause == "oom"


def test_a_living_child_beside_its_own_orphan_is_a_conflict_and_the_orphan_goes() -> None:
    verdict = judge(evidence(orphans=(77,)), NOW)

    assert (verdict.kind, verdict.cause, verdict.action) == (VerdictKind.CONFLICT, "own-orphan", Action.CLEAN)


def test_a_killed_hang_keeps_its_cause_also_for_a_judge_who_did_not_see_it() -> None:
    end = ExitReason(kind=ExitKind.HUNG, signal=9, detail="gil-spin: no pong for 12 s")

    assert judge(evidence(state=State.RESTARTING, last_exit=end), NOW).cause == "gil-spin"
