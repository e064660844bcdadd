"""Statements 90-95: significant children and automatic shutdown."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.spec import ChildSpec, SupervisorSpec
from supervisor.words import AutoShutdown, ExitKind, ExitReason, Restart, State
from tests.supervisor.conformance.words import ALL, NORMAL, ONE, crash, kid, moves, otp
from tests.supervisor.tree_world import World

ANY, LAST = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
TRANSIENT, TEMPORARY = Restart.TRANSIENT, Restart.TEMPORARY


def vital(name: str, restart: Restart = TRANSIENT) -> ChildSpec:
    return kid(name, restart=restart, significant=True)


def inside(mode: AutoShutdown, *children: ChildSpec, **fields: Any) -> SupervisorSpec:
    return otp("s", fields.pop("strategy", ONE), *children, auto_shutdown=mode, **{"intensity": 100, **fields})


def world(s: SupervisorSpec) -> World:
    return World(otp("root", ONE, s, kid("z"), intensity=100)).boot()


@pytest.mark.parametrize("mode", [ANY, LAST])
@pytest.mark.parametrize(("restart", "reason"), [(TRANSIENT, NORMAL), (TEMPORARY, NORMAL), (TEMPORARY, crash())])
def test_090_a_non_significant_child_never_triggers_it(
    mode: AutoShutdown, restart: Restart, reason: ExitReason
) -> None:
    it = world(inside(mode, kid("a", restart=restart), vital("b")))
    assert moves(it, lambda: it.die("a", reason)) == []
    assert it.state("s") is State.READY


@pytest.mark.parametrize(("restart", "reason"), [(TRANSIENT, NORMAL), (TEMPORARY, NORMAL), (TEMPORARY, crash())])
def test_091_any_significant_the_first_that_ends_for_good_stops_its_supervisor(
    restart: Restart, reason: ExitReason
) -> None:
    it = world(inside(ANY, kid("a"), vital("b", restart), vital("c"), kid("d"), restart=TRANSIENT))
    assert moves(it, lambda: it.die("b", reason)) == ["stop d 1", "stop c 1", "stop a 1"]
    assert (it.state("s"), it.states()["z"]) == (State.STOPPED, "ready")


def test_092_all_significant_only_the_last_does() -> None:
    it = world(inside(LAST, kid("a"), vital("b"), vital("c", TEMPORARY), restart=TRANSIENT))
    assert moves(it, lambda: it.die("b", NORMAL)) == []
    assert moves(it, lambda: it.die("c", crash())) == ["stop a 1"]
    assert it.state("s") is State.STOPPED


def test_093_a_significant_transient_child_that_crashes_is_restarted_instead() -> None:
    it = world(inside(ANY, vital("a"), kid("b")))
    assert moves(it, lambda: it.die("a", crash())) == ["start a 2"]


def test_094_endings_caused_by_the_supervisor_do_not_count() -> None:
    it = world(inside(ANY, kid("a"), vital("b", TEMPORARY), vital("c"), strategy=ALL))
    assert moves(it, lambda: it.order_("stop", "c")) == ["stop c 1"]
    assert it.state("s") is State.READY
    moves(it, lambda: it.die("a", crash()))
    assert (it.state("s"), it.state("b")) == (State.READY, State.STOPPED), "a sibling's failure took b down"


@pytest.mark.parametrize(("significant", "climbs"), [(False, False), (True, True)])
def test_095_the_rest_stops_in_reverse_and_it_climbs_only_if_the_supervisor_is_significant_itself(
    significant: bool, climbs: bool
) -> None:
    s = inside(ANY, kid("a"), kid("b"), vital("c"), restart=TRANSIENT, significant=significant)
    mid = otp("mid", ONE, s, kid("y"), auto_shutdown=ANY, restart=TRANSIENT, intensity=100)
    it = World(otp("root", ONE, mid, kid("z"), intensity=100)).boot()
    stops = ["stop b 1", "stop a 1"]
    assert moves(it, lambda: it.die("c", NORMAL)) == ([*stops, "stop y 1"] if climbs else stops)
    last = it.view("s").last_exit
    assert last is not None
    assert last.kind is ExitKind.SHUTDOWN
    assert it.state("mid") is (State.STOPPED if climbs else State.READY)
