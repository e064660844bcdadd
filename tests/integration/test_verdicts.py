"""A red light is not a verdict, a hang is one, and every one of them can be asked why."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from config import launch as launches
from ops import prepare, up
from tests.integration.house import House, environment, qt

_before = 0
pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The ill tree of trees.py under a real heart and root."""
    house = House(tmp_path_factory.mktemp("ward") / "home")
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    port, wrong = (server.getsockname()[1] for server in ports)
    for server in ports:
        server.close()
    argv = [sys.executable, "-m", "supervisor.runtime.scratch", "--home", str(house.home)]
    argv += ["--build", "tests.integration.trees:ill", "--arguments", json.dumps({"port": port, "wrong": wrong})]
    scratch = subprocess.run(argv, env=environment(house.home), capture_output=True, text=True, check=False, timeout=60)
    assert scratch.returncode == 0, scratch.stderr
    try:
        house.run([sys.executable, "-m", "supervisor.runtime.heart", "--home", str(house.home)])
        house.until(lambda: {"steady", "calm"} <= {n for n, c in house.children().items() if c["ready"]}, "the healthy")
        yield house
    finally:
        house.close()


def verdicts(house: House, name: str) -> list[dict[str, Any]]:
    return house.events(name, "verdict")


def test_the_same_death_three_times_is_parked_and_why_shows_the_stack(ward: House) -> None:
    ward.until(lambda: ward.child("bridge").get("state") == "quarantined", "bridge is parked")
    assert ward.child("bridge")["incarnation"] == 3
    ward.until(lambda: ward.child("bridge").get("verdict") == "CRASH_LOOP", "the verdict")
    why = qt(ward.home, "why", "bridge")
    assert why.returncode == 0
    assert "CRASH_LOOP" in why.stdout
    assert "AttributeError: 'object' object has no attribute 'start'" in why.stdout
    assert "self.engine.start()" in why.stdout
    assert "trees.py" in why.stdout


def test_a_check_that_asks_the_wrong_port_is_the_checks_fault_and_restarts_nothing(ward: House) -> None:
    ward.until(lambda: ward.child("served").get("verdict") == "CHECK_FAULT", "the check is found out")
    child, why = ward.child("served"), ward.why("served")
    assert "wrong port" in child["cause"] + child["reason"]
    assert why["verdict"]["evidence_against"]
    assert (child["state"], child["ready"], child["incarnation"]) == ("ready", True, 1)


def test_a_loop_without_end_is_livelock_killed_with_its_stack_and_named_in_why(ward: House) -> None:
    child = ward.until(
        lambda: (c := ward.child("spinner"))["incarnation"] == 2 and c["ready"] and c, "the spinner is replaced", 60
    )
    assert child["restarts"]["total"] == 1
    convictions = [v for v in verdicts(ward, "spinner") if v["verdict"] == "HUNG"]
    assert {v["cause"] for v in convictions} == {"livelock"}
    assert all(len(v["evidence_for"]) >= 2 for v in convictions)  # two keys
    report = json.loads((ward.home / "reports" / "crash-spinner-1.json").read_text())
    assert report["kind"] == "hung"
    assert "going_round_in_circles" in report["stacks"]
    why = qt(ward.home, "why", "spinner", "--last-restart")
    assert why.returncode == 0
    assert "livelock" in why.stdout, why.stdout


def test_the_healthy_siblings_never_noticed(ward: House) -> None:
    """Last in this file: after all the diseases have run their course."""
    for name in ("steady", "calm", "served"):
        child = ward.child(name)
        assert (child["incarnation"], child["restarts"]["total"], child["ready"]) == (1, 0, True), name
    for name in ("steady", "calm"):
        ward.until(lambda name=name: ward.child(name).get("verdict") == "HEALTHY", f"{name} is healthy")  # type: ignore[misc]


@pytest.fixture(scope="module")
def wounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The real house in sim mode with wounds to open (wounds.py), healthy but for the check of risk_brain."""
    house = House(tmp_path_factory.mktemp("wounded") / "home")
    launch = prepare.launch(wishes := prepare.Wishes(home=str(house.home), http_port=0), prepare.settings(wishes))
    prepare.make_home(house.home)
    launches.save(launch)
    up.write_ess_settings(launch)
    argv = [sys.executable, "-m", "supervisor.runtime.scratch", "--home", str(house.home)]
    argv += ["--build", "tests.integration.wounds:build"]
    scratch = subprocess.run(argv, env=environment(house.home), capture_output=True, text=True, check=False, timeout=60)
    assert scratch.returncode == 0, scratch.stderr
    try:
        house.run([sys.executable, "-m", "supervisor.runtime.heart", "--home", str(house.home)])
        house.wait_ready()
        well(house)
        yield house
    finally:
        house.close()


def well(house: House, *ill: str) -> None:
    """Wait until all but these, and the one with the wrong check, are HEALTHY."""
    ill = ("risk_brain", *ill)

    def look() -> bool:
        children = house.children()
        return bool(children) and all(c["verdict"] == "HEALTHY" for n, c in children.items() if n not in ill)

    house.until(look, "everybody is well")


@contextlib.contextmanager
def wishing(house: House) -> Iterator[None]:
    """Entries and exits are asked for meanwhile; afterwards `answered` tells about this time only."""
    global _before
    _before = len(denials(house))
    (house.home / "wish").touch()
    try:
        yield
    finally:
        (house.home / "wish").unlink()


def denials(house: House) -> list[dict[str, Any]]:
    return [word for _, word in house.journal("risk_gate:main", "OrderDenied")]


def answered(house: House) -> set[str]:
    """Codes by which entries were denied since `wishing` began. An exit is refused for having nothing to reduce only:
    what keeps entries out lets exits pass."""
    fresh = house.until(
        lambda: (
            (found := denials(house)[_before:]) and {word["reduce_only"] for word in found} == {False, True} and found
        ),
        "the gate answers",
    )
    assert {word["code"] for word in fresh if word["reduce_only"]} == {"REDUCE_ONLY_INCREASES"}
    return {word["code"] for word in fresh if not word["reduce_only"]}


def test_in_the_real_house_a_check_on_a_wrong_port_is_named_and_restarts_nothing(wounded: House) -> None:
    wounded.until(lambda: wounded.child("risk_brain").get("verdict") == "CHECK_FAULT", "the check is found out")
    child = wounded.child("risk_brain")
    assert (child["cause"], child["ready"], child["incarnation"]) == ("wrong port", True, 1)
    assert wounded.status()["server"]["counts"]["check_faults"] == [["risk_brain", "wrong port", 1]]


def test_a_stopped_engine_is_seen_as_hung_told_to_continue_and_keeps_its_life(wounded: House) -> None:
    before = wounded.incarnations()
    pid = wounded.kill("ai_engine", signal.SIGSTOP)
    seen = wounded.until(
        lambda: [v for v in verdicts(wounded, "ai_engine") if v["verdict"] == "HUNG"], "it is seen to be stopped"
    )
    assert seen[0]["cause"] == "stopped"
    wounded.until(lambda: wounded.child("ai_engine").get("verdict") == "HEALTHY", "it works again")
    assert wounded.child("ai_engine")["pid"] == pid
    assert wounded.incarnations() == before


def test_a_venue_that_is_away_is_the_cause_and_nobody_is_restarted_for_it(wounded: House) -> None:
    before = wounded.incarnations()
    assert qt(wounded.home, "venue", "park", "--product", "usdm").returncode == 0
    wounded.until(lambda: wounded.child("feed:binanceusdm").get("verdict") == "UPSTREAM", "the feed waits for it")
    wounded.until(lambda: wounded.child("execution:main").get("verdict") == "UPSTREAM", "so does execution")
    assert "503" in wounded.child("execution:main")["reason"]
    with wishing(wounded):
        codes = answered(wounded)
    assert codes <= {"DATA_UNKNOWN", "DATA_GAP", "DATA_STALE", "SNAPSHOT_STALE", "NOT_RECONCILED"}, codes
    assert wounded.child("feed:binance")["verdict"] == "HEALTHY"
    assert qt(wounded.home, "venue", "park", "--unpark", "--product", "usdm").returncode == 0
    well(wounded)
    assert wounded.incarnations() == before


def test_a_brain_in_a_loop_without_end_is_replaced_and_meanwhile_nobody_may_enter(wounded: House) -> None:
    before = wounded.incarnations()
    with wishing(wounded):
        (wounded.home / "loop").touch()
        wounded.until(lambda: wounded.child("ceo_brain").get("incarnation") == 2, "the brain is replaced")
        assert "MODE_UNKNOWN" in answered(wounded)
    [conviction] = [v for v in verdicts(wounded, "ceo_brain") if v["verdict"] == "HUNG" and v["done"]]
    assert conviction["cause"] == "livelock"
    assert "going_round_in_circles" in (wounded.home / "reports" / "crash-ceo_brain-1.json").read_text()
    well(wounded)
    assert wounded.incarnations() == {**before, "ceo_brain": 2}
    assert ["ceo_brain", "livelock", 1] in wounded.status()["server"]["counts"]["restarts"]


def test_a_bridge_that_calls_what_does_not_exist_is_parked_alone_and_comes_back_when_it_is_repaired(
    wounded: House,
) -> None:
    before = wounded.incarnations()
    (wounded.home / "broken").touch()
    wounded.kill("alerts", signal.SIGKILL)
    wounded.until(lambda: wounded.child("alerts").get("state") == "quarantined", "it is parked")
    assert wounded.child("alerts")["incarnation"] - before["alerts"] <= 3
    wounded.until(lambda: wounded.child("alerts").get("verdict") == "CRASH_LOOP", "it is a loop")
    assert "AttributeError" in wounded.why("alerts")["last_exit"]["sentence"]
    (wounded.home / "broken").unlink()
    assert qt(wounded.home, "release", "alerts").returncode == 0
    well(wounded)
    now = wounded.incarnations()
    assert {n: i for n, i in now.items() if n != "alerts"} == {n: i for n, i in before.items() if n != "alerts"}
