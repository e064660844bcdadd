"""Children that come and go at run time, told as short histories; every one also runs under the judge."""

from __future__ import annotations

import gc
from collections import Counter
from random import Random
from typing import Any

import pytest

from supervisor.events import SupervisionKind
from supervisor.spec import (
    OTP,
    Backoff,
    ChildSpec,
    InvalidSpec,
    Law,
    NodeStart,
    ProgramStart,
    check,
    member,
    node,
    partition_of,
    partitions,
    supervise,
)
from supervisor.tree import AddChild, Boot, Exited, Ready, Shutdown, Start, Tree
from supervisor.words import AutoShutdown, ExitKind, ExitReason, OnExhausted, Restart, State, Strategy
from tests.supervisor.tree_world import ASKED, World, leaf, pool, root

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
NORMAL = ExitReason(kind=ExitKind.NORMAL, code=0)


def with_pool(**fields: Any) -> World:
    return World(root(ONE, leaf("a"), pool("p", **fields), leaf("z"))).boot()


def a_dozen(world: World, *names: str, **fields: Any) -> World:
    for name in names:
        assert world.add("p", leaf(name, **fields)).ok
        world.flow()
    return world


# -- adding ---


def test_an_added_child_starts_at_once_and_is_last_in_order() -> None:
    world = a_dozen(with_pool(), "x", "y")
    assert [view.id for view in world.tree.children()] == ["root", "a", "p", "x", "y", "z"]
    assert world.view("y").path == "root/p/y"
    assert world.states()["y"] == "ready"
    assert world.said(SupervisionKind.ADDED)[0].sentence == "x is added: below p"


def test_a_template_needs_only_a_name() -> None:
    world = with_pool(template=leaf("any", shutdown_s=1.0))
    answer = world.add("p", "x")
    assert (answer.ok, answer.code, answer.text) == (True, "ok", "x is added below p and is being started")
    started = world.leaves["x"].start
    assert isinstance(started, NodeStart)
    assert (started.actors[0].name, world.leaves["x"].shutdown_s) == ("x", 1.0)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_child_added_to_a_static_supervisor_is_last_in_the_order_of_its_group(strategy: Strategy) -> None:
    world = World(root(strategy, leaf("a"), leaf("b"))).boot()
    assert world.add("root", leaf("c")).ok
    world.flow()
    mark = len(world.actions)
    world.die("a", worked=True)
    world.flow()
    group = ["stop c 1", "stop b 1", "start a 2", "start b 2", "start c 2"]
    assert world.since(mark) == (["start a 2"] if strategy is ONE else group)


def test_a_child_added_while_its_supervisor_starts_takes_its_turn() -> None:
    world = World(root(ONE, leaf("a"), leaf("b"))).boot("nobody")
    assert world.add("root", leaf("c")).ok
    assert world.states() == {"a": "starting", "b": "waiting", "c": "waiting"}
    world.flow()
    assert world.since(0) == ["start a 1", "start b 1", "start c 1"]


def test_each_thing_that_cannot_be_added_has_its_answer() -> None:
    world = a_dozen(with_pool(max_children=2), "x")
    world.order_("stop", "x")
    world.flow()

    def answer(above: str, spec: ChildSpec | str) -> tuple[str, str]:
        given = world.add(above, spec)
        return given.code, given.text

    bad = leaf("y", shutdown_s=-1.0)
    assert answer("p", bad) == (
        "invalid_spec",
        "y cannot be added: root/p/y: shutdown_s is -1.0; it must be 0 (brutal kill) or more",
    )
    significant = leaf("y", significant=True, restart=Restart.TRANSIENT)
    assert answer("p", significant)[0] == "invalid_spec"
    assert answer("p", leaf("a")) == ("already_started", "a is already up as incarnation 1, pid 1001")
    present = "there is a x already, stopped at root/p/x; the new spec is discarded"
    assert answer("p", leaf("x")) == ("already_present", present)
    assert answer("p", "y") == ("not_dynamic", "p has no template to make a child from; give a whole child spec")
    assert answer("a", leaf("y")) == ("not_supervisor", "a is a worker; only a supervisor has children")
    assert answer("rooot", leaf("y")) == ("not_found", "there is no rooot; did you mean root?")
    assert answer("p", leaf("y"))[0] == "ok"
    full = "w is not added: p has 2 children, as many as it may have"
    assert answer("p", leaf("w")) == ("max_children", full), "a stopped one counts, as does one that is restarting"
    world.order_("stop", "p")
    assert answer("p", leaf("w")) == ("supervisor_down", "w cannot come up: its supervisor p is stopping")
    world.tell(Shutdown("the end"))
    assert answer("p", leaf("w"))[0] == "shutting_down"


def test_a_name_inside_a_node_is_taken_too() -> None:
    inside = node("n", ONE, [member("deep", "actors.feed:Feed")])
    world = World(root(ONE, inside, pool("p"))).boot()
    assert world.add("p", leaf("deep")).code == "already_present"
    again = node("m", ONE, [member("deep", "actors.feed:Feed")])
    assert "deep inside it has the name of root/n" in world.add("p", again).text
    other = node("m", ONE, [member("deeper", "actors.feed:Feed")])
    assert world.add("p", other).ok
    assert world.add("p", leaf("deeper")).code == "already_present"
    world.flow()
    world.remove("m")
    world.flow()
    assert world.add("p", leaf("deeper")).ok, "the names leave with the node"


def test_the_first_start_that_fails_is_retried_because_the_child_is_wanted() -> None:
    world = with_pool()
    world.failing = {"x": 1}
    a_dozen(world, "x", backoff=Backoff(initial_s=10))
    assert world.state("x") is State.RESTARTING
    world.wait(10)
    world.flow()
    assert world.state("x") is State.READY


@pytest.mark.parametrize("strategy", list(Strategy))
def test_under_otps_law_the_first_start_that_fails_forgets_the_spec_and_costs_nothing(strategy: Strategy) -> None:
    world = World(root(strategy, leaf("a"), leaf("b"), law=OTP)).boot()
    world.failing = {"x": 1}
    mark = len(world.actions)
    assert world.add("root", leaf("x")).ok
    world.flow()
    assert world.since(mark) == ["start x 1"]
    assert world.tree.child("x") is None
    assert world.view("root").restarts_in_window == 0
    assert world.add("root", leaf("x")).ok
    world.flow()
    assert world.since(mark)[-1] == "start x 2", "the number of an incarnation is never used again"


# -- ending, removing ---


def test_what_has_ended_for_good_leaves_no_card_behind_and_its_name_is_free() -> None:
    world = with_pool()
    a_dozen(world, "x", restart=Restart.TEMPORARY)
    a_dozen(world, "y", restart=Restart.TRANSIENT)
    world.die("x")
    world.die("y", NORMAL)
    assert [view.id for view in world.tree.children()] == ["root", "a", "p", "z"]
    assert world.view("p").restarts_in_window == 0
    a_dozen(world, "x")
    assert world.since(0)[-1] == "start x 2"


def test_thousands_of_temporary_children_leave_nothing_behind() -> None:
    tree = Tree(root(ONE, pool("p", template=leaf("any", restart=Restart.TEMPORARY))), Random(0))
    tree.handle(Boot(), 0.0)

    def things() -> int:
        gc.collect()
        return len(gc.get_objects())

    def live_and_die(name: str) -> None:
        (start,) = (a for a in tree.handle(AddChild("o", "p", None, name), 1.0) if isinstance(a, Start))
        tree.handle(Ready(name, start.incarnation), 1.0)
        tree.handle(Exited(name, start.incarnation, NORMAL, worked=True), 1.0)

    for n in range(300):
        live_and_die(f"first-{n}")
    before = things()
    for n in range(300):
        live_and_die(f"second-{n}")
    assert things() - before < 50
    assert len(tree.children()) == 2


def test_the_numbers_of_incarnations_only_grow_also_for_names_long_forgotten() -> None:
    tree = Tree(root(ONE, pool("p", template=leaf("any", restart=Restart.TEMPORARY))), Random(0), {"old": 4})
    tree.handle(Boot(), 0.0)

    def live_and_die(name: str) -> int:
        (start,) = (a for a in tree.handle(AddChild("o", "p", None, name), 1.0) if isinstance(a, Start))
        tree.handle(Exited(name, start.incarnation, NORMAL, worked=False), 1.0)
        return start.incarnation

    assert [live_and_die("old"), live_and_die("new"), live_and_die("new")] == [5, 1, 2]
    for n in range(1001):
        live_and_die(f"x{n}")
    assert live_and_die("old") == 6, "its number is not kept any more, and yet not used again"


def test_an_added_temporary_child_that_falls_with_its_group_leaves_and_others_stay() -> None:
    world = World(root(ALL, leaf("a"), leaf("t", restart=Restart.TEMPORARY))).boot()
    world.add("root", leaf("x", restart=Restart.TEMPORARY))
    world.add("root", leaf("y"))
    world.flow()
    world.die("a", worked=True)
    world.flow()
    assert world.states() == {"a": "ready", "t": "stopped", "y": "ready"}
    assert [record.kind for record in world.records if record.id == "x"][-2:] == ["stopped", "removed"], "how it ended"


def test_removing_stops_a_dynamic_child_and_forgets_it_when_its_death_is_confirmed() -> None:
    world = a_dozen(with_pool(), "x", "y")
    mark = len(world.actions)
    answer = world.remove("x")
    assert (answer.ok, answer.text) == (True, "x is removed as soon as incarnation 1 is confirmed dead")
    assert world.state("x") is State.STOPPING
    assert world.order_("start", "x").code == world.remove("x").code == "leaving"
    world.die("x", ASKED)
    assert world.since(mark) == ["stop x 1"]
    assert world.tree.child("x") is None
    assert world.remove("x").code == "not_found"


def test_removing_a_static_child_needs_it_stopped_and_it_is_there_again_with_its_supervisor() -> None:
    world = World(root(ONE, supervise("s", REST, [leaf("a"), leaf("b"), leaf("c")]))).boot()
    assert world.remove("b").code == "running"
    world.order_("stop", "b")
    assert world.remove("b").ok, "going down and not coming back"
    world.flow()
    assert world.states() == {"a": "ready", "c": "ready"}
    world.order_("restart", "s")
    world.flow()
    assert world.since(0)[-3:] == ["start a 2", "start b 2", "start c 2"]


def test_a_restarting_child_is_removed_only_where_children_come_and_go() -> None:
    slow = Backoff(initial_s=10)
    world = a_dozen(World(root(ONE, leaf("b", backoff=slow), pool("p"))).boot(), "x", backoff=slow)
    world.die("b")
    world.die("x")
    assert (world.state("b"), world.state("x")) == (State.RESTARTING, State.RESTARTING)
    assert world.remove("b").code == "restarting"
    assert world.remove("x").ok
    assert world.tree.child("x") is None
    world.wait(20)
    assert "start x 2" not in world.since(0)


# -- down ---


def test_children_of_a_dynamic_supervisor_stop_side_by_side_when_its_turn_has_come() -> None:
    world = a_dozen(with_pool(), "x", "y", "w")
    mark = len(world.actions)
    world.tell(Shutdown("the end"))
    assert world.since(mark) == ["stop z 1"]
    world.die("z", ASKED)
    assert world.since(mark)[1:] == ["stop w 1", "stop y 1", "stop x 1"]
    for name in ("y", "w"):
        world.die(name, ASKED)
    assert "stop a 1" not in world.since(mark)
    world.die("x", ASKED)
    assert world.since(mark)[-1] == "stop a 1"
    world.flow()
    assert world.ended == 1


def test_a_restarted_dynamic_supervisor_has_forgotten_its_children() -> None:
    world = a_dozen(with_pool(intensity=0, on_exhausted=OnExhausted.ESCALATE), "x", "y")
    world.die("x", worked=True)
    world.flow()
    assert world.tree.child("x") is world.tree.child("y") is None
    world.wait(2)
    assert world.state("p") is State.READY
    assert world.states() == {"a": "ready", "z": "ready"}


def test_one_that_remembers_brings_them_back_side_by_side_and_a_stopped_one_stays_stopped() -> None:
    world = a_dozen(with_pool(intensity=0, on_exhausted=OnExhausted.ESCALATE, remembers=True), "x", "y", "w")
    world.order_("stop", "y")
    world.flow()
    mark = len(world.actions)
    world.die("x", worked=True)
    world.flow("w")
    world.wait(2)
    assert world.since(mark) == ["stop w 1", "start x 2", "start w 2"]
    world.flow()
    assert world.states() == {"a": "ready", "x": "ready", "y": "stopped", "w": "ready", "z": "ready"}


def test_what_is_remembered_outlives_the_tree() -> None:
    before = with_pool(remembers=True)
    a_dozen(before, "x", "y", "w")
    a_dozen(before, "t", restart=Restart.TEMPORARY)
    before.remove("y")
    before.flow()
    before.tell(Shutdown("the end"))
    before.flow()
    assert {name: list(kept) for name, kept in before.stored.items()} == {"p": ["x", "w"]}

    kept = {name: tuple(specs.values()) for name, specs in before.stored.items()}
    spec = root(ONE, leaf("a"), leaf("w"), pool("p", remembers=True, max_children=2))
    after = World(spec, incarnations=before.counted, remembered=kept).boot()
    assert after.since(0) == ["start a 2", "start w 2", "start x 2"]
    sentence = after.said(SupervisionKind.FORGOTTEN)[0].sentence
    assert sentence == "p does not get back all it remembered: w is not brought back: its name is taken by root/w"
    forgetful = World(root(ONE, pool("p")), remembered=kept).boot()
    assert forgetful.since(0) == []


def test_a_remembered_child_that_fails_at_boot_ends_nobodys_start() -> None:
    strict = Law(boot_carries_on=False)
    world = World(root(ONE, pool("p", remembers=True, law=strict)), remembered={"p": (leaf("x"),)})
    world.failing = {"x": 1}
    world.boot("x")
    assert world.state("x") in (State.RESTARTING, State.READY)
    assert world.ended == 0


# -- specs ---


def test_a_dynamic_supervisor_is_checked_before_it_starts() -> None:
    many = node("n", ONE, [member("deep", "actors.feed:Feed")])
    fields = {"strategy": REST, "max_children": 0, "template": many}
    bad = pool("p", auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, **fields)
    faults = "; ".join(check(root(ONE, bad)))
    for rule in ("p: strategy is", "p: auto_shutdown is", "p: max_children is 0", "p/template: start.group", "repeat"):
        assert rule in faults
    with pytest.raises(InvalidSpec, match="did you mean max_children"):
        pool("p", max_childs=3)


def test_partitions_are_equal_children_and_a_key_always_goes_to_the_same_one() -> None:
    spec = partitions("ai", 4, lambda name, n: ChildSpec(id=name, start=ProgramStart(argv=("ai", str(n)))), intensity=9)
    assert [child.id for child in spec.children] == ["ai:0", "ai:1", "ai:2", "ai:3"]
    assert (check(root(ONE, spec)), spec.intensity) == ([], 9)
    spread = Counter(partition_of(f"symbol {n}", 4) for n in range(4000))
    assert min(spread.values()) > 800
    assert partition_of("BTC/USDT", 4) == 3, "the same in every process and every run"
    with pytest.raises(InvalidSpec, match="count is 0"):
        partitions("ai", 0, lambda name, n: leaf(name))


def test_what_stands_before_a_falling_group_goes_on_with_its_own_life() -> None:
    world = World(root(REST, pool("p"), leaf("a"), leaf("b"))).boot()
    world.die("a", worked=True)
    assert world.states() == {"a": "waiting", "b": "stopping"}
    assert world.add("p", leaf("x")).ok
    assert world.states()["x"] == "starting"
