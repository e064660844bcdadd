"""Statements 52-62: restart intensity."""

from __future__ import annotations

import pytest

from supervisor.events import SupervisionKind
from supervisor.spec import Backoff, Budget, SupervisorSpec
from supervisor.tree import GiveUp
from supervisor.words import ExitKind, OnExhausted, Restart, State, Strategy
from tests.supervisor.conformance.words import ONE, abc, crash, kid, moves, otp, ours
from tests.supervisor.tree_world import World, leaf


def fall(world: World, name: str, times: int = 1, first: int = 0) -> None:
    for n in range(times):
        world.die(name, crash(first + n))
        world.flow()


def gave_up(world: World) -> bool:
    return any(isinstance(action, GiveUp) for action in world.actions)


def nested(inner: SupervisorSpec, **root: object) -> World:
    return World(otp("root", ONE, inner, kid("z"), **{"intensity": 100, **root})).boot()


@pytest.mark.parametrize("strategy", list(Strategy))
def test_052_with_intensity_n_n_restarts_are_granted_and_the_next_makes_it_give_up(strategy: Strategy) -> None:
    world = abc(strategy, intensity=3)
    fall(world, "b", 3)
    assert world.states()["b"] == "ready"
    fall(world, "b", first=3)
    assert gave_up(world)
    assert world.ended == 1


def test_053_intensity_0_gives_up_at_the_first_restart() -> None:
    world = abc(intensity=0)
    fall(world, "b")
    assert gave_up(world)


def test_054_the_budget_is_shared_by_all_children() -> None:
    world = abc(intensity=2)
    fall(world, "a")
    fall(world, "b")
    fall(world, "c")
    assert gave_up(world)


def test_054_ours_each_child_has_a_budget_of_its_own_and_the_noisy_one_is_parked_alone() -> None:
    world = World(ours("root", ONE, leaf("a", budget=Budget(intensity=2)), leaf("b"))).boot()
    for n in range(3):
        world.crash_and_return("a", crash(n)) if n < 2 else world.die("a", crash(n), worked=True)
    assert world.states() == {"a": "quarantined", "b": "ready"}


def test_055_the_window_slides() -> None:
    world = abc(intensity=1, period_s=5.0)
    for n in range(4):
        fall(world, "b", first=n)
        world.wait(5.1)
    assert not gave_up(world)
    assert world.view("b").incarnation == 5


def test_056_ours_time_is_monotonic_in_fractions_of_a_second_and_the_boundary_is_inclusive() -> None:
    for later_s, granted in ((5.0, False), (5.001, True)):
        world = abc(intensity=1, period_s=5.0)
        fall(world, "b")
        world.wait(later_s)
        fall(world, "b", first=1)
        assert gave_up(world) is not granted


@pytest.mark.parametrize("under", [otp, ours])
def test_057_each_failed_restart_attempt_counts_as_one_more_restart(under: object) -> None:
    world = abc(under=under)
    world.failing = {"b": 2}
    assert moves(world, lambda: world.die("b", crash(), worked=True)) == [f"start b {life}" for life in range(2, 5)]
    assert world.view("root").restarts_in_window == 3


def test_058_giving_up_terminates_the_remaining_children_by_the_normal_protocol() -> None:
    world = abc(intensity=0)
    assert moves(world, lambda: world.die("b", crash())) == ["stop c 1", "stop a 1"]
    assert world.ended == 1


def test_058_ours_who_gives_up_ends_abnormally_with_a_reason_of_its_own() -> None:
    s = ours("s", ONE, kid("a"), kid("b"), intensity=0, on_exhausted=OnExhausted.ESCALATE)
    world = World(ours("root", ONE, s, kid("z"))).boot()
    fall(world, "b")
    last = world.view("s").last_exit
    assert last is not None
    assert last.kind is ExitKind.MAX_RESTARTS


@pytest.mark.parametrize(
    ("restart", "answer", "comes_back"),
    [
        (Restart.PERMANENT, OnExhausted.SHUTDOWN, True),
        (Restart.TRANSIENT, OnExhausted.SHUTDOWN, False),  # OTP's trap: giving up looks like an orderly end
        (Restart.TRANSIENT, OnExhausted.ESCALATE, True),  # ours: it does not
        (Restart.TEMPORARY, OnExhausted.ESCALATE, False),
    ],
)
def test_059_the_parent_applies_its_own_rules_to_a_supervisor_that_gave_up(
    restart: Restart, answer: OnExhausted, comes_back: bool
) -> None:
    world = nested(otp("s", ONE, kid("a"), intensity=0, restart=restart, on_exhausted=answer))
    fall(world, "a")
    assert world.states()["a"] == "stopped"
    world.wait(5)
    world.flow()
    assert world.state("s") is (State.READY if comes_back else State.STOPPED)
    assert world.states()["z"] == "ready"


def test_061_orders_never_count() -> None:
    world = abc(intensity=1)
    for _ in range(5):
        moves(world, lambda: world.order_("restart", "b"))
        moves(world, lambda: world.order_("stop", "c"))
        moves(world, lambda: world.order_("start", "c"))
    assert world.view("root").restarts_in_window == 0
    assert world.view("b").incarnation == world.view("c").incarnation == 6


def test_061_ours_what_an_order_starts_has_a_clean_record() -> None:
    world = World(ours("root", ONE, leaf("a", budget=Budget(intensity=2)))).boot()
    for n in range(2):
        world.crash_and_return("a", crash(n))
    assert world.view("a").restarts_in_window == 2
    moves(world, lambda: world.order_("stop", "a"))
    moves(world, lambda: world.order_("start", "a"))
    assert world.view("a").restarts_in_window == 0


def test_062_total_restarts_before_the_root_gives_up_multiply_across_levels() -> None:
    world = nested(otp("s", ONE, kid("a"), intensity=2), intensity=2, period_s=1000.0)
    restarts = 0
    while not gave_up(world):
        fall(world, "a", first=restarts)
        world.wait(2)  # a supervisor waits its backoff
        world.flow()
        restarts += 1
    assert restarts == (2 + 1) * (2 + 1)


def test_052_ours_the_root_never_gives_up_by_itself_and_parks_what_fell() -> None:
    world = World(ours("root", ONE, kid("a"), kid("b"), intensity=1)).boot()
    fall(world, "a", 2)
    assert not gave_up(world)
    assert world.states() == {"a": "quarantined", "b": "ready"}
    assert world.said(SupervisionKind.EXHAUSTED)


def test_052_ours_a_safety_child_is_restarted_beyond_every_limit() -> None:
    guard = leaf("a", safety=True, budget=Budget(intensity=1), backoff=Backoff(initial_s=1, cap_s=2))
    world = World(ours("root", ONE, guard, kid("b"), intensity=1)).boot()
    for n in range(9):
        world.crash_and_return("a", crash(n), worked=False)
    assert world.states() == {"a": "ready", "b": "ready"}
