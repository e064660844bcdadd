"""Restart types, strategies and readiness as tables."""

from __future__ import annotations

import pytest

from supervisor.policy import restart
from supervisor.policy.restart import Next
from supervisor.spec import OTP, Law
from supervisor.words import AutoShutdown, CrashRecord, ExitKind, ExitReason, Restart, State, Strategy

OURS = Law()


def crashed(*, retryable: bool = True) -> ExitReason:
    record = CrashRecord(
        phase="init", exceptions=("E",), message="", frame="", location="", traceback="", retryable=retryable
    )
    return ExitReason(kind=ExitKind.CRASHED, crash=record)


@pytest.mark.parametrize("kind", list(ExitKind))
def test_permanent_always_transient_when_abnormal_temporary_never(kind: ExitKind) -> None:
    expected = kind in (ExitKind.NORMAL, ExitKind.SHUTDOWN)
    assert {restart_type: kind in due for restart_type, due in restart.DUE.items()} == {
        Restart.PERMANENT: True,
        Restart.TRANSIENT: not expected,
        Restart.TEMPORARY: False,
    }


@pytest.mark.parametrize(
    ("type_", "reason", "safety", "looping", "becomes"),
    [
        (Restart.PERMANENT, crashed(), False, False, Next.RESTART),
        (Restart.PERMANENT, crashed(), False, True, Next.CRASH_LOOP),
        (Restart.PERMANENT, crashed(), True, True, Next.RESTART),
        (Restart.PERMANENT, crashed(retryable=False), False, False, Next.REFUSED),
        (Restart.PERMANENT, crashed(retryable=False), False, True, Next.REFUSED),
        (Restart.PERMANENT, crashed(retryable=False), True, False, Next.RESTART),
        (Restart.TRANSIENT, ExitReason(kind=ExitKind.REFUSED), False, False, Next.REFUSED),
        (Restart.TRANSIENT, ExitReason(kind=ExitKind.NORMAL), False, True, Next.END),
        (Restart.TRANSIENT, ExitReason(kind=ExitKind.MAX_RESTARTS), False, False, Next.RESTART),
        (Restart.TEMPORARY, ExitReason(kind=ExitKind.REFUSED), False, False, Next.END),
        (Restart.TEMPORARY, crashed(), True, False, Next.END),
    ],
)
def test_after_an_exit(type_: Restart, reason: ExitReason, safety: bool, looping: bool, becomes: Next) -> None:
    assert restart.after_exit(type_, reason, safety=safety, looping=looping, law=OURS) is becomes


@pytest.mark.parametrize("kind", list(ExitKind))
def test_an_end_before_ready_is_a_failed_start_unless_it_says_something_stronger(kind: ExitKind) -> None:
    reason = ExitReason(kind=kind, code=3, fingerprint="f")
    renamed = restart.classify(reason, was_ready=False, asked=False, sentence=None, law=OURS)
    assert renamed.kind is (ExitKind.START_FAILED if kind in (ExitKind.CRASHED, ExitKind.NORMAL) else kind)
    assert (renamed.code, renamed.fingerprint) == (3, "f")
    assert restart.classify(reason, was_ready=True, asked=False, sentence=None, law=OURS) == reason
    assert restart.classify(reason, was_ready=False, asked=True, sentence=None, law=OURS) == reason


def test_what_we_killed_is_named_by_our_cause_and_keeps_the_kernels_facts() -> None:
    ours = ExitReason(kind=ExitKind.HUNG, detail="no progress for 9 s")
    kernel = ExitReason(kind=ExitKind.KILLED, signal=9, fingerprint="f")
    assert restart.classify(kernel, was_ready=True, asked=False, sentence=ours, law=OURS) == ExitReason(
        kind=ExitKind.HUNG, signal=9, detail="no progress for 9 s", fingerprint="f"
    )


@pytest.mark.parametrize(
    ("strategy", "position", "members"),
    [
        (Strategy.ONE_FOR_ONE, 0, [0]),
        (Strategy.ONE_FOR_ONE, 3, [3]),
        (Strategy.ONE_FOR_ALL, 0, [0, 1, 2, 3]),
        (Strategy.ONE_FOR_ALL, 3, [0, 1, 2, 3]),
        (Strategy.REST_FOR_ONE, 0, [0, 1, 2, 3]),
        (Strategy.REST_FOR_ONE, 2, [2, 3]),
        (Strategy.REST_FOR_ONE, 3, [3]),
    ],
)
def test_who_falls_together(strategy: Strategy, position: int, members: list[int]) -> None:
    assert [at for at in range(4) if restart.falls_with(strategy, position, at)] == members


@pytest.mark.parametrize("strategy", list(Strategy))
def test_only_a_child_that_was_ready_makes_its_group_wait(strategy: Strategy) -> None:
    assert restart.shares_fate(was_ready=True, law=OURS)
    assert not restart.shares_fate(was_ready=False, law=OURS)
    assert restart.stands_in_line(strategy, shares_fate=True) == (strategy is not Strategy.ONE_FOR_ONE)
    assert not restart.stands_in_line(strategy, shares_fate=False)


def test_under_otps_law_any_end_before_ready_is_a_failed_start_shared_by_the_group_and_nothing_is_parked() -> None:
    for kind in ExitKind:
        reason = restart.classify(ExitReason(kind=kind), was_ready=False, asked=False, sentence=None, law=OTP)
        assert reason.kind is ExitKind.START_FAILED
    assert restart.shares_fate(was_ready=False, law=OTP)
    assert restart.after_exit(Restart.PERMANENT, crashed(), safety=False, looping=True, law=OTP) is Next.RESTART
    refusal = ExitReason(kind=ExitKind.REFUSED)
    assert restart.after_exit(Restart.TRANSIENT, refusal, safety=False, looping=False, law=OTP) is Next.RESTART


def test_a_failed_start_ends_the_start_of_its_supervisor_only_where_the_law_and_the_child_say_so() -> None:
    assert restart.aborts_boot(required=True, safety=False, law=OTP)
    assert not restart.aborts_boot(required=False, safety=False, law=OTP)
    assert not restart.aborts_boot(required=True, safety=True, law=OTP)
    assert not restart.aborts_boot(required=True, safety=False, law=OURS)


def test_what_is_on_its_way_holds_later_siblings_back_and_what_is_not_coming_does_not() -> None:
    held = {state for state in State if restart.holds_back(state, in_line=False, comes_back=False)}
    assert held == {State.WAITING, State.STARTING, State.RUNNING}
    assert restart.holds_back(State.RESTARTING, in_line=True, comes_back=True)
    assert restart.holds_back(State.STOPPING, in_line=False, comes_back=True)


def test_what_is_down_keeps_no_supervisor_up_and_what_is_on_its_way_does() -> None:
    keeps = {state for state in State if not restart.shuts_down(AutoShutdown.ALL_SIGNIFICANT, [State.STOPPED, state])}
    assert keeps == set(State) - {State.STOPPED, State.QUARANTINED}
    assert restart.shuts_down(AutoShutdown.ANY_SIGNIFICANT, [State.READY])
    assert not restart.shuts_down(AutoShutdown.NEVER, [State.STOPPED])


def test_a_temporary_sibling_is_not_brought_back() -> None:
    assert {r: restart.after_group_stop(r) for r in Restart} == {
        Restart.PERMANENT: State.WAITING,
        Restart.TRANSIENT: State.WAITING,
        Restart.TEMPORARY: State.STOPPED,
    }
