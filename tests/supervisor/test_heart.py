"""The heart and its two programs: kill any of the three, and the other two bring it back or do not notice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.toys import PROJECT, Ender, House, Worker, alive, house, toy

pytestmark = pytest.mark.process

ESS = """
import signal, sys
from pathlib import Path
from supervisor.runtime.locks import Lock
lock = Lock(Path(sys.argv[1]) / "run" / "ess.lock")
signal.signal(signal.SIGTERM, lambda *_: (Path(sys.argv[1], "ess_ended").touch(), sys.exit(0)))
while True:
    signal.pause()
"""


@contextmanager
def beating(home: Path, *children: Any) -> Iterator[House]:
    """A house whose heart, emergency stop, root and one worker `a` all live."""
    ess = (sys.executable, "-c", ESS, str(home))
    with house(home, *(children or (toy("a", Worker),)), ess_argv=ess) as built:
        yield built


def up(home: House) -> tuple[int, int, int]:
    """(heart, ess, root) once all three live and `a` is ready."""
    home.start("heart")
    home.ready("a")
    home.until(lambda: home.held("ess") and home.status()["server"]["heart_pid"], "all three know each other")
    return home.held("heart"), home.held("ess"), home.held("root")


def test_a_killed_root_is_back_and_the_emergency_stop_never_noticed(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        heart, ess, root = up(home)
        node = home.child("a")["pid"]
        os.kill(root, signal.SIGKILL)
        home.until(lambda: home.held("root") not in (0, root), "another root", within_s=10)
        assert home.ready("a")["a"]["incarnation"] == 2
        assert not alive(node)
        assert (home.held("heart"), home.held("ess")) == (heart, ess)


def test_a_killed_emergency_stop_is_back_and_the_root_never_noticed(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        heart, ess, root = up(home)
        os.kill(ess, signal.SIGKILL)
        home.until(lambda: home.held("ess") not in (0, ess), "another emergency stop", within_s=10)
        assert (home.held("heart"), home.held("root")) == (heart, root)
        assert home.status()["server"]["ess_pid"] == home.held("ess")


def test_a_killed_heart_gets_a_successor_that_adopts_the_living(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        heart, ess, root = up(home)
        node = home.child("a")["pid"]
        os.kill(heart, signal.SIGKILL)
        home.until(lambda: home.held("heart") not in (0, heart), "another heart")
        home.until(lambda: "adopted" in home.log("heart"), "it has adopted them")
        assert (home.held("ess"), home.held("root"), home.child("a")["pid"]) == (ess, root, node)
        # and it is a heart: it brings back what it adopted, and ends it all in order
        os.kill(root, signal.SIGKILL)
        home.until(lambda: home.held("root") not in (0, root), "another root")
        home.ready("a")
        successor = home.held("heart")
        os.kill(successor, signal.SIGTERM)
        home.until(lambda: not (home.held("heart") or home.held("root") or home.held("ess")), "all are down")


def test_a_heart_killed_while_a_node_is_stopped_costs_neither_the_root_nor_the_node(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        heart, _, root = up(home)
        node = home.child("a")["pid"]
        os.kill(node, signal.SIGSTOP)
        os.kill(heart, signal.SIGKILL)
        home.until(lambda: home.held("heart") not in (0, heart), "another heart")
        os.kill(root, signal.SIGHUP)
        assert home.ready("a")["a"]["pid"] == node
        assert home.held("root") == root
        assert home.status()["server"]["state"] == "running"


def test_sigterm_ends_the_root_first_and_the_emergency_stop_last(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        _, ess, root = up(home)
        node = home.child("a")["pid"]
        [heart] = home.processes
        heart.terminate()
        assert heart.wait(60) == 0
        assert not any(alive(pid) for pid in (ess, root, node))
        assert (tmp_path / "ess_ended").exists()
        log = home.log("heart")
        assert log.index("root is down") < log.index("ess is down")


def test_down_at_the_counter_ends_everything_with_code_0(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        up(home)
        assert home.client.ask("down")["ok"]
        assert home.processes[0].wait(60) == 0
        assert (home.held("root"), home.held("ess")) == (0, 0)


def test_down_is_understood_by_a_heart_that_adopted_the_root(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        heart, *_ = up(home)
        os.kill(heart, signal.SIGKILL)
        home.until(lambda: home.held("heart") not in (0, heart), "another heart")
        home.until(lambda: "adopted" in home.log("heart"), "it has adopted them")
        assert home.client.ask("down")["ok"]
        home.until(lambda: not (home.held("heart") or home.held("root") or home.held("ess")), "all are down")


def test_the_code_of_a_child_that_ends_the_server_is_the_code_of_the_heart(tmp_path: Path) -> None:
    with beating(tmp_path, toy("a", Ender)) as home:
        assert home.start("heart").wait(60) == 3
        assert not home.held("ess")


def test_a_second_heart_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        heart, *_ = up(home)
        assert home.start("heart").wait(30) == 75
        assert f"a server already runs in {tmp_path} (heart {heart})" in home.output.read_text()


def test_a_root_that_refuses_to_start_ends_the_heart_with_its_code(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        home.sockets.rmdir()
        assert home.start("heart").wait(60) == 69
        assert "control socket" in home.output.read_text()
        assert not home.held("ess")


def test_a_root_that_always_breaks_is_given_up_and_the_emergency_stop_stays(tmp_path: Path) -> None:
    with beating(tmp_path) as home:
        script = (
            "import sys; from pathlib import Path\n"
            "from supervisor.runtime import heart\n"
            "import msgspec\n"
            "home = Path(sys.argv[1]); from supervisor import plan\n"
            "tree = heart.programs(home, plan.load(home).ess_argv)\n"
            "ess, root = tree.children\n"
            "start = msgspec.structs.replace(root.start, argv=(sys.executable, '-c', 'raise SystemExit(1)'))\n"
            "tree = msgspec.structs.replace(tree, children=(ess, msgspec.structs.replace(root, start=start)))\n"
            "sys.exit(heart.Heart(home, tree).run())\n"
        )
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT, check=False, timeout=60)
        assert done.returncode == 70
        home.until(lambda: home.held("ess"), "the emergency stop is there")
        assert alive(home.held("ess"))


def test_systemd_is_told_that_it_is_ready_and_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, beating(tmp_path) as home:
        ear.bind(address)
        ear.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        up(home)
        said: list[str] = []
        while said.count("WATCHDOG=1") < 2 or not any(text.startswith("READY=1") for text in said):
            said.append(ear.recv(1000).decode())  # on a busy machine it barks several times before the root is ready
