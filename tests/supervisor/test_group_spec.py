"""The specs of a node that supervises its own actors, and what is refused about them before anything starts."""

from __future__ import annotations

import msgspec

from supervisor.spec import DynamicSpec, SupervisorSpec, check, child, member, members, node, supervise
from supervisor.words import Strategy

ONE = Strategy.ONE_FOR_ONE


def test_a_node_holds_a_tree_of_actors_and_the_plan_carries_it() -> None:
    pool = node("pool", Strategy.REST_FOR_ONE, [member("a", "m:A"), member("b", "m:B", size=3)], intensity=7)
    tree = supervise("root", ONE, [pool, child("c", "m:C")])

    assert check(tree) == []
    assert [path for path, _ in members(pool)] == ["pool/a", "pool/b"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tree), type=SupervisorSpec) == tree


def test_names_inside_a_node_are_names_of_the_whole_tree() -> None:
    tree = supervise("root", ONE, [node("pool", ONE, [member("a", "m:A")]), child("a", "m:A")])

    assert check(tree) == ["root/a: id is 'a'; it is already used by pool/a; names are unique in the whole tree"]


def test_an_actor_outside_a_node_and_a_node_without_actors_are_refused() -> None:
    tree = supervise("root", ONE, [child("c", "m:C"), member("lost", "m:A"), node("empty", ONE, [])])

    assert check(tree) == [
        "root/empty: start.group is empty; a node hosts at least one actor",
        "root/lost: start is 'an actor'; only a node can host it, and root/c is none of its actors",
    ]


def test_a_faulty_spec_inside_a_node_is_found_with_its_whole_path() -> None:
    bad = member("a", "no-class", spec={"shutdown_s": -1.0})

    faults = check(supervise("root", ONE, [node("pool", ONE, [bad, child("inner", "m:C")], intensity=-1)]))

    assert "root/pool: intensity is -1; it must be 0 or more" in faults
    assert "root/pool/a: shutdown_s is -1.0; it must be 0 (brutal kill) or more" in faults
    assert any("root/pool/a: start.path is 'no-class'" in fault for fault in faults)
    assert "root/pool: inner is no actor; a node hosts actors, made by `member`" in faults


def test_children_come_and_go_in_the_tree_of_the_root_only() -> None:
    pool = node("pool", ONE, [member("a", "m:A"), DynamicSpec(id="many")])

    assert check(supervise("root", ONE, [pool])) == [
        "root/pool: many is dynamic; children come and go in the tree of the root, not in a node"
    ]
