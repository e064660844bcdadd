"""The sliding window, and who answers when it is full."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy import intensity
from supervisor.policy.intensity import Spent
from supervisor.spec import OTP, Law
from supervisor.verdict import Prior
from supervisor.words import ExitKind, ExitReason, OnExhausted


def test_the_nth_restart_is_granted_and_the_next_is_not() -> None:
    window: intensity.Window | None = ()
    for n in range(3):
        assert window is not None
        window = intensity.grant(window, 3, 10.0, 1.0 + n)
    assert window == (1.0, 2.0, 3.0)
    assert intensity.grant(window, 3, 10.0, 4.0) is None


def test_intensity_zero_grants_nothing() -> None:
    assert intensity.grant((), 0, 10.0, 5.0) is None


def test_the_boundary_of_the_window_still_counts() -> None:
    assert intensity.grant((5.0,), 1, 10.0, 15.0) is None
    assert intensity.grant((5.0,), 1, 10.0, 15.000001) == (15.000001,)


@given(limit=st.integers(0, 5), period_s=st.floats(0.1, 50), gaps=st.lists(st.floats(0, 20), max_size=60))
def test_no_period_ever_holds_more_restarts_than_allowed(limit: int, period_s: float, gaps: list[float]) -> None:
    window: intensity.Window = ()
    granted: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        if (more := intensity.grant(window, limit, period_s, now)) is not None:
            window = more
            granted.append(now)
        assert len(window) <= limit
        assert len([at for at in granted if at >= now - period_s]) <= limit


def test_one_that_goes_on_beyond_its_limit_keeps_a_bounded_window() -> None:
    window: intensity.Window = ()
    for n in range(50):
        window = intensity.overdraw(window, 2, 1000.0, float(n))
    assert window == (47.0, 48.0, 49.0)


@pytest.mark.parametrize("kind", list(ExitKind))
def test_only_a_kill_from_outside_costs_nothing(kind: ExitKind) -> None:
    end = ExitReason(kind=kind)
    assert intensity.costs(end, Law()) == (kind is not ExitKind.KILLED)
    assert intensity.costs(end, OTP), "OTP counts it like any other (statement 31)"


@pytest.mark.parametrize("prior", list(Prior))
def test_what_a_dependency_did_costs_nothing_and_every_other_fault_does(prior: Prior) -> None:
    end = ExitReason(kind=ExitKind.CRASHED, code=1, prior=prior)
    assert intensity.costs(end, Law()) == (prior is not Prior.UPSTREAM)
    assert intensity.costs(end, OTP)


CHILD, SUPERVISOR, ROOT = (False, False), (True, False), (True, True)
ANSWERS = {
    # on_exhausted:           a child,      a supervisor, the root
    OnExhausted.QUARANTINE: (Spent.PARK, Spent.PARK, Spent.CARRY_ON),
    OnExhausted.HALT: (Spent.PARK, Spent.PARK, Spent.CARRY_ON),
    OnExhausted.ESCALATE: (Spent.ASK_UP, Spent.FAIL_UP, Spent.CARRY_ON),
    OnExhausted.SHUTDOWN: (Spent.ASK_UP, Spent.LEAVE, Spent.GIVE_UP),
}


@pytest.mark.parametrize("answer", list(OnExhausted))
def test_who_answers_for_a_full_window(answer: OnExhausted) -> None:
    for (supervisor, root), expected in zip((CHILD, SUPERVISOR, ROOT), ANSWERS[answer], strict=True):
        assert intensity.when_spent(answer, supervisor=supervisor, root=root, safety=False) is expected
        assert intensity.when_spent(answer, supervisor=supervisor, root=root, safety=True) is Spent.CARRY_ON


@pytest.mark.parametrize("own", list(OnExhausted))
def test_a_supervisor_asked_by_its_child_answers_with_its_own_word_unless_otp_is_demanded(own: OnExhausted) -> None:
    assert intensity.asked_up(OnExhausted.ESCALATE, own) is own
    assert intensity.asked_up(OnExhausted.SHUTDOWN, own) is OnExhausted.SHUTDOWN
