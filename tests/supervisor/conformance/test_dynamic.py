"""Statements about children that come and go: 12, 24, 25, 34, 41, 48, 60, 67, 68, 76, 77, 82, 85, 86, and 88."""

from __future__ import annotations

import gc
from functools import partial
from math import inf
from random import Random
from typing import Any

import pytest

from supervisor import spec as specs
from supervisor.spec import DynamicSpec, make
from supervisor.tree import Boot, Exited, Ready, Shutdown, Start, Started, Stop, Tree
from supervisor.words import AutoShutdown, OnExhausted, Restart
from tests.supervisor.conformance.test_administration import calls_of
from tests.supervisor.conformance.words import NORMAL, ONE, REST, Dynamic, crash, kid, otp, ours, pool


def world(**fields: Any) -> Dynamic:
    return Dynamic(otp("root", ONE, kid("a"), pool("p", **fields), intensity=100))


def test_024_ours_a_dynamic_supervisor_has_one_template_or_none_and_the_template_is_checked() -> None:
    bare = Dynamic(otp("root", ONE, pool("p", template=None)))
    assert bare.add("p", "x") == "not_dynamic"
    assert bare.add("p", kid("x")) == "ok"
    faults = specs.check(otp("root", ONE, pool("p", template=kid("t", shutdown_s=-1.0))))
    assert faults == ["root/p/template: shutdown_s is -1.0; it must be 0 (brutal kill) or more"]


@pytest.mark.parametrize("mode", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
def test_025_auto_shutdown_other_than_never_is_refused_for_a_dynamic_supervisor(mode: AutoShutdown) -> None:
    [fault] = specs.check(otp("root", ONE, pool("p", auto_shutdown=mode)))
    assert "children that come and go cannot end it" in fault


def test_034_nothing_is_kept_of_a_temporary_child_that_has_ended() -> None:
    it = world(template=kid("template", restart=Restart.TEMPORARY))
    for turn in range(50):
        assert it.add("p", f"job{turn}") == "ok"
        it.die(f"job{turn}")
    del it.story[:]
    gc.collect()
    kept = [thing for thing in gc.get_objects() if type(thing).__name__ == "ChildSpec" and thing.id.startswith("job")]
    assert (kept, len(it.tree.children())) == ([], 3)


def test_041_a_child_added_at_run_time_is_last_in_start_order() -> None:
    it = Dynamic(otp("root", REST, kid("a"), kid("b"), intensity=100))
    assert it.add("root", kid("z")) == "ok"
    del it.story[:]
    it.die("b")
    it.obey()
    assert it.story == ["stop z 1", "start b 2", "start z 2"]


def test_048_a_dynamic_restart_reuses_the_spec_it_was_added_with() -> None:
    it = world()
    added = kid("x", shutdown_s=7.0)
    it.add("p", added)
    it.die("x")
    assert (it.alive["x"].spec, it.alive["x"].incarnation) == (added, 2)


def test_060_a_restarted_supervisor_has_its_static_children_only() -> None:
    it = Dynamic(otp("root", ONE, pool("p", intensity=0), intensity=100))
    it.add("p", "x")
    it.die("x")
    it.wait(10)
    assert (it.state("p"), it.state("x")) == ("ready", "gone")


def test_060_ours_a_supervisor_that_remembers_brings_its_dynamic_children_back() -> None:
    it = Dynamic(otp("root", ONE, pool("p", intensity=0, remembers=True), intensity=100))
    it.add("p", "x")
    assert it.stored == [("x", True)]
    it.die("x")
    it.wait(10)
    assert (it.state("p"), it.state("x")) == ("ready", "ready")
    again = Dynamic(otp("root", ONE, pool("p", remembers=True)), remembered={"p": (kid("x"), kid("y"))})
    assert again.story == ["start x 1", "start y 1"], "also after a new start of the server"


def test_067_068_dynamic_children_stop_all_at_once_each_with_its_own_patience() -> None:
    it = world()
    for name, shutdown_s in (("x", 0.0), ("y", 2.0), ("z", inf)):
        it.add("p", kid(name, shutdown_s=shutdown_s))
    it.tell(Shutdown("enough"))
    assert {stop.id: stop.shutdown_s for stop in it.told} == {"x": 0.0, "y": 2.0, "z": inf}
    it.obey()
    it.obey()
    assert it.alive == {}


def test_076_a_known_id_is_already_started_or_already_present_and_the_new_spec_is_discarded() -> None:
    it = Dynamic(ours("root", ONE, kid("a"), kid("b"), kid("c", backoff=specs.Backoff(initial_s=9))))
    it.order("stop", "b")
    it.obey()
    it.die("c")
    other = {"shutdown_s": 77.0}
    answers = [it.add("root", kid(name, **other)) for name in ("a", "b", "c")]
    assert answers == ["already_started", "already_present", "already_present"]
    assert it.state("c") == "restarting"
    it.order("start", "b")
    assert it.alive["b"].spec.shutdown_s == 5.0


def test_077_a_child_added_whose_start_fails_is_discarded_and_costs_nothing() -> None:
    it = Dynamic(otp("root", ONE, kid("a")))
    it.failing = {"x": 1}
    it.add("root", kid("x"))
    assert it.state("x") == "gone"
    view = it.tree.child("root")
    assert view is not None
    assert view.restarts_in_window == 0


def test_077_ours_a_child_added_whose_start_fails_is_retried_like_any_other() -> None:
    it = Dynamic(ours("root", ONE, kid("a")))
    it.failing = {"x": 1}
    assert it.add("root", kid("x")) == "ok"
    assert it.story[-2:] == ["start x 1", "start x 2"]
    assert it.state("x") == "ready"


def test_082_a_spec_is_deleted_only_when_its_child_is_stopped() -> None:
    it = Dynamic(ours("root", ONE, kid("a"), kid("b"), kid("c", backoff=specs.Backoff(initial_s=9))))
    it.die("c")
    assert [it.remove(name) for name in ("b", "c", "nobody")] == ["running", "restarting", "not_found"]
    it.order("stop", "b")
    it.obey()
    assert it.remove("b") == "ok"
    assert it.state("b") == "gone"
    assert it.add("root", kid("b")) == "ok", "the name is free"


def test_085_ours_dynamic_children_have_names_and_removing_one_stops_it() -> None:
    it = world()
    it.add("p", "x")
    assert it.remove("x") == "ok"
    assert it.story[-1] == "stop x 1"
    it.obey()
    assert it.state("x") == "gone"
    assert it.remove("x") == "not_found"


def test_086_max_children_refuses_more_and_counts_those_restarting() -> None:
    it = world(max_children=2, template=kid("template", backoff=specs.Backoff(initial_s=9)))
    it.add("p", "x")
    it.add("p", "y")
    it.die("x")
    assert it.state("x") == "restarting"
    assert it.add("p", "z") == "max_children"
    it.remove("x")
    assert it.add("p", "z") == "ok"


@pytest.mark.parametrize("dynamic", [False, True])
def test_088_start_and_stop_cost_grows_linearly_with_the_number_of_children(dynamic: bool) -> None:
    def live_and_die(count: int) -> None:
        children = tuple(kid(f"c{n}") for n in range(count))
        inside = make(DynamicSpec, id="s", children=children) if dynamic else ours("s", ONE, *children)
        tree = Tree(ours("root", ONE, inside), Random(0))
        due = tree.handle(Boot(), 0.0)
        for event in (None, Shutdown("enough")):
            due += tree.handle(event, 1.0) if event else []
            while due:
                match due.pop():
                    case Start(id=id, incarnation=incarnation):
                        due += tree.handle(Started(id, incarnation, 1), 0.0)
                        due += tree.handle(Ready(id, incarnation), 0.0)
                    case Stop(id=id, incarnation=incarnation):
                        due += tree.handle(Exited(id, incarnation, NORMAL, worked=False), 1.0)

    few, many = (calls_of(partial(live_and_die, count)) for count in (100, 400))
    assert many / few < 5, f"{few} calls for 100 children, {many} for 400"


def test_012_ours_a_dynamic_child_that_ends_for_good_leaves_nothing_and_its_supervisor_shuts_down_cleanly() -> None:
    it = world(template=kid("template", restart=Restart.TRANSIENT))
    it.add("p", "x")
    it.add("p", "y")
    it.die("x", NORMAL)
    assert it.state("x") == "gone"
    it.tell(Shutdown("enough"))
    for _ in range(3):
        it.obey()
    assert (it.alive, it.state("root")) == ({}, "stopped")


def test_052_a_dynamic_child_spends_the_intensity_of_its_supervisor_like_any_other() -> None:
    it = Dynamic(otp("root", ONE, pool("p", intensity=2, on_exhausted=OnExhausted.SHUTDOWN), intensity=0))
    it.add("p", "x")
    for n in range(3):
        it.die("x", crash(n))
    assert it.state("root") == "stopped"
