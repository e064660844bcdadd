"""Statements 28-37: restart types."""

from __future__ import annotations

import pytest

from supervisor.events import SupervisionKind
from supervisor.words import ExitReason, Restart, State
from tests.supervisor.conformance.words import (
    ALL,
    KILLED,
    NORMAL,
    REFUSED,
    SHUTDOWN,
    abc,
    crash,
    kid,
    moves,
    otp,
    ours,
)
from tests.supervisor.tree_world import World

TRANSIENT = {"restart": Restart.TRANSIENT}
TEMPORARY = {"restart": Restart.TEMPORARY}


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, crash(), KILLED])
def test_028_a_permanent_child_is_restarted_after_any_exit(reason: ExitReason) -> None:
    for under in (otp, ours):
        world = abc(under=under)
        assert moves(world, lambda world=world: world.die("b", reason, worked=True)) == ["start b 2"]


def test_028_ours_a_permanent_child_whose_end_says_that_trying_again_cannot_help_is_parked() -> None:
    world = abc(under=ours)
    assert moves(world, lambda: world.die("b", REFUSED)) == []
    assert world.states() == {"a": "ready", "b": "quarantined", "c": "ready"}


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN])
def test_029_a_transient_child_stays_down_after_an_expected_exit_and_can_be_revived(reason: ExitReason) -> None:
    world = abc(b=TRANSIENT)
    assert moves(world, lambda: world.die("b", reason)) == []
    assert world.state("b") is State.STOPPED
    assert moves(world, lambda: world.order_("restart", "b")) == ["start b 2"]


@pytest.mark.parametrize("reason", [crash(), KILLED])
def test_030_a_transient_child_is_restarted_after_every_other_reason(reason: ExitReason) -> None:
    world = abc(b=TRANSIENT)
    assert moves(world, lambda: world.die("b", reason)) == ["start b 2"]


def test_031_being_killed_counts_as_abnormal() -> None:
    world = abc(b=TRANSIENT)
    assert moves(world, lambda: world.die("b", KILLED, worked=True)) == ["start b 2"]


def test_031_ours_a_kill_from_outside_is_abnormal_and_spends_no_budget() -> None:
    world = abc(under=ours)
    world.die("b", KILLED, worked=True)
    world.flow()
    assert (world.view("b").restarts_in_window, world.view("root").restarts_in_window) == (0, 0)


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, crash(), KILLED])
def test_032_a_temporary_child_is_never_restarted(reason: ExitReason) -> None:
    world = abc(b=TEMPORARY)
    assert moves(world, lambda: world.die("b", reason)) == []
    assert world.state("b") is State.STOPPED
    assert moves(world, lambda: world.order_("start", "b")) == ["start b 2"], "the same name can be started at once"


def test_033_a_temporary_child_stopped_with_its_group_is_not_brought_back() -> None:
    world = abc(ALL, b=TEMPORARY)
    assert moves(world, lambda: world.die("a", crash())) == ["stop c 1", "stop b 1", "start a 2", "start c 2"]


@pytest.mark.parametrize(("kind", "reason"), [(TRANSIENT, NORMAL), (TEMPORARY, crash()), (TEMPORARY, KILLED)])
def test_035_an_exit_that_leads_to_no_restart_costs_nothing(kind: dict[str, Restart], reason: ExitReason) -> None:
    world = abc(b=kind)
    world.die("b", reason)
    assert (world.view("b").restarts_in_window, world.view("root").restarts_in_window) == (0, 0)


def test_036_a_restart_is_always_a_new_incarnation() -> None:
    world = abc()
    for life in (2, 3, 4):
        assert moves(world, lambda life=life: world.die("b", crash(life))) == [f"start b {life}"]
    assert world.since(0)[:3] == ["start a 1", "start b 1", "start c 1"]


def test_037_ours_every_exit_nobody_asked_for_is_on_record_and_the_next_record_says_what_it_led_to() -> None:
    for fields, reason, led_to in (
        ({}, NORMAL, SupervisionKind.RESTARTING),
        (TRANSIENT, NORMAL, SupervisionKind.ENDED),
        (TEMPORARY, crash(), SupervisionKind.ENDED),
    ):
        world = World(ours("root", ALL, kid("b", **fields))).boot()
        mark = len(world.records)
        world.die("b", reason)
        assert [record.kind for record in world.records[mark : mark + 2]] == [SupervisionKind.EXITED, led_to]


def test_028_a_crash_that_repeats_itself_is_restarted_until_the_intensity_is_spent() -> None:
    world = abc(intensity=5)
    for life in range(2, 7):
        assert moves(world, lambda: world.die("b", crash())) == [f"start b {life}"]


def test_028_ours_a_crash_that_repeats_itself_is_parked_after_three_starts() -> None:
    world = abc(under=ours)
    for _ in range(3):
        moves(world, lambda: world.die("b", crash()))
    assert (world.state("b"), world.view("b").incarnation) == (State.QUARANTINED, 3)


def test_031_a_kill_is_charged_like_any_crash() -> None:
    world = abc()
    moves(world, lambda: world.die("b", KILLED, worked=True))
    assert world.view("root").restarts_in_window == 1
