"""Zygotes with real forks: whose child a node is, what a zygote refuses, and what its death costs (nothing)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.message import Provenance
from supervisor.plan import NodeBoot
from supervisor.runtime import link, nursery, process, zygote
from supervisor.runtime.loop import Loop
from supervisor.runtime.nursery import Birth, Nursery
from supervisor.runtime.process import ExitStatus, Process
from supervisor.spec import ZygoteSpec
from supervisor.words import CrashRecord
from tests.supervisor.toys import PROJECT, alive

pytestmark = pytest.mark.process
TOYS = "tests.supervisor.toys"


class Cradle:
    """This test as the root: a loop, a nursery, and what became of each birth."""

    def __init__(self, *specs: ZygoteSpec) -> None:
        process.become_subreaper()
        self.faults: list[Exception] = []
        self.loop = Loop(lambda where, error: self.faults.append(error))
        self.said: list[str] = []
        self.born: dict[str, Process] = {}
        self.failed: dict[str, tuple[str, CrashRecord | None]] = {}
        self.lines: dict[str, socket.socket] = {}
        environment = {"PYTHONPATH": str(PROJECT)}
        self.nursery = Nursery(self.loop, specs, environment, self.said.append, entry=f"{TOYS}:plain_node")
        self.nursery.start()

    def ask(self, name: str, role: str = "core") -> None:
        self.lines[name], theirs = link.pair()
        self.nursery.fork(
            role,
            Birth(
                name=name,
                boot=boot(name),
                line=theirs,
                born=lambda pid: self.born.__setitem__(name, Process(pid)),
                failed=lambda text, record: self.failed.__setitem__(name, (text, record)),
                lost=lambda: self.ask_again(name),
            ),
        )

    def ask_again(self, name: str) -> None:
        """What the root does: the link's end says that nobody was born, so the request is repeated."""
        self.lines[name].settimeout(10)
        assert self.lines[name].recv(100) == b""
        self.ask(name)

    def until(self, look: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 20.0
        while not look():
            assert time.monotonic() < deadline, f"{what}: {self.said} {self.failed} {self.faults}"
            self.loop.turn(0.05)
        assert not self.faults

    def bear(self, name: str) -> Process:
        self.ask(name)
        self.until(lambda: name in self.born or name in self.failed, f"{name} is born")
        assert name in self.born, self.failed
        return self.born[name]

    def zygote_pid(self) -> int:
        self.until(lambda: self.nursery.roles()[0][1] > 0, "a zygote exists")
        return self.nursery.roles()[0][1]

    def spare(self) -> int:
        """The pid of the nameless node that waits."""
        self.until(lambda: self.nursery.spare("core") > 0, "there is a spare")
        return self.nursery.spare("core")

    def close(self) -> None:
        self.nursery.close()
        for one in self.born.values():
            one.send(signal.SIGKILL)
        self.loop.close()


@pytest.fixture
def cradle() -> Iterator[Cradle]:
    built = Cradle(ZygoteSpec(role="core", imports=(TOYS,)))
    yield built
    built.close()


def boot(name: str) -> NodeBoot:
    return NodeBoot(
        name=name,
        incarnation=1,
        actors=(),
        routes=(),
        endpoint="",
        home="",
        provenance=Provenance.SYNTHETIC,
        seed=0,
        own_roots=(),
    )


def ended(one: Process) -> ExitStatus:
    deadline = time.monotonic() + 10
    while (status := one.reap()) is None:
        assert time.monotonic() < deadline, f"{one.pid} does not end"
        time.sleep(0.005)
    return status


def test_a_node_is_the_child_of_the_root_and_not_of_its_zygote(cradle: Cradle) -> None:
    node = cradle.bear("feed:somewhere_far")
    cradle.until(lambda: bool(link.receive_from_node(cradle.lines["feed:somewhere_far"])), "it says hello")
    status = Path(f"/proc/{node.pid}/status").read_text()
    assert f"PPid:\t{os.getpid()}\n" in status
    assert Path(f"/proc/{node.pid}/comm").read_text().strip() == "feed:somewhere_"
    files = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{node.pid}/fd").iterdir()}
    assert files["0"] == "/dev/null"
    assert sum("socket:" in target for target in files.values()) == 1  # its link, not the zygote's line to the root


def test_the_root_reads_exit_codes_and_signals_itself(cradle: Cradle) -> None:
    assert ended(cradle.bear("exits-7")) == ExitStatus(code=7)
    node = cradle.bear("victim")
    node.send(signal.SIGKILL)
    assert ended(node) == ExitStatus(signal=9)


def test_a_node_that_breaks_before_it_runs_says_why_on_the_link(cradle: Cradle) -> None:
    node = cradle.bear("raises")
    assert ended(node).code == 1
    words = link.receive_from_node(cradle.lines["raises"]) or []
    records = [word.record for word in words if isinstance(word, link.NodeCrashed)]
    assert [record.exceptions for record in records] == [("ValueError",)]
    assert "as told" in records[0].traceback


def test_a_killed_zygote_hurts_no_node_and_is_replaced_while_requests_wait(cradle: Cradle) -> None:
    first = cradle.bear("first")
    old = cradle.zygote_pid()
    os.kill(old, signal.SIGKILL)
    second = cradle.bear("second")
    assert cradle.zygote_pid() not in (0, old)
    assert first.reap() is None
    assert second.reap() is None


def test_a_quiet_zygote_has_a_spare_that_becomes_the_next_node(cradle: Cradle) -> None:
    cradle.bear("first")
    spare = cradle.spare()
    assert cradle.bear("second").pid == spare
    cradle.until(lambda: bool(link.receive_from_node(cradle.lines["second"])), "it says hello")
    assert Path(f"/proc/{spare}/comm").read_text().strip() == "second"
    cradle.until(lambda: cradle.nursery.spare("core") not in (0, spare), "another one waits")


@pytest.mark.parametrize("hurt", [signal.SIGKILL, signal.SIGSTOP])
def test_a_spare_that_somebody_hurt_is_not_used(cradle: Cradle, hurt: signal.Signals) -> None:
    cradle.bear("first")
    spare = cradle.spare()
    os.kill(spare, hurt)
    cradle.until(lambda: process.state_of(spare) in ("T", "Z", ""), "the spare feels it")
    assert cradle.bear("second").pid != spare
    cradle.until(lambda: bool(link.receive_from_node(cradle.lines["second"])), "it says hello")
    cradle.until(lambda: process.state_of(spare) == "", "the spare is gone, and no zombie")


def test_a_spare_ends_with_its_zygote_because_the_next_one_may_have_other_code(cradle: Cradle) -> None:
    cradle.bear("first")
    spare = cradle.spare()
    os.kill(cradle.zygote_pid(), signal.SIGKILL)
    cradle.until(lambda: process.state_of(spare) == "", "the spare is gone, and no zombie")


def test_a_stopped_zygote_is_continued_before_anything_else(cradle: Cradle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery, "ANSWER_S", 0.3)
    cradle.bear("first")
    old = cradle.zygote_pid()
    os.kill(old, signal.SIGSTOP)
    cradle.bear("second")
    assert cradle.zygote_pid() == old
    assert any("continued it" in line for line in cradle.said)


def test_an_import_that_fails_is_told_to_everybody_who_waits() -> None:
    cradle = Cradle(ZygoteSpec(role="core", imports=("no_such_module_of_ours",)))
    try:
        cradle.ask("a")
        cradle.ask("b")
        cradle.until(lambda: {"a", "b"} <= cradle.failed.keys(), "both hear of it")
        text, record = cradle.failed["a"]
        assert "no_such_module_of_ours" in text
        assert record is not None
        assert record.phase == "import"
        assert "ModuleNotFoundError" in record.traceback
    finally:
        cradle.close()


def test_a_zygote_with_a_second_thread_refuses_to_fork_and_names_it() -> None:
    cradle = Cradle(ZygoteSpec(role="core", imports=(TOYS,), prepare=f"{TOYS}:prepare_with_thread"))
    try:
        cradle.ask("a")
        cradle.until(lambda: "a" in cradle.failed, "it is refused")
        assert "has 2 threads" in cradle.failed["a"][0]
    finally:
        cradle.close()


def test_a_zygote_that_gets_a_second_thread_later_refuses_is_replaced_and_nobody_is_hurt() -> None:
    cradle = Cradle(ZygoteSpec(role="core", imports=(TOYS,), prepare=f"{TOYS}:prepare_thread_on_signal"))
    try:
        first = cradle.bear("first")
        old = cradle.zygote_pid()
        os.kill(old, signal.SIGUSR1)
        cradle.until(lambda: len(os.listdir(f"/proc/{old}/task")) == 2, "it has a second thread")  # noqa: PTH208
        for name in ("second", "third"):  # one of them may be the spare that was born before
            cradle.bear(name)
        assert cradle.zygote_pid() not in (0, old)
        assert any("has 2 threads" in said for said in cradle.said)
        assert first.reap() is None
    finally:
        cradle.close()


def test_a_zygote_without_its_environment_says_what_is_missing() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in zygote.REQUIRED_ENVIRONMENT}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "supervisor.runtime.zygote", "--fd", str(theirs.fileno()), "--root-pid"]
    command += [str(os.getpid()), "--spec", '{"role": "core"}']
    with ours, theirs:
        done = subprocess.run(
            command,
            env=environment,
            cwd=PROJECT,
            pass_fds=(theirs.fileno(),),
            capture_output=True,
            check=False,
            timeout=60,
        )
        word = zygote.from_zygote.decode(ours.recv(zygote.LARGEST))
    assert done.returncode != 0
    assert isinstance(word, zygote.Unfit)
    assert "ORT_DISABLE_TELEMETRY=1" in word.record.message


def test_an_unknown_role_is_refused_with_the_known_ones(cradle: Cradle) -> None:
    cradle.ask("a", role="venu")
    assert cradle.failed["a"][0] == "a: no zygote of role 'venu'; the plan has core"


def test_nodes_end_with_the_process_that_is_their_root(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "from tests.supervisor.test_zygote import Cradle, TOYS, ZygoteSpec, link\n"
        "c = Cradle(ZygoteSpec(role='core', imports=(TOYS,)))\n"
        "pids = c.bear('one').pid, c.bear('two').pid, c.zygote_pid()\n"
        "for name in ('one', 'two'):\n"
        "    c.until(lambda: bool(link.receive_from_node(c.lines[name])), name)\n"  # adopted: it runs its own code
        "print(*pids, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert root.stdout is not None
    pids = [int(word) for word in root.stdout.readline().split()]
    assert len(pids) == 3
    os.kill(pids[0], signal.SIGSTOP)  # a stopped one hears nothing, and must die all the same
    root.kill()
    root.wait()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "nodes outlive their root"
        time.sleep(0.01)
    root.stdout.close()
