"""Statements 63-75: shutdown. The half that needs real deaths is in test_real.py."""

from __future__ import annotations

from math import inf

import pytest

from supervisor.events import SupervisionKind
from supervisor.policy import shutdown
from supervisor.spec import Backoff
from supervisor.tree import Kill, Shutdown, Stop
from supervisor.words import ExitKind, State
from tests.supervisor.conformance.words import KILLED, NORMAL, ONE, REST, abc, crash, kid, moves, otp, ours
from tests.supervisor.tree_world import ASKED, World, leaf


def end(world: World, within_s: float = inf) -> None:
    world.tell(Shutdown("enough", within_s))


def test_063_children_stop_in_strict_reverse_and_none_is_told_before_the_previous_death_is_confirmed() -> None:
    world = abc()
    mark = len(world.actions)
    end(world)
    for told, dies in (("stop c 1", "c"), ("stop b 1", "b"), ("stop a 1", "a")):
        assert world.since(mark)[-1] == told
        assert world.ended == 0
        world.die(dies, ASKED)
    assert world.since(mark) == ["stop c 1", "stop b 1", "stop a 1"]
    assert world.ended == 1


@pytest.mark.parametrize("shutdown_s", [0.0, 0.25, 5.0, inf])
def test_064_065_066_a_stop_carries_the_childs_own_patience_zero_is_brutal_kill(shutdown_s: float) -> None:
    world = abc(b={"shutdown_s": shutdown_s})
    world.order_("stop", "b")
    [stop] = [action for action in world.turn if isinstance(action, Stop)]
    assert stop.shutdown_s == shutdown_s
    assert world.state("b") is State.STOPPING, "it is down when its death is a fact, not when it is asked for"


def test_066_infinity_waits_for_ever() -> None:
    world = abc(b={"shutdown_s": inf})
    world.order_("stop", "b")
    world.wait(1_000_000)
    assert world.state("b") is State.STOPPING
    assert not [action for action in world.actions if isinstance(action, Kill)]


def test_066_ours_one_total_deadline_ends_even_that() -> None:
    world = abc(b={"shutdown_s": inf})
    end(world, within_s=10.0)
    world.die("c", ASKED)
    world.wait(10.0)
    assert world.since(0)[-1] == "kill b 1"


def test_067_every_static_child_has_its_own_full_budget() -> None:
    world = World(otp("root", ONE, kid("a", shutdown_s=3.0), kid("b", shutdown_s=4.0))).boot()
    end(world)
    world.wait(3.9)
    world.die("b", ASKED)
    stops = {action.id: action.shutdown_s for action in world.actions if isinstance(action, Stop)}
    assert stops == {"b": 4.0, "a": 3.0}
    assert shutdown.patience_s(3.0, 100.0, 99.0) == 1.0, "ours: what is told late under a deadline is told to hurry"


def test_069_a_child_that_exits_by_itself_during_shutdown_neither_hangs_nor_aborts_it() -> None:
    world = abc()
    end(world)
    world.die("a", crash(1))
    world.die("b", crash(2))
    world.die("c", crash(3))
    assert world.ended == 1
    for name, n in (("a", 1), ("b", 2), ("c", 3)):
        last = world.view(name).last_exit
        assert last is not None
        assert last.fingerprint == f"boom {n}", "its own reason is kept"


def test_070_how_a_stopped_child_really_ended_is_on_record() -> None:
    world = abc()
    world.order_("stop", "b")
    world.die("b", crash(7))
    [record] = [r for r in world.said(SupervisionKind.STOPPED) if r.id == "b"]
    assert record.exit is not None
    assert record.exit.kind is ExitKind.CRASHED
    assert "crashed" in record.sentence


def test_072_a_supervisor_can_be_shut_down_while_a_child_is_in_a_failing_restart_loop() -> None:
    world = World(ours("root", ONE, leaf("a", backoff=Backoff(initial_s=5, cap_s=5)), leaf("b"))).boot()
    world.die("a", crash())
    assert world.state("a") is State.RESTARTING
    assert moves(world, lambda: end(world)) == ["stop b 1"]
    assert world.ended == 1


def test_073_a_child_supervisor_finishes_its_own_shutdown_before_the_next_sibling_is_stopped() -> None:
    s = otp("s", REST, kid("b"), otp("t", ONE, kid("c"), kid("d")), kid("e"))
    world = World(otp("root", ONE, kid("a"), s, kid("f"))).boot()
    assert moves(world, lambda: end(world)) == [f"stop {name} 1" for name in "fedcba"]


@pytest.mark.parametrize("reason", [NORMAL, KILLED, crash()])
def test_075_stop_is_over_when_everything_below_is_gone(reason: object) -> None:
    world = World(otp("root", ONE, otp("s", ONE, kid("a"), kid("b")), kid("c"))).boot()
    world.order_("stop", "s")
    assert world.state("s") is State.STOPPING
    world.die("b", reason)  # type: ignore[arg-type]
    assert world.state("s") is State.STOPPING
    world.die("a", reason)  # type: ignore[arg-type]
    assert world.state("s") is State.STOPPED
    assert world.states()["c"] == "ready"
