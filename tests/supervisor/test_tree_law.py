"""The law of OTP, switch by switch: what the real supervisor does, told as short histories (statements by number).

Every supervisor here has `law=OTP`, `on_exhausted=SHUTDOWN` and no backoff, every child an ample budget of its own, so
the intensity of the supervisor alone decides, as in OTP. The world answers each start at once (`flow`).
"""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from supervisor.events import SupervisionKind
from supervisor.moves import GiveUp
from supervisor.spec import OTP, Backoff, Budget, ChildSpec, SupervisorSpec, supervise
from supervisor.words import ExitKind, ExitReason, OnExhausted, Restart, State, Strategy
from tests.supervisor.tree_world import CRASH, World, leaf

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
AT_ONCE = Backoff(initial_s=0.0)
KILLED = ExitReason(kind=ExitKind.KILLED, signal=9)
NORMAL = ExitReason(kind=ExitKind.NORMAL, code=0)


def worker(name: str, **fields: Any) -> ChildSpec:
    ample = Budget(intensity=1000)
    return leaf(name, **{"backoff": AT_ONCE, "budget": ample, "on_exhausted": OnExhausted.SHUTDOWN, **fields})


def otp(name: str, strategy: Strategy, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    otp_like = {"law": OTP, "on_exhausted": OnExhausted.SHUTDOWN, "backoff": AT_ONCE, "intensity": 1, "period_s": 5.0}
    return supervise(name, strategy, list(children), **{**otp_like, **fields})


def abc(strategy: Strategy, **fields: Any) -> World:
    return World(otp("root", strategy, worker("a"), worker("b"), worker("c"), **fields))


def after(world: World, name: str, reason: ExitReason = CRASH) -> list[str]:
    """What is started and stopped when it ends and everything is answered at once."""
    mark = len(world.actions)
    world.die(name, reason)
    world.flow()
    return world.since(mark)


# -- 3, 4: the start of a supervisor ---


def test_a_failed_start_ends_the_start_of_its_supervisor_and_those_before_it_stop_in_reverse() -> None:
    world = abc(ONE)
    world.failing = {"c": 1}
    world.boot()
    assert world.since(0) == ["start a 1", "start b 1", "start c 1", "stop b 1", "stop a 1"]
    assert world.ended == 1
    gave_up = [action for action in world.actions if isinstance(action, GiveUp)]
    assert [action.reason for action in gave_up] == ["failed to start child c: start_failed with exit code 1"]
    assert not world.said(SupervisionKind.RESTARTING), "the first failure is not retried and spends nothing"


def test_what_is_not_required_may_fail_at_boot_and_is_retried_with_its_backoff() -> None:
    slow = Backoff(initial_s=10)
    world = World(otp("root", ONE, worker("a"), worker("b", required=False, backoff=slow), worker("c"), intensity=9))
    world.failing = {"b": 1}
    world.boot("a", "b", "c")
    assert world.states() == {"a": "ready", "b": "restarting", "c": "ready"}
    world.wait(10)
    world.flow()
    assert world.states()["b"] == "ready"


def test_a_supervisor_that_holds_a_safety_child_comes_up_as_far_as_it_can() -> None:
    guard = worker("guard", safety=True, backoff=Backoff(cap_s=2))
    world = World(otp("root", ONE, guard, worker("b", backoff=Backoff(cap_s=2))))
    world.failing = {"b": 1}
    world.boot()
    assert world.ended == 0
    assert world.state("guard") is State.READY


def test_a_failed_start_below_climbs_through_the_start_of_every_supervisor_above() -> None:
    world = World(otp("root", ONE, worker("a"), otp("s", ONE, worker("b"), worker("c")), worker("d")))
    world.failing = {"c": 1}
    world.boot()
    assert world.since(0) == ["start a 1", "start b 1", "start c 1", "stop b 1", "stop a 1"]
    assert world.ended == 1


def test_a_supervisor_that_is_restarted_starts_its_children_again_from_the_first_and_each_attempt_counts() -> None:
    inner = otp("s", ONE, worker("b"), worker("c"), intensity=0)
    world = World(otp("root", ONE, worker("a"), inner, worker("d"), intensity=3)).boot()
    world.failing = {"c": 2}
    assert after(world, "b") == [
        *("stop c 1", "start b 2", "start c 2"),
        *("stop b 2", "start b 3", "start c 3"),
        *("stop b 3", "start b 4", "start c 4"),
    ]
    assert world.view("root").restarts_in_window == 3
    assert set(world.states().values()) == {"ready"}


def test_a_supervisor_that_fails_to_start_too_often_takes_the_one_above_with_it() -> None:
    inner = otp("s", ONE, worker("b"), worker("c"), intensity=0)
    world = World(otp("root", ONE, worker("a"), inner, worker("d"), intensity=2)).boot()
    world.failing = {"c": inf}
    assert after(world, "b") == [
        *("stop c 1", "start b 2", "start c 2"),
        *("stop b 2", "start b 3", "start c 3"),
        *("stop b 3", "stop d 1", "stop a 1"),
    ]
    assert world.ended == 1


# -- 28-31, 59: who is restarted ---


def test_a_kill_counts_like_any_crash() -> None:
    world = abc(ONE, intensity=1).boot()
    assert after(world, "b", KILLED) == ["start b 2"]
    assert after(world, "b", KILLED) == ["stop c 1", "stop a 1"]
    assert world.ended == 1


def test_the_same_crash_again_and_again_and_a_refusal_are_restarted_until_the_intensity_is_spent() -> None:
    world = abc(ONE, intensity=5).boot()
    for incarnation in range(2, 6):
        assert after(world, "b") == [f"start b {incarnation}"]
    assert after(world, "b", ExitReason(kind=ExitKind.REFUSED)) == ["start b 6"]
    assert after(world, "b") == ["stop c 1", "stop a 1"]


@pytest.mark.parametrize(("restart", "comes_back"), [(Restart.PERMANENT, True), (Restart.TRANSIENT, False)])
def test_a_supervisor_that_gave_up_ended_with_shutdown_so_a_transient_one_stays_down(
    restart: Restart, comes_back: bool
) -> None:
    inner = otp("s", ONE, worker("b"), worker("c"), intensity=0, restart=restart)
    world = World(otp("root", ONE, worker("a"), inner)).boot()
    assert after(world, "b") == (["stop c 1", "start b 2", "start c 2"] if comes_back else ["stop c 1"])
    assert world.view("root").restarts_in_window == (1 if comes_back else 0)


# -- 43-45, 57: group restarts that fail ---


def test_one_for_all_tries_the_whole_group_again() -> None:
    world = abc(ALL, intensity=3).boot()
    world.failing = {"c": 1}
    assert after(world, "a") == [
        *("stop c 1", "stop b 1", "start a 2", "start b 2", "start c 2"),
        *("stop b 2", "stop a 2", "start a 3", "start b 3", "start c 3"),
    ]
    assert world.view("root").restarts_in_window == 2


def test_rest_for_one_tries_again_at_the_one_that_failed() -> None:
    world = abc(REST, intensity=3).boot()
    world.failing = {"b": 1}
    assert after(world, "a") == ["stop c 1", "stop b 1", "start a 2", "start b 2", "start b 3", "start c 2"]
    assert world.view("root").restarts_in_window == 2


@pytest.mark.parametrize(
    ("strategy", "happens"),
    [
        (ONE, ["start a 2", "start a 3", "stop c 1", "stop b 1"]),
        (ALL, ["stop c 1", "stop b 1", "start a 2", "start a 3"]),
        (REST, ["stop c 1", "stop b 1", "start a 2", "start a 3"]),
    ],
)
def test_each_failed_attempt_counts_and_giving_up_stops_what_runs(strategy: Strategy, happens: list[str]) -> None:
    world = abc(strategy, intensity=2).boot()
    world.failing = {"a": inf}
    assert after(world, "a") == happens
    assert world.ended == 1


def test_a_group_that_gives_up_halfway_stops_what_it_had_started_again() -> None:
    world = abc(ALL, intensity=1).boot()
    world.failing = {"c": inf}
    assert after(world, "b") == [
        *("stop c 1", "stop a 1", "start a 2", "start b 2", "start c 2"),
        *("stop b 2", "stop a 2"),
    ]
    assert world.ended == 1


@pytest.mark.parametrize(("strategy", "again"), [(ONE, []), (REST, ["start c 2"]), (ALL, ["start a 2", "start c 2"])])
def test_a_group_brings_back_what_was_stopped_or_had_ended_and_temporary_ones_are_gone(
    strategy: Strategy, again: list[str]
) -> None:
    names = (worker("a"), worker("b"), worker("c", restart=Restart.TRANSIENT), worker("d", restart=Restart.TEMPORARY))
    world = World(otp("root", strategy, *names)).boot()
    world.order_("stop", "a")
    world.flow()
    assert after(world, "c", NORMAL) == after(world, "d", NORMAL) == []
    starts = [line for line in after(world, "b") if line.startswith("start")]
    assert sorted(starts) == sorted(["start b 2", *again])


def test_a_restarted_supervisor_brings_up_what_was_stopped_below_it() -> None:
    inner = otp("s", ONE, worker("b"), worker("c"), intensity=0)
    world = World(otp("root", ONE, inner)).boot()
    world.order_("stop", "b")
    world.flow()
    assert after(world, "c") == ["start b 2", "start c 2"]


# -- 46, 47, 79: between two attempts ---


def between_attempts(strategy: Strategy, **fields: Any) -> World:
    """The group was restarted, `b` failed to start, and its next attempt is not due yet."""
    slow = Backoff(initial_s=10.0)
    world = World(otp("root", strategy, worker("a"), worker("b", backoff=slow), worker("c"), **fields)).boot()
    world.failing = {"b": 1}
    world.die("b", worked=True)
    world.flow()
    assert world.state("b") is State.RESTARTING
    return world


@pytest.mark.parametrize("strategy", [ALL, REST])
def test_until_the_next_attempt_is_due_a_group_stays_as_the_failed_one_left_it(strategy: Strategy) -> None:
    world = between_attempts(strategy)
    assert world.states() == {"a": "ready", "b": "restarting", "c": "stopped"}
    mark = len(world.actions)
    world.wait(10.0)
    world.flow()
    again = ["stop a 2", "start a 3"] if strategy is ALL else []
    assert sorted(world.since(mark)) == sorted([*again, "start b 3", "start c 2"])
    assert set(world.states().values()) == {"ready"}


@pytest.mark.parametrize("strategy", [ALL, REST])
def test_what_waits_for_the_next_attempt_of_its_group_can_be_ordered_up_before(strategy: Strategy) -> None:
    world = between_attempts(strategy)
    assert world.order_("start", "c").ok
    world.flow()
    assert world.states() == {"a": "ready", "b": "restarting", "c": "ready"}


@pytest.mark.parametrize("strategy", [ALL, REST])
def test_stopping_the_one_that_failed_cancels_the_attempt_of_its_group_and_costs_nothing(strategy: Strategy) -> None:
    world = between_attempts(strategy, intensity=2, period_s=60.0)
    world.order_("stop", "b")
    world.wait(10.0)
    assert world.states() == {"a": "ready", "b": "stopped", "c": "stopped"}
    assert world.view("root").restarts_in_window == 1, "the first restart, whose start failed"


def test_an_attempt_is_paid_for_when_it_is_due_so_only_then_a_supervisor_gives_up() -> None:
    world = between_attempts(ONE, period_s=60.0)
    assert not world.ended
    world.wait(10.0)
    world.flow()
    assert world.ended == 1
    assert [record.id for record in world.said(SupervisionKind.EXHAUSTED)] == ["root"]


# -- 61, 81: orders ---


def test_an_ordered_start_that_fails_leaves_it_stopped_and_costs_nothing() -> None:
    world = abc(ALL).boot()
    world.order_("stop", "b")
    world.flow()
    world.failing = {"b": 1}
    mark = len(world.actions)
    assert world.order_("start", "b").ok
    world.flow()
    assert world.since(mark) == ["start b 2"]
    assert world.state("b") is State.STOPPED
    assert world.view("root").restarts_in_window == 0
    assert world.order_("start", "b").ok
    world.flow()
    assert world.state("b") is State.READY
