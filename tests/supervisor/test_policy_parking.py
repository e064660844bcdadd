"""What is a crash loop, and what only looks like one."""

from __future__ import annotations

import pytest

from supervisor.policy import parking
from supervisor.words import ExitKind, ExitReason

CRASH = ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint="boom")
OTHER = ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint="bang")
KILLED = ExitReason(kind=ExitKind.KILLED, signal=9, fingerprint="sig9")
HUNG = ExitReason(kind=ExitKind.HUNG, signal=9, fingerprint="sig9")
BARE_3 = ExitReason(kind=ExitKind.CRASHED, code=3)
BARE_4 = ExitReason(kind=ExitKind.CRASHED, code=4)


@pytest.mark.parametrize(
    ("ends", "count"),
    [
        ([CRASH], 1),
        ([CRASH, CRASH], 2),
        ([CRASH, CRASH, CRASH], 3),
        ([CRASH, CRASH, OTHER], 1),
        ([CRASH, OTHER, CRASH], 1),
        ([KILLED, KILLED, KILLED, KILLED], 0),
        ([CRASH, KILLED, CRASH, KILLED, CRASH], 3),
        ([HUNG, HUNG, HUNG], 3),
        ([BARE_3, BARE_3, BARE_3], 3),
        ([BARE_3, BARE_3, BARE_4], 1),
    ],
)
def test_the_count_of_the_same_end(ends: list[ExitReason], count: int) -> None:
    streak = parking.NONE
    for reason in ends:
        streak = parking.follow(streak, reason, worked=False, inputs="v1")
    assert streak.count == count
    assert parking.is_loop(streak) == (count >= 3)


def test_useful_work_and_other_inputs_begin_anew() -> None:
    twice = parking.follow(parking.NONE, CRASH, worked=False, inputs="v1")
    twice = parking.follow(twice, CRASH, worked=False, inputs="v1")
    assert parking.follow(twice, CRASH, worked=True, inputs="v1") == parking.NONE
    assert parking.follow(twice, KILLED, worked=True, inputs="v1") == parking.NONE
    assert parking.follow(twice, CRASH, worked=False, inputs="v2").count == 1
