"""Full jitter, its ceiling, and what resets it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy import backoff
from supervisor.spec import Backoff

SPEC = Backoff(initial_s=0.5, factor=2.0, cap_s=60.0, reset_after_s=60.0)


@pytest.mark.parametrize(
    ("failures", "ceiling_s"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (5000, 60.0)]
)
def test_the_ceiling_doubles_up_to_the_cap(failures: int, ceiling_s: float) -> None:
    assert backoff.ceiling_s(SPEC, failures, safety=False) == ceiling_s


def test_a_safety_child_waits_two_seconds_at_most_even_if_its_spec_says_more() -> None:
    assert backoff.ceiling_s(SPEC, 50, safety=True) == backoff.SAFETY_CAP_S


@given(failures=st.integers(0, 10**6), factor=st.floats(1, 1e6), seed=st.integers(0, 99), safety=st.booleans())
def test_a_delay_is_between_nothing_and_the_ceiling(failures: int, factor: float, seed: int, safety: bool) -> None:
    spec = Backoff(initial_s=0.5, factor=factor, cap_s=60.0)
    delay_s = backoff.delay_s(spec, failures, worked=False, safety=safety, rng=Random(seed))
    assert 0 <= delay_s <= backoff.ceiling_s(spec, failures, safety=safety) <= (2.0 if safety else 60.0)


def test_the_jitter_is_full_and_comes_from_the_given_chance() -> None:
    delays = [backoff.delay_s(SPEC, 8, worked=False, safety=False, rng=Random(seed)) for seed in range(300)]
    again = [backoff.delay_s(SPEC, 8, worked=False, safety=False, rng=Random(seed)) for seed in range(300)]
    assert delays == again
    assert min(delays) < 6
    assert max(delays) > 54


def test_after_useful_work_there_is_no_wait_however_often_it_failed() -> None:
    assert backoff.delay_s(SPEC, 99, worked=True, safety=False, rng=Random(0)) == 0.0


@pytest.mark.parametrize(
    ("worked", "ready_for_s", "failures"),
    [
        (False, 0.0, 5),
        (False, 3600.0, 5),  # stable, but it did nothing
        (True, 59.9, 4),  # useful, but not stable: the count stands
        (True, 60.0, 0),
    ],
)
def test_only_stable_time_with_useful_work_forgets_failures(worked: bool, ready_for_s: float, failures: int) -> None:
    assert backoff.failures_after(4, SPEC, worked=worked, ready_for_s=ready_for_s) == failures
