"""A red light is not a verdict, a hang is one, and every one of them can be asked why."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.house import House, environment, qt

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
    ward.until(lambda: ward.child("bridge")["state"] == "quarantined", "bridge is parked")
    assert ward.child("bridge")["incarnation"] == 3
    ward.until(lambda: ward.child("bridge")["verdict"] == "CRASH_LOOP", "the verdict")
    why = qt(ward.home, "why", "bridge")
    assert why.returncode == 0
    assert "CRASH_LOOP" in why.stdout
    assert "AttributeError: 'object' object has no attribute 'start'" in why.stdout
    assert "self.engine.start()" in why.stdout
    assert "trees.py" in why.stdout


def test_a_check_that_asks_the_wrong_port_is_the_checks_fault_and_restarts_nothing(ward: House) -> None:
    ward.until(lambda: ward.child("served")["verdict"] == "CHECK_FAULT", "the check is found out")
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
        ward.until(lambda name=name: ward.child(name)["verdict"] == "HEALTHY", f"{name} is healthy")  # type: ignore[misc]


def test_a_stopped_engine_is_seen_as_hung_told_to_continue_and_keeps_its_life(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    house = House(tmp_path_factory.mktemp("stopped") / "home")
    try:
        house.start()
        house.wait_ready()
        house.until(lambda: house.child("ai_engine")["verdict"] == "HEALTHY", "the engine works")
        before = house.incarnations()
        pid = house.kill("ai_engine", signal.SIGSTOP)
        seen = house.until(
            lambda: [v for v in verdicts(house, "ai_engine") if v["verdict"] == "HUNG"], "it is seen to be stopped"
        )
        assert seen[0]["cause"] == "stopped"
        house.until(lambda: house.child("ai_engine")["verdict"] == "HEALTHY", "it works again")
        assert house.child("ai_engine")["pid"] == pid
        assert house.incarnations() == before
    finally:
        house.close()
