"""The tree at work over processes, without a root around it: births that come too late."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from random import Random

import pytest

from supervisor.moves import Boot, Order, Verb
from supervisor.runtime import link
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.runtime.runner import Owner, Runner
from supervisor.spec import child, supervise
from supervisor.words import Strategy

pytestmark = pytest.mark.process


class SlowZygote(Owner):
    """Takes requests for births and answers none."""

    def __init__(self) -> None:
        self.asked: list[Life] = []

    def birth(self, life: Life) -> None:
        life.line, _ = link.pair()
        self.asked.append(life)


def test_a_node_born_after_it_was_given_up_is_killed_and_leaves_neither_zombie_nor_descriptor() -> None:
    loop, owner = Loop(lambda where, error: pytest.fail(f"{where}: {error}")), SlowZygote()
    tree = supervise("root", Strategy.ONE_FOR_ONE, [child("a", "tests.supervisor.toys:Worker")])
    runner = Runner(loop, tree, owner, Random(0))
    runner.tell(Boot())
    answer = runner.order(Order("o", Verb.STOP, "a"), "o")
    assert answer is not None
    assert answer.ok
    assert runner.lives == {}, "nobody waits for a birth that nobody wants"

    held = _descriptors()
    late = subprocess.Popen(["sleep", "60"])
    runner.born(owner.asked[0], late.pid)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{late.pid}").exists():
        assert time.monotonic() < deadline, f"{late.pid} is still there"
        loop.turn(0.05)
    late.returncode = -9  # the runner has reaped it; Popen must not wait again
    assert _descriptors() == held
    loop.close()


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
