"""The same statements over the bare machine, over real processes and over threads in a node.

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

from supervisor.runtime import locks
from supervisor.spec import ZygoteSpec
from supervisor.words import Restart, Strategy
from tests.supervisor.conformance import toys
from tests.supervisor.conformance.runtimes import OnMachine, OnRoot, Runtime, Scene, plant, toy, wish
from tests.supervisor.conformance.toys import ExitsWith, FlagStart, GatedStart, Naughty, SlowStopper
from tests.supervisor.toys import House, alive

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
pytestmark = pytest.mark.process

SCENES = {
    "s013": Scene(ONE, a=toy()),
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
    "s089": Scene(REST, a=toy(), b=toy(GatedStart), c=toy()),
}
INSIDE = ("033", "036", "038", "039", "040", "046", "063", "066", "069", "071", "078", "089")
ALL_SCENES = SCENES | {"t051": Scene(ONE, a=toy(), b=toy())} | {f"t{number}": SCENES[f"s{number}"] for number in INSIDE}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Path]]:
    place = tmp_path_factory.mktemp("stage")
    folder = place / "wishes"
    folder.mkdir()
    home = House(place, plant(ALL_SCENES, folder), zygotes=(ZygoteSpec(role="core", imports=(toys.__name__,)),))
    for name in ("s089", "t089"):
        (folder / f"{name}.b.gate").write_text("open")
    home.start("root")
    try:
        toys_of = {f"{name}.{letter}" for name, scene in ALL_SCENES.items() for letter in scene.cast}

        def ready() -> bool:
            return toys_of <= {entry["name"] for entry in home.status().get("children", []) if entry["ready"]}

        home.until(ready, "everybody is ready", 90)
        yield home, folder
    finally:
        home.close()


@pytest.fixture
def on(request: pytest.FixtureRequest, stage: tuple[House, Path], tmp_path: Path) -> Callable[[str], Runtime]:
    """The runtime of this run of the test, with the scene in hand."""

    def take(scene: str) -> Runtime:
        if request.param == "machine":
            return OnMachine(SCENES, tmp_path, f"s{scene}")
        return OnRoot(*stage, ("t" if request.param == "threads" else "s") + scene)

    return take


everywhere = pytest.mark.parametrize("on", ["machine", "processes", "threads"], indirect=True)
for_real = pytest.mark.parametrize("on", ["processes", "threads"], indirect=True)
over_processes = pytest.mark.parametrize("on", ["processes"], indirect=True)
over_threads = pytest.mark.parametrize("on", ["threads"], indirect=True)
On = Callable[[str], Runtime]
OnReal = Callable[[str], OnRoot]


@everywhere
def test_038_one_for_one_only_the_failed_child_is_replaced(on: On) -> None:
    it = on("038")
    it.crash("b")
    assert it.story("start b 2") == ["down b 1", "start b 2"]
    it.ready("a", "b", "c")
    assert [it.life(letter) for letter in "abc"] == [1, 2, 1]


@everywhere
def test_039_one_for_all_every_other_child_is_terminated_in_reverse_then_all_start_in_order(on: On) -> None:
    it = on("039")
    it.crash("b")
    assert it.story("start c 2") == [
        *("down b 1", "stop c 1", "down c 1", "stop a 1", "down a 1"),
        *("start a 2", "start b 2", "start c 2"),
    ]
    it.ready("a", "b", "c")


@everywhere
def test_040_rest_for_one_later_children_go_down_in_reverse_and_earlier_ones_are_not_touched(on: On) -> None:
    it = on("040")
    it.crash("b")
    assert it.story("start c 2") == ["down b 1", "stop c 1", "down c 1", "start b 2", "start c 2"]
    it.ready("a", "b", "c")


@everywhere
def test_033_a_temporary_child_stopped_with_its_group_is_not_brought_back(on: On) -> None:
    it = on("033")
    it.crash("a")
    assert it.story("start a 2") == ["down a 1", "stop b 1", "down b 1", "start a 2"]
    it.ready("a")
    assert it.state("b") == "stopped"


@everywhere
def test_063_children_stop_in_reverse_and_none_is_told_before_the_previous_death_is_confirmed(on: On) -> None:
    it = on("063")
    assert it.order("stop")["ok"]
    assert it.story("down a 1") == ["stop c 1", "down c 1", "stop b 1", "down b 1", "stop a 1", "down a 1"]
    assert it.order("start")["ok"]
    it.ready("a", "b", "c")
    assert [it.life(letter) for letter in "abc"] == [2, 2, 2]


@everywhere
def test_078_stop_keeps_the_spec_and_is_idempotent_and_start_revives_it(on: On) -> None:
    it = on("078")
    assert it.order("stop", "b") | {"text": ""} == {"ok": True, "code": "ok", "text": ""}
    assert it.story("down b 1") == ["stop b 1", "down b 1"]
    assert it.order("stop", "b")["code"] == "stopped"
    assert it.order("start", "a")["code"] == "already_started"
    assert it.order("start", "b")["ok"]
    assert it.story("start b 2") == ["start b 2"]
    it.ready("a", "b")


# -- what only something real can show ---


@for_real
def test_036_a_restart_has_fresh_state(on: OnReal) -> None:
    it = on("036")
    said = it.path("a", "remembers")
    it.until(said.exists, "it works")
    it.crash("a")
    it.until(lambda: said.read_text() == "1 in life 2", "it begins with nothing")


@for_real
def test_006_046_a_start_that_raises_is_an_exit_and_orders_are_answered_between_the_attempts(on: OnReal) -> None:
    it = on("046")
    it.path("a", "flag").touch()
    it.crash("a")
    it.until(lambda: it.life("a") > 2, "it tries again and again")
    assert it.order("restart", "b")["ok"]
    it.until(lambda: it.state("a") == "quarantined", "the same failure three times is parked")
    it.path("a", "flag").unlink()
    assert it.order("start", "a")["code"] == "quarantined"
    assert it.order("release", "a")["ok"]
    it.ready("a", "b")


@over_processes
def test_013_ours_a_name_that_is_held_outside_starts_when_it_is_let_go_and_its_failure_names_the_holder(
    on: OnReal,
) -> None:
    it = on("013")
    it.order("stop", "a")
    it.story("down a 1")
    outsider = locks.Lock(it.home.home / "run" / "s013.a.lock")
    it.order("start", "a")
    it.until(lambda: it.state("a") == "quarantined", "the same failure three times is parked")
    why = it.home.client.ask("why", name="s013.a")
    assert f"held by process {os.getpid()}" in why["last_exit"]["sentence"]
    outsider.release()
    it.order("release", "a")
    it.ready("a")


@over_threads
def test_051_a_killed_node_is_restarted_and_the_actors_inside_come_back_as_new_incarnations(on: OnReal) -> None:
    it = on("051")
    node = it.home.child("t051")
    os.kill(node["pid"], signal.SIGKILL)
    it.until(lambda: it.home.child("t051")["incarnation"] == 2, "a new node")
    it.ready("a", "b")
    assert (it.life("a"), it.life("b")) == (2, 2)


@over_processes
def test_064_a_stop_waits_for_the_cleanup_but_no_longer_than_its_patience_and_then_for_the_death(on: OnReal) -> None:
    it = on("064")
    pids = [it.pid("a"), it.pid("b")]
    begun_at = time.monotonic()
    it.order("stop")
    it.story("down b 1", "stop a 1", "down a 1")
    assert 0.5 < time.monotonic() - begun_at < 30
    assert not any(alive(pid) for pid in pids)
    assert it.path("a", "cleaned").exists()
    assert it.path("b", "asked").exists()
    assert not it.path("b", "cleaned").exists()


@over_processes
def test_065_brutal_kill_makes_no_polite_request(on: OnReal) -> None:
    it = on("065")
    pid = it.pid("a")
    it.order("stop", "a")
    it.story("down a 1")
    assert not alive(pid)
    assert not it.path("a", "asked").exists()


@for_real
def test_066_infinity_waits_as_long_as_it_takes(on: OnReal) -> None:
    it = on("066")
    it.order("stop", "a")
    it.story("down a 1")
    assert it.path("a", "cleaned").exists()


@for_real
def test_069_a_child_that_fails_in_its_stop_does_not_hang_it_and_its_own_reason_is_kept(on: OnReal) -> None:
    it = on("069")
    it.order("stop", "b")
    assert it.story("down b 1") == ["stop b 1", "down b 1"]
    [down] = it.home.events(f"{it.scene}.b", "stopped")
    assert "RuntimeError: it leaves in its own way" in down["exit"]["sentence"]
    it.ready("a")


@over_processes
def test_071_a_child_that_left_its_session_and_will_not_end_is_killed_and_awaited(on: OnReal) -> None:
    it = on("071")
    pid = it.pid("b")
    assert os.getsid(pid) == pid
    it.order("stop")
    assert it.story("down a 1") == ["stop b 1", "down b 1", "stop a 1", "down a 1"]
    assert not alive(pid)


@over_threads
def test_071_ours_a_thread_that_will_not_end_costs_its_node_and_the_node_comes_back_without_it(on: OnReal) -> None:
    it = on("071")
    node = it.home.child(it.scene)
    it.order("stop", "b")
    it.until(lambda: it.home.child(it.scene)["incarnation"] == node["incarnation"] + 1, "a new node")
    it.ready("a")
    assert not alive(node["pid"])
    assert it.state("b") == "stopped", "and what was ordered holds"
    assert it.home.events(f"{it.scene}.b", "zombie")


@for_real
def test_089_ours_orders_are_answered_while_a_child_starts_and_a_start_can_be_interrupted(on: OnReal) -> None:
    it = on("089")
    it.path("b", "gate").unlink()
    it.crash("b")
    it.until(lambda: (it.life("b"), it.state("b")) == (2, "running"), "it waits at the gate")
    assert (it.state("a"), it.state("c")) == ("ready", "waiting")
    assert it.order("stop", "b")["ok"]
    assert it.order("start", "a")["code"] == "already_started"
    it.until(lambda: it.state("b") == "stopping", "its thread still waits at the gate, its patience is not over")
    wish(it.folder, f"{it.scene}.b.gate", "open")
    it.until(lambda: it.state("b") == "stopped", "it ends")
    it.ready("a", "c")


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
