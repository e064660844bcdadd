"""Statements 38-51: strategies."""

from __future__ import annotations

import pytest

from supervisor.spec import Backoff
from supervisor.tree import Due, Exited, Ready, Started
from supervisor.words import ExitReason, OnExhausted, Restart, State, Strategy
from tests.supervisor.conformance.words import ALL, NORMAL, ONE, REST, abc, crash, kid, moves, otp, ours
from tests.supervisor.tree_world import World, leaf


@pytest.mark.parametrize("under", [otp, ours])
def test_038_one_for_one_only_the_failed_child_is_replaced(under: object) -> None:
    world = abc(ONE, under=under)
    assert moves(world, lambda: world.die("b", crash(), worked=True)) == ["start b 2"]


@pytest.mark.parametrize("under", [otp, ours])
def test_039_one_for_all_every_other_child_is_terminated_in_reverse_then_all_start_in_order(under: object) -> None:
    world = abc(ALL, under=under)
    assert moves(world, lambda: world.die("b", crash(), worked=True)) == [
        "stop c 1",
        "stop a 1",
        "start a 2",
        "start b 2",
        "start c 2",
    ]


@pytest.mark.parametrize("under", [otp, ours])
def test_040_rest_for_one_later_children_go_down_in_reverse_and_earlier_ones_are_not_touched(under: object) -> None:
    world = World(under("root", REST, kid("a"), kid("b"), kid("c"), kid("d"), intensity=9)).boot()  # type: ignore[operator]
    assert moves(world, lambda: world.die("b", crash(), worked=True)) == [
        "stop d 1",
        "stop c 1",
        "start b 2",
        "start c 2",
        "start d 2",
    ]


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize(
    ("restart", "reason"), [(Restart.TRANSIENT, NORMAL), (Restart.TEMPORARY, NORMAL), (Restart.TEMPORARY, crash())]
)
def test_042_an_exit_that_leads_to_no_restart_disturbs_no_sibling(
    strategy: Strategy, restart: Restart, reason: ExitReason
) -> None:
    world = abc(strategy, b={"restart": restart})
    assert moves(world, lambda: world.die("b", reason)) == []
    assert world.states() == {"a": "ready", "b": "stopped", "c": "ready"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_043_one_failure_costs_one_unit_however_many_siblings_are_recycled(strategy: Strategy) -> None:
    world = abc(strategy)
    moves(world, lambda: world.die("a", crash(), worked=True))
    assert world.view("root").restarts_in_window == 1


def test_044_one_for_all_those_already_restarted_go_down_again_and_the_whole_group_is_retried() -> None:
    world = abc(ALL)
    world.failing = {"c": 1}
    assert moves(world, lambda: world.die("b", crash())) == [
        *("stop c 1", "stop a 1", "start a 2", "start b 2", "start c 2"),
        *("stop b 2", "stop a 2", "start a 3", "start b 3", "start c 3"),
    ]


def test_045_rest_for_one_the_retry_begins_at_the_child_that_failed_and_those_before_it_run_on() -> None:
    world = abc(REST)
    world.failing = {"b": 1}
    assert moves(world, lambda: world.die("a", crash())) == [
        *("stop c 1", "stop b 1", "start a 2", "start b 2"),
        *("start b 3", "start c 2"),
    ]


@pytest.mark.parametrize("strategy", [ALL, REST])
def test_044_ours_a_start_that_fails_during_a_group_restart_is_retried_alone(strategy: Strategy) -> None:
    children = [leaf(name, backoff=Backoff(initial_s=1, cap_s=1)) for name in "abc"]
    world = World(ours("root", strategy, *children)).boot()
    world.die("a", crash(), worked=True)
    world.flow("c")
    world.flow("b")
    world.flow("a")
    mark = len(world.actions)
    world.die("b", crash(1))
    world.flow()
    world.wait(1)
    world.flow()
    assert world.since(mark) == ["start c 2", "start b 3"]
    assert world.states() == {"a": "ready", "b": "ready", "c": "ready"}


def test_046_a_child_that_backs_off_is_visibly_restarting_and_orders_are_answered_meanwhile() -> None:
    world = World(ours("root", ONE, leaf("a", backoff=Backoff(initial_s=5, cap_s=5)), leaf("b"))).boot()
    world.die("a", crash())
    assert world.state("a") is State.RESTARTING
    assert world.view("a").next_retry_at is not None
    assert world.order_("restart", "b").ok
    assert world.order_("start", "a").code == "restarting"


def test_047_under_rest_for_one_the_one_before_runs_on_and_the_one_after_is_down_while_a_child_is_restarting() -> None:
    slow = Backoff(initial_s=5, cap_s=5)
    world = World(ours("root", REST, leaf("a"), leaf("b", backoff=slow), leaf("c"))).boot()
    world.die("b", crash())
    world.flow()
    assert world.states() == {"a": "ready", "b": "restarting", "c": "waiting"}


def test_050_events_of_unknown_or_superseded_incarnations_are_ignored() -> None:
    world = abc(under=ours)
    world.crash_and_return("b", crash())
    before = world.tree.children()
    for echo in (
        Started("b", 1, 7),
        Ready("b", 1),
        Exited("b", 1, crash(), worked=True),
        Exited("b", 3, crash(), worked=True),
        Exited("nobody", 1, crash(), worked=True),
        Due("b"),
        Due("nobody"),
    ):
        assert world.tell(echo) == []
    assert world.tree.children() == before


def test_051_a_supervisor_that_failed_is_restarted_and_its_descendants_come_back_as_new_incarnations() -> None:
    s = ours("s", ONE, kid("a"), ours("t", ONE, kid("b")), intensity=0, on_exhausted=OnExhausted.ESCALATE)
    world = World(ours("root", ONE, s, kid("z"))).boot()
    world.die("a", crash(), worked=True)
    world.flow()
    world.wait(5)
    world.flow()
    assert {name: world.view(name).incarnation for name in ("s", "a", "t", "b", "z")} == {
        "s": 2,
        "a": 2,
        "t": 2,
        "b": 2,
        "z": 1,
    }
