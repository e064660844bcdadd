"""The root's eye over many children: what it costs is bounded, and it still finds the one that stands still.

Pages and kernel readings are real, time is a number: a tick is told when it is.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from supervisor.evidence import vitals
from supervisor.moves import ChildView
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.runtime.process import Process
from supervisor.runtime.watch import LOOKS, TICK_S, Watch
from supervisor.spec import ChildSpec, child
from supervisor.words import State, VerdictKind

pytestmark = pytest.mark.process
MANY = 300


class Field:
    """Many ready children, all of one sleeping process; `tick` moves the dials of those that are not `still`."""

    def __init__(self, home: Path, count: int) -> None:
        self.loop = Loop(lambda where, error: None)
        self.sleeper = subprocess.Popen(["sleep", "600"])
        self.specs: dict[str, ChildSpec] = {f"c{n}": child(f"c{n}", "m:C") for n in range(count)}
        self.pages = {id: vitals.Page(home / "vitals" / vitals.file_name(id), 1, (id,)) for id in self.specs}
        self.lives = {id: Life(self.loop, id, id, 1, spec) for id, spec in self.specs.items()}
        for life in self.lives.values():
            life.process = Process(self.sleeper.pid)
        self.still: set[str] = set()
        self.watch = Watch(home, self.specs, self.view)
        self.now = time.monotonic()

    def view(self, id: str) -> ChildView | None:
        if id not in self.specs:
            return None
        return ChildView(
            path=id, id=id, kind="worker", state=State.READY, incarnation=1, pid=self.sleeper.pid, since=0.0,
            restarts_in_window=0, restart_limit=5, restarts_total=0, next_retry_at=None, last_exit=None, ready=True,
            required=True,
        )  # fmt: skip

    def tick(self, times: int = 1) -> list[str]:
        """Names that were judged in the last tick."""
        judged: list[str] = []
        for _ in range(times):
            self.now += TICK_S
            for id, page in self.pages.items():
                words = page.slots[id].words
                words[vitals.STARTED] = words[vitals.READY] = 1
                words[vitals.LOOPS] += id not in self.still
            judged = [verdict.name for verdict, _ in self.watch.tick(self.now, self.now, self.lives)]
        return judged

    def close(self) -> None:
        for life in self.lives.values():
            assert life.process is not None
            life.process.close()
        self.sleeper.kill()
        self.sleeper.wait()
        self.loop.close()


@pytest.fixture
def field(tmp_path: Path):  # type: ignore[no-untyped-def]
    built = Field(tmp_path, MANY)
    yield built
    built.close()


def test_a_tick_looks_at_a_bounded_number_and_calm_children_wait_for_their_turn(field: Field) -> None:
    assert len(field.tick()) == LOOKS  # nobody was ever seen: all are restless
    field.tick(40)
    assert len(field.tick()) <= 4
    assert all(
        seen.verdict is not None and seen.verdict.kind is VerdictKind.HEALTHY for seen in field.watch.seen.values()
    )
    judged: set[str] = set()
    for _ in range(300):
        judged |= set(field.tick())
    assert judged == field.specs.keys()


def test_one_of_many_that_stops_turning_is_found_within_two_seconds_and_then_watched_closely(field: Field) -> None:
    field.tick(60)
    field.still = {"c123"}
    field.tick(20)
    assert all("c123" in field.tick() for _ in range(30))  # looked at in every tick, suspected after three seconds
    verdict = field.watch.seen["c123"].verdict
    assert verdict is not None
    assert verdict.kind is not VerdictKind.HEALTHY
    field.still = set()
    field.tick(30)
    verdict = field.watch.seen["c123"].verdict
    assert verdict is not None
    assert verdict.kind is VerdictKind.HEALTHY


def test_children_come_and_go(field: Field) -> None:
    field.tick(10)
    for id in ("c0", "c1", "c150", "c299"):
        del field.specs[id]
        field.watch.forget(id)
    field.tick(60)
    assert "c0" not in field.watch.seen
    field.watch.touch("c0")  # a late record of one that is no more
    field.specs["c0"] = child("c0", "m:C")
    field.watch.know("c0", field.specs["c0"])
    assert "c0" in field.tick()
