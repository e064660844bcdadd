"""Automatic shutdown: significant children that end for good take their supervisor with them (statements 90-95)."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.events import SupervisionKind
from supervisor.moves import Ended, GiveUp
from supervisor.spec import OTP, Backoff, ChildSpec, check, supervise
from supervisor.words import AutoShutdown, ExitKind, ExitReason, Restart, State, Strategy
from tests.supervisor.tree_world import CRASH, World, leaf, root

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
NORMAL = ExitReason(kind=ExitKind.NORMAL, code=0)
ANY, EVERY = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
TRANSIENT, TEMPORARY = Restart.TRANSIENT, Restart.TEMPORARY


def key(name: str, restart: Restart = TRANSIENT) -> ChildSpec:
    return leaf(name, restart=restart, significant=True)


def world(mode: AutoShutdown, *children: ChildSpec, strategy: Strategy = ONE, **fields: Any) -> World:
    """a, then a supervisor `s` of these children, then z."""
    inner = supervise("s", strategy, list(children), auto_shutdown=mode, **{"restart": TRANSIENT, **fields})
    return World(root(ONE, leaf("a"), inner, leaf("z"))).boot()


def after(world: World, name: str, reason: ExitReason) -> list[str]:
    mark = len(world.actions)
    world.die(name, reason, worked=True)
    world.flow()
    return world.since(mark)


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize(("restart", "reason"), [(TRANSIENT, NORMAL), (TEMPORARY, NORMAL), (TEMPORARY, CRASH)])
def test_any_significant_child_that_ends_for_good_ends_its_supervisor_in_reverse_order(
    restart: Restart, reason: ExitReason, strategy: Strategy
) -> None:
    w = world(ANY, leaf("b"), key("k", restart), leaf("c"), strategy=strategy)
    assert after(w, "k", reason) == ["stop c 1", "stop b 1"]
    assert w.state("s") is State.STOPPED
    assert w.states() == {"a": "ready", "b": "stopped", "k": "stopped", "c": "stopped", "z": "ready"}
    sentence = w.said(SupervisionKind.AUTO_SHUTDOWN)[0].sentence
    assert sentence.startswith("s shuts down by itself: its significant child k ended for good")
    assert w.view("root").ready, "it ended as it should"


def test_a_significant_child_that_crashes_is_restarted_instead() -> None:
    w = world(ANY, key("k"))
    assert after(w, "k", CRASH) == ["start k 2"]


def test_a_child_that_is_not_significant_ends_nothing() -> None:
    w = world(ANY, leaf("b", restart=TEMPORARY), key("k"))
    assert after(w, "b", CRASH) == []
    assert w.state("s") is State.READY


def test_all_significant_waits_for_the_last_one_and_those_that_are_down_do_not_count() -> None:
    w = world(EVERY, key("k"), key("l", TEMPORARY), key("m"), leaf("b"))
    assert after(w, "k", NORMAL) == []
    w.order_("stop", "m")
    w.flow()
    assert after(w, "l", CRASH) == ["stop b 1"]
    assert w.state("s") is State.STOPPED


def test_one_that_is_restarting_still_counts() -> None:
    w = world(EVERY, key("k"), key("l"))
    w.die("k")
    assert w.state("k") is State.RESTARTING
    assert after(w, "l", NORMAL) == []
    assert w.state("s") is State.READY


def test_an_end_brought_about_by_the_supervisor_does_not_count() -> None:
    w = world(ANY, leaf("b"), key("k", TEMPORARY), key("l"), strategy=ALL)
    assert after(w, "b", CRASH) == ["stop l 1", "stop k 1", "start b 2", "start l 2"]
    w.order_("stop", "l")
    w.flow()
    assert w.state("s") is State.READY


@pytest.mark.parametrize(("restart", "again"), [(Restart.PERMANENT, True), (TRANSIENT, False), (TEMPORARY, False)])
def test_the_supervisor_ended_with_shutdown_so_its_own_restart_type_decides(restart: Restart, again: bool) -> None:
    w = world(ANY, leaf("b"), key("k"), restart=restart)
    assert after(w, "k", NORMAL) == ["stop b 1"]
    assert w.state("s") is (State.RESTARTING if again else State.STOPPED)
    assert w.view("root").restarts_in_window == (1 if again else 0)


def test_it_climbs_only_where_the_supervisor_itself_is_significant() -> None:
    def tree(significant: bool) -> World:
        inner = supervise("i", ONE, [key("k")], auto_shutdown=ANY, restart=TRANSIENT, significant=significant)
        outer = supervise("o", ONE, [leaf("b"), inner], auto_shutdown=ANY, restart=TRANSIENT)
        return World(root(ONE, leaf("a"), outer)).boot()

    quiet, climbing = tree(significant=False), tree(significant=True)
    assert after(quiet, "k", NORMAL) == []
    assert (quiet.state("i"), quiet.state("o")) == (State.STOPPED, State.READY)
    assert after(climbing, "k", NORMAL) == ["stop b 1"]
    assert (climbing.state("i"), climbing.state("o")) == (State.STOPPED, State.STOPPED)


def test_a_supervisor_that_ends_in_order_while_it_still_starts_has_not_failed_to_start() -> None:
    inner = supervise("s", ONE, [key("k"), leaf("b")], auto_shutdown=ANY, restart=TRANSIENT)
    w = World(root(ONE, leaf("a"), inner, leaf("z"), law=OTP)).boot("a", "k")
    w.die("k", NORMAL)
    w.flow()
    assert w.state("s") is State.STOPPED
    assert w.states()["z"] == "ready"


def test_at_the_root_the_tree_ends_in_order_and_nobody_gave_up() -> None:
    w = World(root(ONE, leaf("a"), key("k"), leaf("z"), auto_shutdown=ANY)).boot()
    assert after(w, "k", NORMAL) == ["stop z 1", "stop a 1"]
    ended = [action.reason for action in w.actions if isinstance(action, Ended)]
    assert ended == ["root: its significant child k ended for good, normal with exit code 0"]
    assert not any(isinstance(action, GiveUp) for action in w.actions)


def test_a_significance_that_cannot_mean_anything_is_refused() -> None:
    def faults(*children: ChildSpec, **fields: Any) -> str:
        return "; ".join(check(root(ONE, *children, **fields)))

    assert "auto_shutdown of root is never" in faults(key("k"))
    assert "a permanent child never ends for good" in faults(key("k", Restart.PERMANENT), auto_shutdown=ANY)
    permanent = supervise("s", ONE, [leaf("b")], significant=True)
    assert "a permanent child never ends for good" in "; ".join(check(root(ONE, permanent, auto_shutdown=ANY)))
    guard = leaf("g", safety=True, backoff=Backoff(cap_s=2.0))
    assert faults(key("k"), auto_shutdown=ANY) == ""
    assert "what holds a safety child stays up: root/g" in faults(key("k"), guard, auto_shutdown=ANY)
