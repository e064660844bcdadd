"""The parole board: a parked child is let out again after half an hour, then ever more rarely, while it is parked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from supervisor.events import Cause
from supervisor.policy.parking import UNPARK_FIRST_S, UNPARK_MOST_S
from supervisor.runtime.loop import Timer
from supervisor.runtime.tryouts import TryOuts
from tests.supervisor.toys import Doomed, house, toy


class Calendar:
    """What a loop is to the board."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def at(self, due: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(due, call))
        return self.timers[-1]

    def come(self) -> None:
        [timer] = [timer for timer in self.timers if timer.call is not None]
        call, timer.call = timer.call, None
        assert call is not None
        call()


def board() -> tuple[TryOuts, Calendar, list[str]]:
    calendar, out = Calendar(), list[str]()
    loop: Any = calendar
    return TryOuts(loop, Random(7), 1.0, out.append), calendar, out


def test_who_fails_again_soon_after_a_try_waits_longer_and_at_most_nine_hours() -> None:
    tryouts, calendar, out = board()
    now, waits = 1000.0, list[float]()
    for _ in range(12):
        tryouts.parked("bridge", Cause.CRASH_LOOP, now)
        waited = tryouts.due_s("bridge", now)
        assert waited is not None
        waits.append(waited)
        calendar.come()
        now += waited + 1.0
    assert out == ["bridge"] * 12
    assert 0.5 * UNPARK_FIRST_S <= waits[0] <= 1.5 * UNPARK_FIRST_S
    assert max(waits) <= 1.5 * UNPARK_MOST_S
    assert sum(waits[-4:]) / 4 > 4 * sum(waits[:2]) / 2


def test_after_half_an_hour_of_life_the_next_parking_is_a_first_one_again() -> None:
    tryouts, calendar, _ = board()
    now = 5000.0
    for _ in range(6):
        tryouts.parked("bridge", Cause.BUDGET, now)
        now += tryouts.due_s("bridge", now) or 0.0
        calendar.come()
    now += UNPARK_FIRST_S + 1.0
    tryouts.parked("bridge", Cause.BUDGET, now)
    waited = tryouts.due_s("bridge", now)
    assert waited is not None
    assert waited <= 1.5 * UNPARK_FIRST_S


def test_one_that_says_that_trying_again_cannot_help_and_one_that_a_person_started_are_not_tried_out() -> None:
    tryouts, calendar, out = board()
    tryouts.parked("venue", Cause.REFUSED, 1.0)
    tryouts.parked("bridge", Cause.CRASH_LOOP, 1.0)
    tryouts.cancel("bridge")
    assert (tryouts.due_s("venue", 1.0), tryouts.due_s("bridge", 1.0)) == (None, None)
    assert [timer for timer in calendar.timers if timer.call is not None] == []
    assert out == []


@pytest.mark.process
def test_a_child_parked_for_a_crash_loop_is_tried_out_by_the_root_and_why_says_when(tmp_path: Path) -> None:
    with house(tmp_path, toy("bad", Doomed), time_scale=0.002) as home:  # half an hour is 3.6 s
        home.start("root")
        home.until(lambda: home.child("bad").get("state") == "quarantined", "it is parked")
        parked_at = home.child("bad")["incarnation"]
        assert home.client.ask("why", name="bad")["tried_out_s"] > 0.0
        home.until(lambda: home.child("bad").get("incarnation", 0) > parked_at, "it is tried out")
        home.until(lambda: home.child("bad").get("state") == "quarantined", "and parked again")
        assert home.client.ask("stop", name="bad")["ok"]
        assert home.client.ask("why", name="bad")["tried_out_s"] is None  # a person has said what is to be
