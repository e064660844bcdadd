"""Statements 1-14: starting."""

from __future__ import annotations

from pathlib import Path
from statistics import StatisticsError, mean

import pytest

from supervisor import spec as specs
from supervisor.events import SupervisionKind
from supervisor.runtime.scratch import CannotStart, draft_of
from supervisor.tree import Exited, GiveUp, Start
from supervisor.words import ExitKind, State
from tests.supervisor.conformance.words import ALL, ONE, crash, kid, moves, otp, ours
from tests.supervisor.tree_world import World, leaf


def test_001_a_supervisor_has_started_when_every_child_has() -> None:
    world = World(otp("root", ONE, kid("a"), ours("s", ONE, kid("b"), kid("c"))))
    world.boot("a", "b")
    assert (world.state("s"), world.state("root")) == (State.RUNNING, State.RUNNING)
    world.flow("c")
    assert (world.state("s"), world.state("root")) == (State.READY, State.READY)


def test_002_children_start_one_at_a_time_in_spec_order() -> None:
    world = World(otp("root", ONE, kid("a"), kid("b"), kid("c")))
    for name, begun in (("a", ["start a 1"]), ("b", ["start a 1", "start b 1"])):
        world.boot(*"abc"[: "abc".index(name)] or ["nobody"])
        assert world.since(0) == begun
    world.flow()
    assert world.since(0) == ["start a 1", "start b 1", "start c 1"]


def test_003_ours_a_child_that_fails_at_boot_is_retried_and_the_tree_comes_up_without_it() -> None:
    world = World(ours("root", ONE, leaf("a"), leaf("b"), leaf("c"))).boot("a")
    world.die("b", crash())
    assert world.states() == {"a": "ready", "b": "restarting", "c": "starting"}
    world.flow("c")
    assert not world.view("root").ready, "it is required, so the tree says that it is not complete"


def test_006_a_start_that_raises_is_an_exit_like_any_other_and_the_supervisor_survives() -> None:
    world = World(ours("root", ONE, leaf("a"), leaf("b"))).boot("a")
    world.die("b", crash())
    last = world.view("b").last_exit
    assert last is not None
    assert last.kind is ExitKind.START_FAILED
    assert world.states()["a"] == "ready"


def test_013_a_name_that_is_taken_elsewhere_in_the_tree_is_refused_before_anything_starts() -> None:
    tree = ours("root", ONE, kid("a"), ours("s", ONE, kid("a")))
    assert specs.check(tree) == [
        "root/s/a: id is 'a'; it is already used by root/a; names are unique in the whole tree"
    ]


@pytest.mark.parametrize("name", ["", "two words", "a/b", "tab\t"])
def test_014_a_bad_name_is_rejected_before_anything_starts(name: str) -> None:
    [fault] = specs.check(ours("root", ONE, kid(name)))
    assert "it must be a word without slash or space" in fault


def test_005_a_start_ends_in_ready_or_in_an_exit_and_in_nothing_else() -> None:
    world = World(ours("root", ALL, leaf("a"))).boot()
    assert world.states() == {"a": "ready"}
    started = [action for action in world.actions if isinstance(action, Start)]
    assert [(start.id, start.incarnation) for start in started] == [("a", 1)]
    assert moves(world, lambda: world.tell(Exited("a", 7, crash(), worked=False))) == [], "of a life that never was"
    assert [record.kind for record in world.records if record.id == "a"] == [
        SupervisionKind.STARTING,
        SupervisionKind.STARTED,
        SupervisionKind.READY,
    ]


def test_003_a_child_that_fails_at_boot_has_those_before_it_stopped_in_reverse_and_the_supervisor_never_runs() -> None:
    world = World(otp("root", ONE, kid("a"), kid("b"), kid("c"), kid("d")))
    world.failing = {"c": 1}
    world.boot()
    assert world.since(0) == ["start a 1", "start b 1", "start c 1", "stop b 1", "stop a 1"]
    assert [action.reason for action in world.actions if isinstance(action, GiveUp)] == [
        "failed to start child c: start_failed with exit code 1"
    ]


def test_004_that_first_failure_is_not_retried_and_does_not_consult_the_budget() -> None:
    world = World(otp("root", ONE, kid("a"), intensity=100))
    world.failing = {"a": 1}
    world.boot()
    assert world.since(0) == ["start a 1"]
    assert (world.ended, world.said(SupervisionKind.RESTARTING), world.said(SupervisionKind.EXHAUSTED)) == (1, [], [])


def builds_garbage() -> int:
    return 42


def test_008_ours_a_build_function_that_returns_garbage_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="builds_garbage returned 42; a build function returns a SupervisorSpec"):
        draft_of(builds_garbage, {}, tmp_path)


def test_009_ours_a_build_function_that_raises_starts_nothing_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match="at least one data point"):
        draft_of(mean, {"data": []}, tmp_path)
