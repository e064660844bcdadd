"""The same statements over the bare machine and over real processes: what needs a real death is shown by one.

One root serves the whole module; each test has a supervisor of its own in its tree, the *scene* of its name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

import pytest

from supervisor.spec import ZygoteSpec
from supervisor.words import Restart, Strategy
from tests.supervisor.conformance import toys
from tests.supervisor.conformance.runtimes import OnMachine, OnProcesses, Runtime, Scene, plant, toy, wish
from tests.supervisor.conformance.toys import ExitsWith, FlagStart, GatedStart, Naughty, SlowStopper
from tests.supervisor.toys import House, alive

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
pytestmark = pytest.mark.process

SCENES = {
    "s036": Scene(ONE, a=toy()),
    "s038": Scene(ONE, a=toy(), b=toy(), c=toy()),
    "s039": Scene(ALL, a=toy(), b=toy(), c=toy()),
    "s040": Scene(REST, a=toy(), b=toy(), c=toy()),
    "s033": Scene(ALL, a=toy(), b=toy(spec={"restart": Restart.TEMPORARY})),
    "s046": Scene(ONE, a=toy(FlagStart), b=toy()),
    "s063": Scene(ONE, a=toy(), b=toy(), c=toy()),
    "s064": Scene(ONE, a=toy(SlowStopper, takes_s=0.2), b=toy(SlowStopper, takes_s=60, spec={"shutdown_s": 0.3})),
    "s065": Scene(ONE, a=toy(SlowStopper, takes_s=60, spec={"shutdown_s": 0.0})),
    "s066": Scene(ONE, a=toy(SlowStopper, takes_s=0.7, spec={"shutdown_s": inf})),
    "s069": Scene(ONE, a=toy(), b=toy(ExitsWith)),
    "s071": Scene(ONE, a=toy(), b=toy(Naughty, spec={"shutdown_s": 0.2})),
    "s078": Scene(ONE, a=toy(), b=toy()),
    "s089": Scene(ONE, a=toy(), b=toy(GatedStart), c=toy()),
}
SLOW_TO_START = {"s089.b"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Path]]:
    place = tmp_path_factory.mktemp("stage")
    folder = place / "wishes"
    folder.mkdir()
    home = House(place, plant(SCENES, folder), zygotes=(ZygoteSpec(role="core", imports=(toys.__name__,)),))
    home.start("root")
    try:
        home.until(lambda: home.child("s089.b").get("state") == "running", "everybody before the gate is ready")
        yield home, folder
    finally:
        home.close()


@pytest.fixture
def on(request: pytest.FixtureRequest, stage: tuple[House, Path], tmp_path: Path) -> Callable[[str], Runtime]:
    """The runtime of this run of the test, with the scene in hand."""

    def take(scene: str) -> Runtime:
        if request.param == "machine":
            return OnMachine(SCENES, tmp_path, scene)
        return OnProcesses(*stage, scene)

    return take


@pytest.fixture
def processes(stage: tuple[House, Path]) -> Callable[[str], OnProcesses]:
    return lambda scene: OnProcesses(*stage, scene)


everywhere = pytest.mark.parametrize("on", ["machine", "processes"], indirect=True)
On = Callable[[str], Runtime]


@everywhere
def test_038_one_for_one_only_the_failed_child_is_replaced(on: On) -> None:
    it = on("s038")
    it.crash("b")
    assert it.story("start b 2") == ["down b 1", "start b 2"]
    it.ready("a", "b", "c")
    assert [it.life(letter) for letter in "abc"] == [1, 2, 1]


@everywhere
def test_039_one_for_all_every_other_child_is_terminated_in_reverse_then_all_start_in_order(on: On) -> None:
    it = on("s039")
    it.crash("b")
    assert it.story("start c 2") == [
        *("down b 1", "stop c 1", "down c 1", "stop a 1", "down a 1"),
        *("start a 2", "start b 2", "start c 2"),
    ]
    it.ready("a", "b", "c")


@everywhere
def test_040_rest_for_one_later_children_go_down_in_reverse_and_earlier_ones_are_not_touched(on: On) -> None:
    it = on("s040")
    it.crash("b")
    assert it.story("start c 2") == ["down b 1", "stop c 1", "down c 1", "start b 2", "start c 2"]
    it.ready("a", "b", "c")


@everywhere
def test_033_a_temporary_child_stopped_with_its_group_is_not_brought_back(on: On) -> None:
    it = on("s033")
    it.crash("a")
    assert it.story("start a 2") == ["down a 1", "stop b 1", "down b 1", "start a 2"]
    it.ready("a")
    assert it.state("b") == "stopped"


@everywhere
def test_063_children_stop_in_reverse_and_none_is_told_before_the_previous_death_is_confirmed(on: On) -> None:
    it = on("s063")
    assert it.order("stop")["ok"]
    assert it.story("down a 1") == ["stop c 1", "down c 1", "stop b 1", "down b 1", "stop a 1", "down a 1"]
    assert it.order("start")["ok"]
    assert it.story("start c 2") == ["start a 2", "start b 2", "start c 2"]


@everywhere
def test_078_stop_keeps_the_spec_and_is_idempotent_and_start_revives_it(on: On) -> None:
    it = on("s078")
    assert it.order("stop", "b") | {"text": ""} == {"ok": True, "code": "ok", "text": ""}
    assert it.story("down b 1") == ["stop b 1", "down b 1"]
    assert it.order("stop", "b")["code"] == "stopped"
    assert it.order("start", "a")["code"] == "already_started"
    assert it.order("start", "b")["ok"]
    assert it.story("start b 2") == ["start b 2"]
    it.ready("a", "b")


# -- what only a real process can show ---

Processes = Callable[[str], OnProcesses]


def test_036_a_restart_has_fresh_state(processes: Processes) -> None:
    it = processes("s036")
    said = it.folder / "s036.a.remembers"
    it.until(lambda: said.exists(), "it works")
    it.kill("a")
    it.until(lambda: said.read_text() == "1 in life 2", "it begins with nothing")


def test_006_046_a_start_that_raises_is_an_exit_and_orders_are_answered_between_the_attempts(
    processes: Processes,
) -> None:
    it = processes("s046")
    wish(it.folder, "s046.a.flag", "set")
    it.kill("a")
    it.until(lambda: it.life("a") > 2, "it tries again and again")
    assert it.order("restart", "b")["ok"]
    it.until(lambda: it.state("a") == "quarantined", "the same failure three times is parked")
    (it.folder / "s046.a.flag").unlink()
    assert it.order("start", "a")["code"] == "quarantined"
    assert it.order("release", "a")["ok"]
    it.ready("a", "b")


def test_064_a_stop_waits_for_the_cleanup_but_no_longer_than_its_patience_and_then_for_the_death(
    processes: Processes,
) -> None:
    it = processes("s064")
    pids = [it.pid("a"), it.pid("b")]
    begun_at = time.monotonic()
    it.order("stop")
    it.story("down b 1", "stop a 1", "down a 1")
    assert 0.5 < time.monotonic() - begun_at < 30
    assert not any(alive(pid) for pid in pids)
    assert (it.folder / "s064.a.cleaned").exists()
    assert (it.folder / "s064.b.asked").exists()
    assert not (it.folder / "s064.b.cleaned").exists()


def test_065_brutal_kill_makes_no_polite_request(processes: Processes) -> None:
    it = processes("s065")
    pid = it.pid("a")
    it.order("stop", "a")
    it.story("down a 1")
    assert not alive(pid)
    assert not (it.folder / "s065.a.asked").exists()


def test_066_infinity_waits_as_long_as_it_takes(processes: Processes) -> None:
    it = processes("s066")
    it.order("stop", "a")
    it.story("down a 1")
    assert (it.folder / "s066.a.cleaned").exists()


def test_069_a_child_that_fails_in_its_stop_does_not_hang_it_and_its_own_reason_is_kept(processes: Processes) -> None:
    it = processes("s069")
    it.order("stop")
    assert it.story("down a 1") == ["stop b 1", "down b 1", "stop a 1", "down a 1"]
    [down] = it.home.events("s069.b", "stopped")
    assert "it ended shutdown with exit code 7" in down["sentence"]


def test_071_a_child_that_left_its_session_and_will_not_end_is_killed_and_awaited(processes: Processes) -> None:
    it = processes("s071")
    pid = it.pid("b")
    assert os.getsid(pid) == pid
    it.order("stop")
    assert it.story("down a 1") == ["stop b 1", "down b 1", "stop a 1", "down a 1"]
    assert not alive(pid)


def test_089_ours_orders_are_answered_while_a_child_starts_and_a_start_can_be_interrupted(
    processes: Processes,
) -> None:
    it = processes("s089")
    assert (it.state("a"), it.state("b"), it.state("c")) == ("ready", "running", "waiting")
    assert it.order("restart", "a")["ok"]
    assert it.order("stop", "b")["ok"]
    it.ready("c")
    assert it.state("b") == "stopping", "its thread still waits at the gate, its patience is not over"
    wish(it.folder, "s089.b.gate", "open")
    it.until(lambda: it.state("b") == "stopped", "it ends")


def test_074_075_when_the_root_ends_everything_below_has_ended_and_when_it_is_killed_too(tmp_path: Path) -> None:
    scenes = {"s074": Scene(ONE, a=toy(), b=toy(SlowStopper, takes_s=0.2))}
    folder = tmp_path / "wishes"
    folder.mkdir()
    home = House(tmp_path, plant(scenes, folder), zygotes=(ZygoteSpec(role="core", imports=(toys.__name__,)),))
    try:
        for end in (signal.SIGTERM, signal.SIGKILL):
            root = home.start("root")
            entries = home.ready("s074.a", "s074.b")
            pids = [entries[name]["pid"] for name in ("s074.a", "s074.b")]
            root.send_signal(end)
            assert root.wait(20) == (0 if end is signal.SIGTERM else -end)
            if end is signal.SIGTERM:
                assert not any(alive(pid) for pid in pids), "when the call returns, everything below is gone"
            home.until(lambda pids=pids: not any(alive(pid) for pid in pids), "all are gone", 2)  # type: ignore[misc]
    finally:
        home.close()
