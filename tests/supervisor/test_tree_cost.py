"""What an event costs: function calls, counted, so that no slow machine can fail it and no fast one hide anything."""

from __future__ import annotations

import sys
from collections import deque
from random import Random
from types import FrameType

import pytest

from supervisor.spec import DynamicSpec, SupervisorSpec, make
from supervisor.tree import AddChild, Boot, Event, Exited, Kill, Ready, Shutdown, Start, Started, Stop, Tree
from supervisor.words import Restart, Strategy
from tests.supervisor.tree_world import ASKED, CRASH, leaf, root

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE


def play(tree: Tree, *events: Event) -> int:
    """Tell these, answer each start and stop at once; how many functions were called."""
    calls = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    todo = deque(events)
    while todo:
        event = todo.popleft()
        sys.setprofile(count)
        actions = tree.handle(event, 1.0)
        sys.setprofile(None)
        for action in actions:
            if isinstance(action, Start):
                todo += [Started(action.id, action.incarnation, 1), Ready(action.id, action.incarnation)]
            elif isinstance(action, Stop | Kill):
                todo.append(Exited(action.id, action.incarnation, ASKED, worked=False))
    return calls


def dynamic(n: int) -> SupervisorSpec:
    return make(DynamicSpec, id="p", template=leaf("any", restart=Restart.TEMPORARY), max_children=n + 10)


@pytest.mark.parametrize(("strategy", "who"), [(ONE, "first"), (ONE, "middle"), (ONE, "last"), (REST, "last")])
def test_one_restart_costs_the_same_among_ten_siblings_and_a_thousand(strategy: Strategy, who: str) -> None:
    def cost(n: int) -> int:
        tree = Tree(root(strategy, *(leaf(f"c{i}") for i in range(n))), Random(0))
        play(tree, Boot())
        name = {"first": "c0", "middle": f"c{n // 2}", "last": f"c{n - 1}"}[who]
        return play(tree, Exited(name, 1, CRASH, worked=True))

    assert cost(1000) <= cost(10) + 10


def test_start_stop_and_a_group_restart_grow_in_line_with_what_they_touch() -> None:
    def costs(n: int) -> tuple[int, int, int]:
        tree = Tree(root(ALL, *(leaf(f"c{i}") for i in range(n))), Random(0))
        return play(tree, Boot()), play(tree, Exited("c0", 1, CRASH, worked=True)), play(tree, Shutdown("the end"))

    for small, large in zip(costs(50), costs(500), strict=True):
        assert large <= 11 * small


def test_a_dynamic_child_comes_and_goes_at_the_same_cost_among_a_thousand() -> None:
    def cost(n: int) -> int:
        tree = Tree(root(ONE, dynamic(n)), Random(0))
        play(tree, Boot())
        play(tree, *(AddChild("o", "p", None, f"d{i}") for i in range(n)))
        return play(tree, AddChild("o", "p", None, "x"), Exited("x", 1, CRASH, worked=True))

    assert cost(1000) <= cost(10) + 10
