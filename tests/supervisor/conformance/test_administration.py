"""Statements 76-89: administration. Codes are OTP's where OTP has one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from supervisor.runtime.client import Client, Unreachable
from supervisor.spec import Backoff
from supervisor.tree import Shutdown
from supervisor.words import State
from tests.supervisor.conformance.words import ONE, abc, crash, kid, moves, otp, ours
from tests.supervisor.tree_world import World, leaf

SLOW = Backoff(initial_s=5, cap_s=5)


def restarting() -> World:
    world = World(ours("root", ONE, leaf("a", backoff=SLOW), leaf("b"))).boot()
    world.die("a", crash())
    return world


def test_078_stop_keeps_the_spec_prevents_restart_is_idempotent_and_unknown_names_are_not_found() -> None:
    world = abc()
    assert moves(world, lambda: world.order_("stop", "b")) == ["stop b 1"]
    assert moves(world, lambda: world.order_("stop", "b")) == []
    assert world.order_("stop", "b").ok
    assert moves(world, lambda: world.die("a", crash())) == ["start a 2"]
    assert world.states() == {"a": "ready", "b": "stopped", "c": "ready"}
    assert world.order_("stop", "nobody").code == "not_found"


def test_079_stop_cancels_the_pending_retry_of_a_restarting_child() -> None:
    world = restarting()
    assert world.order_("stop", "a").ok
    world.wait(100)
    assert world.states() == {"a": "stopped", "b": "ready"}


def test_080_start_works_only_on_a_stopped_child_else_it_says_what_it_is() -> None:
    world = restarting()
    assert world.order_("start", "a").code == "restarting"
    assert world.order_("start", "b").code == "already_started"
    assert world.order_("start", "nobody").code == "not_found"
    world.order_("stop", "b")
    world.flow()
    assert moves(world, lambda: world.order_("start", "b")) == ["start b 2"]


def test_081_a_start_by_order_that_fails_leaves_the_spec_stopped_and_starts_no_retry_loop() -> None:
    world = abc()
    moves(world, lambda: world.order_("stop", "b"))
    world.failing = {"b": 1}
    assert moves(world, lambda: world.order_("start", "b")) == ["start b 2"]
    assert (world.state("b"), world.view("root").restarts_in_window) == (State.STOPPED, 0)


def test_081_ours_a_start_by_order_that_fails_is_retried_with_a_clean_record() -> None:
    world = World(ours("root", ONE, leaf("a", backoff=SLOW), leaf("b"))).boot()
    moves(world, lambda: world.order_("stop", "a"))
    world.order_("start", "a")
    world.die("a", crash())
    assert world.states() == {"a": "restarting", "b": "ready"}
    assert world.view("a").restarts_in_window == 1


def test_083_ours_what_runs_is_listed_in_start_order_with_its_incarnation_and_state() -> None:
    world = restarting()
    seen = [(view.id, view.kind, view.state, view.incarnation) for view in world.tree.children()]
    assert seen == [
        ("root", "supervisor", State.READY, 1),
        ("a", "worker", State.RESTARTING, 1),
        ("b", "worker", State.READY, 1),
    ]


def test_084_specs_active_supervisors_and_workers_can_be_counted_and_restarting_is_not_active() -> None:
    world = World(ours("root", ONE, leaf("a", backoff=SLOW), ours("s", ONE, leaf("b")), leaf("c"))).boot()
    world.die("a", crash())
    world.order_("stop", "s")
    world.flow()
    views = [view for view in world.tree.children() if view.path.count("/") == 1]
    assert len(views) == 3
    assert [view.id for view in views if view.state is State.READY] == ["c"]
    assert [view.id for view in views if view.kind == "supervisor"] == ["s"]
    assert [view.id for view in views if view.kind == "worker"] == ["a", "c"]


def test_087_a_question_to_a_server_that_does_not_exist_fails_at_once_and_distinctly(tmp_path: Path) -> None:
    client = Client(tmp_path)
    with pytest.raises(Unreachable, match="no server runs in") as caught:
        client.ask("status")
    assert not caught.value.running
    client.close()


def calls_of(act: Callable[[], Any]) -> int:
    """How many Python calls an act makes: time without a clock."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(see)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def test_089_ours_orders_are_answered_while_a_child_starts_and_while_one_stops() -> None:
    world = World(otp("root", ONE, kid("a"), kid("b"), kid("c"))).boot("a")
    assert world.states() == {"a": "ready", "b": "starting", "c": "waiting"}
    assert world.order_("stop", "b").ok, "also the start itself can be interrupted"
    assert world.order_("restart", "a").ok
    assert world.state("b") is State.STOPPING
    world.tell(Shutdown("enough"))
    assert world.order_("start", "c").code == "shutting_down"
