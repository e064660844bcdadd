"""Patience, under the one total deadline."""

from __future__ import annotations

from math import inf

import pytest

from supervisor.policy import shutdown


@pytest.mark.parametrize(
    ("own_s", "deadline", "now", "patience_s"),
    [
        (5.0, inf, 100.0, 5.0),
        (inf, inf, 100.0, inf),
        (inf, 103.0, 100.0, 3.0),
        (5.0, 103.0, 100.0, 3.0),
        (5.0, 103.0, 104.0, 0.0),
        (0.0, inf, 100.0, 0.0),
    ],
)
def test_a_child_has_its_own_patience_or_what_is_left(
    own_s: float, deadline: float, now: float, patience_s: float
) -> None:
    assert shutdown.patience_s(own_s, deadline, now) == patience_s


def test_asking_again_only_brings_the_deadline_nearer() -> None:
    first = shutdown.deadline(30.0, 100.0)
    assert first == 130.0
    assert shutdown.deadline(5.0, 110.0, first) == 115.0
    assert shutdown.deadline(inf, 110.0, first) == 130.0
