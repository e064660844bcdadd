"""Remedies over real processes: a message that kills is not given out again, an orphan in the way is ended."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import msgspec
import pytest

from supervisor import plan as plans
from supervisor.plan import Route
from supervisor.spec import ChildSpec, ProgramStart, child
from tests.supervisor.toys import Worker, alive, house, toy

pytestmark = pytest.mark.process
TOYS = "tests.supervisor.toy_actors"


def test_a_message_that_kills_twice_is_set_aside_and_the_next_ones_are_handled(tmp_path: Path) -> None:
    teller = child("teller", f"{TOYS}:Teller", count=30, pause_s=0.01)
    allergic = child("allergic", f"{TOYS}:Allergic", dies_of=10)
    with house(tmp_path, teller, allergic) as home:
        endpoint = plans.endpoint_of(str(home.sockets), "teller")
        routes = {"allergic": (Route(sender="teller", endpoint=endpoint, topics=("Fact",)),)}
        plans.save(msgspec.structs.replace(plans.load(tmp_path), routes=routes))
        home.start("root")
        home.ready("teller")
        why = home.until(
            lambda: (w := home.client.ask("why", name="allergic")).get("set_aside") and w, "it is set aside"
        )
        assert [one["message"] for one in why["set_aside"]] == ["teller:Fact:10"]
        home.until(
            lambda: home.child("allergic").get("incarnation", 0) >= 3 and home.child("allergic")["ready"], "back"
        )
        home.until(lambda: home.child("allergic")["verdict"] == "HEALTHY", "it works again")
        assert "earlier lives died of it" in home.log("allergic")
        assert home.child("allergic")["state"] == "ready"


HOLDS = """
import os, socket, subprocess, sys, time
port, first = int(sys.argv[1]), sys.argv[2]
server = socket.socket()
server.bind(("127.0.0.1", port))
server.listen()
if not os.path.exists(first):
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[server.fileno()])
    open(first, "w").write(str(left.pid))
    sys.exit(3)
os.write(int(os.environ["QT_READY_FD"]), b"1") if "QT_READY_FD" in os.environ else None
time.sleep(600)
"""


def test_an_orphan_of_its_own_that_holds_its_port_is_ended_and_then_it_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    first = tmp_path / "first.pid"
    argv = (sys.executable, "-c", HOLDS, str(port), str(first))
    with house(tmp_path, ChildSpec(id="holder", start=ProgramStart(argv=argv)), toy("calm", Worker)) as home:
        home.start("root")
        home.ready("calm")
        deed = home.until(
            lambda: home.events("holder", "remedy"),
            "the orphan is ended",
        )
        orphan = int(first.read_text())
        assert str(orphan) in deed[0]["detail"], json.dumps(deed)
        home.until(lambda: not alive(orphan), "it is gone")
        home.until(lambda: home.child("holder")["state"] == "ready", "the child is up")
        assert home.child("calm")["incarnation"] == 1
