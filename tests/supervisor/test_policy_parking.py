"""What is a crash loop, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy import parking
from supervisor.words import CrashRecord, ExitKind, ExitReason

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
        ([KILLED, KILLED, KILLED, KILLED], 0),  # the fifth is too many, see below
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


def test_kills_of_a_child_that_had_run_for_long_are_no_loop_however_many() -> None:
    streak = parking.NONE
    for _ in range(20):
        streak = parking.follow(streak, KILLED, worked=False, inputs="v1", soon=False)
    assert not parking.is_loop(streak)


def dying(way: str = "boom", *, phase: str = "init", prior: str = "", message: str = "") -> ExitReason:
    crash = CrashRecord(phase=phase, exceptions=(), message="", frame="", location="", traceback="", in_hand_id=message)
    return ExitReason(kind=ExitKind.CRASHED, code=1, crash=crash, fingerprint=way, prior=prior)


IMPORT = dying(phase="import", prior="code")
LOGIN = dying(prior="credential")
AWAY = dying("away", prior="upstream")


@pytest.mark.parametrize(
    ("ends", "parked_after"),
    [
        ([CRASH] * 6, 3),
        ([IMPORT] * 6, 2),  # a broken import does not mend itself
        ([LOGIN] * 6, 2),  # each further try is a strike against the account
        ([dying(phase="init", prior="code")] * 6, 3),
        ([AWAY] * 20, None),  # what waits for its dependency is never parked for it
        ([CRASH, CRASH, AWAY, CRASH, CRASH], None),
        ([KILLED] * 6, 5),  # somebody kills it at each start
        ([CRASH, KILLED, OTHER, KILLED, KILLED, KILLED, KILLED], 7),
        ([CRASH, OTHER] * 5, 6),  # two deaths in turn are one loop
        ([CRASH, OTHER, BARE_3] * 5, 6),
        ([CRASH, OTHER, BARE_3, BARE_4] * 5, None),  # ever new ways spend the budget instead
        ([dying(message="x:Order:7")] * 20, None),  # the message is at fault, see `poison`
        ([dying(message=f"x:Order:{n}") for n in range(4)], 3),  # every message: the handler is
        ([dying(message=f"x:Tick:{n}", prior="data") for n in range(9)], None),  # what is sent is bad
    ],
)
def test_when_trying_again_is_no_longer_honest(ends: list[ExitReason], parked_after: int | None) -> None:
    streak, after = parking.NONE, None
    for count, reason in enumerate(ends, start=1):
        streak = parking.follow(streak, reason, worked=False, inputs="v1")
        if parking.is_loop(streak):
            after = count
            break
    assert after == parked_after


@given(st.lists(st.sampled_from([CRASH, OTHER, BARE_3, BARE_4, KILLED, IMPORT, LOGIN, AWAY]), max_size=30))
def test_useful_work_before_each_end_never_lets_a_child_be_parked(ends: list[ExitReason]) -> None:
    streak = parking.NONE
    for reason in ends:
        streak = parking.follow(streak, reason, worked=True, inputs="v1")
        assert not parking.is_loop(streak)
        assert len(streak.ways) <= 2 * parking.LIMIT


@pytest.mark.parametrize(
    ("deaths", "message"),
    [
        ([("boom", "x:Order:7")], ""),
        ([("boom", "x:Order:7"), ("boom", "x:Order:7")], "x:Order:7"),
        ([("boom", "x:Order:7"), ("boom", "x:Order:8")], ""),
        ([("boom", "x:Order:7"), ("bang", "x:Order:7")], ""),
        ([("boom", ""), ("boom", "")], ""),
        ([("boom", "x:Order:7"), ("boom", "x:Order:7"), ("bang", "")], ""),
    ],
)
def test_a_message_in_hand_at_equal_deaths_is_poison(deaths: list[tuple[str, str]], message: str) -> None:
    assert parking.poison(deaths) == message


def test_a_death_that_comes_again_after_useful_work_has_a_period() -> None:
    assert parking.recurs_every_s([(0.0, "boom", True), (1800.0, "boom", True), (3600.0, "boom", True)]) == 1800.0
    assert parking.recurs_every_s([(0.0, "boom", True), (1800.0, "bang", True)]) is None
    assert parking.recurs_every_s([(0.0, "boom", False), (2.0, "boom", False)]) is None
    assert parking.recurs_every_s([]) is None


@given(st.integers(0, 50), st.floats(0, 1))
def test_a_parked_child_is_tried_out_after_half_an_hour_then_ever_more_rarely(tries: int, draw: float) -> None:
    after_s = parking.unpark_after_s(tries, draw)
    assert 900.0 <= after_s <= 1.5 * parking.UNPARK_MOST_S
    assert parking.unpark_after_s(tries + 1, draw) >= after_s
    assert parking.unpark_after_s(0, 0.5) == parking.UNPARK_FIRST_S
