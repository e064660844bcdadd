"""Declared checks against real listeners, real programs and real refusals; the children are processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.verdicts.certificates import certificate
from benchmarks.verdicts.simulator import Simulator
from supervisor.evidence import probes, selftest
from supervisor.evidence.checks import Checks
from supervisor.spec import Check
from supervisor.verdict import CheckResult

pytestmark = pytest.mark.process

SERVER = """
import http.server, socket, sys, time
family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, _, wait = self.path.lstrip("/").partition("/")
        time.sleep(float(wait or 0))
        body = b"status: fine"
        self.send_response(int(code or 200))
        self.send_header("Content-Length", str(len(body)))
        if code == "302":
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = family
server = Server(("::1" if sys.argv[1] == "6" else "127.0.0.1", 0), Answer)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def serving(family: str = "4") -> Iterator[tuple[int, int]]:
    """A web server in a process of its own: its pid and port."""
    child = subprocess.Popen([sys.executable, "-c", SERVER, family], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        port = child.stdout.readline().strip()
        if not port:
            pytest.skip("this machine has no IPv6 loopback")
        yield child.pid, int(port)
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, int]]:
    with serving() as found:
        yield found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_answers(checks: tuple[Check, ...], pid: int, *, count: int = 1) -> list[CheckResult]:
    """Ask until there are `count` answers."""
    asked = Checks({"child": checks})
    asked.start()
    try:
        asked.live("child", pid)
        return until(lambda: asked.drain(), count)
    finally:
        assert asked.stop()


def until(drain: Callable[[], list[CheckResult]], count: int, deadline_s: float = 30.0) -> list[CheckResult]:
    found: list[CheckResult] = []
    end = time.monotonic() + deadline_s
    while len(found) < count:
        assert time.monotonic() < end, f"only {len(found)} of {count} answers in {deadline_s} s: {found}"
        found.extend(drain())
        threading.Event().wait(0.01)
    return found


@pytest.mark.parametrize(
    ("path", "expect", "ok", "reason", "explained"),
    [
        ("200", "", True, "", False),
        ("204", "", True, "", False),
        ("200", "fine", True, "", False),
        ("200", "green", False, "body mismatch", False),
        ("302", "", False, "redirect", True),
        ("401", "", False, "login required", True),
        ("403", "", False, "login required", True),
        ("404", "", False, "wrong path", True),
        ("405", "", False, "method refused", True),
        ("429", "", False, "rate limited", True),
        ("418", "", False, "request refused", False),
        ("500", "", False, "handler error", False),
        ("503", "", False, "says unavailable", False),
    ],
)
def test_an_http_answer_gets_its_reason_class(
    server: tuple[int, int], path: str, expect: str, ok: bool, reason: str, explained: bool
) -> None:
    pid, port = server
    check = Check(kind="http", target=f"http://127.0.0.1:{port}/{path}", expect=expect)

    (answer,) = first_answers((check,), pid)

    assert (answer.ok, answer.reason, answer.explained) == (ok, reason, explained)
    assert ok or check.target in answer.detail


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_wrong_port_is_named_with_the_port_the_process_really_listens_on(server: tuple[int, int], kind: str) -> None:
    pid, port = server
    wrong = free_port()
    target = f"http://127.0.0.1:{wrong}/200" if kind == "http" else f"127.0.0.1:{wrong}"

    (answer,) = first_answers((Check(kind=kind, target=target),), pid)

    assert (answer.reason, answer.explained) == ("wrong port", True)
    assert answer.detail == f"{target} refused while pid {pid} listens on 127.0.0.1:{port} and answers there"


def test_a_port_elsewhere_that_does_not_pass_the_same_question_explains_nothing(server: tuple[int, int]) -> None:
    pid, _ = server

    (answer,) = first_answers((Check(kind="http", target=f"http://127.0.0.1:{free_port()}/500"),), pid)

    assert (answer.reason, answer.explained) == ("wrong port", False)


def test_a_process_that_listens_nowhere_is_not_excused() -> None:
    (answer,) = first_answers((Check(kind="http", target=f"http://127.0.0.1:{free_port()}/"),), os.getpid())

    assert (answer.reason, answer.explained) == ("nothing listens", False)


def test_the_end_of_the_program_behind_a_shell_is_told_from_a_service_that_is_not_there_yet(tmp_path: Path) -> None:
    port, named = free_port(), tmp_path / "pid"
    real = f"{sys.executable} -m http.server {port} --bind 127.0.0.1 --directory {tmp_path}"
    shell = subprocess.Popen(["/bin/sh", "-c", f"{real} >/dev/null 2>&1 & echo $! > {named}; sleep 600; wait"])
    asked = Checks({"child": (Check(target=f"http://127.0.0.1:{port}/", every_s=0.1),)})
    asked.start()
    seen: list[CheckResult] = []

    def first(right: Callable[[CheckResult], bool]) -> CheckResult:
        while not any(right(one) for one in seen):
            seen.extend(until(asked.drain, 1))
        return next(one for one in seen if right(one))

    try:
        asked.live("child", shell.pid)
        first(lambda one: one.ok)
        server = int(named.read_text())
        os.kill(server, signal.SIGKILL)
        answer = first(lambda one: one.reason == "server gone")
    finally:
        assert asked.stop()
        for child in psutil.Process(shell.pid).children(recursive=True):
            child.kill()
        shell.kill()
        shell.wait()
    assert answer.explained
    assert f"was answered by pid {server}, which has ended; pid {shell.pid} had started it" in answer.detail


@pytest.mark.parametrize(("family", "asked"), [("6", "127.0.0.1"), ("4", "[::1]")])
def test_the_wrong_address_family_is_named(family: str, asked: str) -> None:
    with serving(family) as (pid, port):
        (answer,) = first_answers((Check(kind="http", target=f"http://{asked}:{port}/200"),), pid)

    if answer.reason == "connection failed":
        pytest.skip("this machine has no IPv6 loopback")
    assert (answer.reason, answer.explained) == ("wrong address family", True)
    assert f"pid {pid} listens on {'[::1]' if family == '6' else '127.0.0.1'}:{port}" in answer.detail


def test_a_timeout_below_the_time_the_service_takes_is_named(server: tuple[int, int]) -> None:
    pid, port = server
    check = Check(kind="http", target=f"http://127.0.0.1:{port}/200/0.6", timeout_s=0.2)

    (answer,) = first_answers((check,), pid)

    assert (answer.reason, answer.explained) == ("timeout too short", True)
    assert "the check waits 0.2 s" in answer.detail


def test_a_certificate_nobody_vouches_for_is_named_and_the_service_behind_it_is_found(tmp_path: Path) -> None:
    with contextlib.closing(Simulator("side")) as side:
        side.secure(certificate(tmp_path / "side.pem"))

        (answer,) = first_answers((Check(kind="http", target=side.url),), os.getpid())

    assert (answer.reason, answer.explained) == ("TLS", True)
    assert "answers when its certificate is not verified" in answer.detail


def test_a_listener_that_never_answers_is_not_excused() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = f"http://127.0.0.1:{silent.getsockname()[1]}/"

        (answer,) = first_answers((Check(kind="http", target=target, timeout_s=0.1),), os.getpid())

    assert (answer.ok, answer.reason, answer.explained) == (False, "no answer", False)


@pytest.mark.parametrize(
    ("command", "ok", "reason", "explained"),
    [
        ("true", True, "", False),
        ("false", False, "exit code", False),
        ("qt-no-such-program --now", False, "missing client", True),
        ("sh -c 'exit 127'", False, "missing client", True),
        ("/dev/null", False, "missing client", True),
        ("sh -c 'kill -SEGV $$'", False, "client crashed", True),
        (f"{sys.executable} -c 'import no_such_module'", False, "client crashed", True),
        (f"{sys.executable} -c 'raise ConnectionRefusedError(111)'", False, "exit code", False),
        ("sh -c 'unbalanced", False, "bad check", True),
        ("", False, "bad check", True),
    ],
)
def test_an_exec_check_tells_its_own_trouble_from_the_childs(
    command: str, ok: bool, reason: str, explained: bool
) -> None:
    (answer,) = first_answers((Check(kind="exec", target=command, timeout_s=20),), os.getpid())

    assert (answer.ok, answer.reason, answer.explained) == (ok, reason, explained), answer.detail


@pytest.mark.parametrize(
    ("kind", "target"),
    [("smoke", "x"), ("http", "127.0.0.1:80"), ("http", ""), ("tcp", "localhost"), ("tcp", "127.0.0.1:99999")],
)
def test_a_check_that_cannot_be_asked_says_so_and_stops_nothing(kind: str, target: str) -> None:
    good = Check(kind="exec", target="true", every_s=0.1)

    answers = first_answers((Check(kind=kind, target=target), good), os.getpid(), count=4)

    assert {(a.ok, a.reason) for a in answers if a.kind == kind} == {(False, "bad check")}
    assert any(a.ok for a in answers)


def test_a_slow_check_program_is_ended_with_all_it_started_and_is_known_while_it_runs() -> None:
    asked = Checks({"child": (Check(kind="exec", target="sh -c 'sleep 600 & sleep 600'", timeout_s=30),)})
    asked.start()
    asked.live("child", os.getpid())
    end = time.monotonic() + 20
    while not asked.pids():
        assert time.monotonic() < end
        threading.Event().wait(0.01)
    (leader,) = asked.pids()

    assert asked.stop()

    assert asked.pids() == frozenset()
    while _group_lives(leader):
        assert time.monotonic() < end, "the check's process group outlived the check"
        threading.Event().wait(0.01)


def _group_lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    # zombies waiting for their reaper still count as a group
    states = subprocess.run(["ps", "-o", "stat=", "-s", str(leader)], capture_output=True, text=True, check=False)
    return any(not state.strip().startswith("Z") for state in states.stdout.splitlines() if state.strip())


def test_a_prober_without_descriptors_has_no_answer_and_blames_nobody(server: tuple[int, int]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    check = Check(kind="tcp", target=f"127.0.0.1:{server[1]}")
    try:
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            with pytest.raises(probes.Lost):
                loop.run_until_complete(probes.ask(check, probes.Processes()))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_exit_status_taken_by_another_reaper_is_no_answer_at_all() -> None:
    asked = Checks({"child": (Check(kind="exec", target="sleep 0.3", every_s=0.1, timeout_s=20),)})
    asked.start()
    asked.live("child", os.getpid())
    end = time.monotonic() + 20
    stolen = False
    while not stolen:
        assert time.monotonic() < end
        for pid in asked.pids():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
                stolen = True
        threading.Event().wait(0.005)

    later = until(asked.drain, 1)  # the next run, which nobody steals
    assert asked.stop()
    assert all(answer.ok for answer in later)


def test_only_live_children_are_asked_and_a_wedged_check_delays_nobody_else(server: tuple[int, int]) -> None:
    pid, port = server
    slow = Check(kind="http", target=f"http://127.0.0.1:{port}/200/20", timeout_s=20)
    quick = Check(kind="tcp", target=f"127.0.0.1:{port}", every_s=0.1)
    asked = Checks({"slow": (slow,), "quick": (quick,), "down": (quick,)})
    asked.start()
    try:
        asked.live("slow", pid)
        asked.live("quick", pid)
        answers = until(asked.drain, 3)
        assert {(a.child, a.ok) for a in answers} == {("quick", True)}

        asked.live("quick", None)
        asked.live("down", pid)
        until(lambda: [a for a in asked.drain() if a.child == "down"], 1)
        assert {a.child for a in until(asked.drain, 3)} == {"down"}
    finally:
        assert asked.stop()


def test_failures_in_a_row_are_counted_and_a_recovery_forgets_them() -> None:
    with serving() as (pid, port):
        asked = Checks({"child": (Check(kind="tcp", target=f"127.0.0.1:{port}", every_s=0.1),)})
        asked.start()
        try:
            asked.live("child", pid)
            assert until(asked.drain, 1)[0].failures == 0
            os.kill(pid, signal.SIGKILL)
            failing = until(lambda: [a for a in asked.drain() if not a.ok], 3)
        finally:
            assert asked.stop()
    assert [a.failures for a in failing[:3]] == [1, 2, 3]
    assert failing[0].reason == "nothing listens"


def test_without_declared_checks_there_is_no_thread() -> None:
    before = threading.active_count()
    asked = Checks({"child": ()})
    asked.start()
    asked.live("child", os.getpid())

    assert threading.active_count() == before
    assert asked.drain() == []
    assert asked.stop()


def self_test(kind: str) -> str:
    async def test() -> str:
        return await selftest.fault(kind, probes.Processes())

    return asyncio.run(test())


@pytest.mark.parametrize("kind", selftest.KINDS)
def test_a_prober_that_is_in_order_passes_its_self_test_at_once_and_leaves_nothing_behind(kind: str) -> None:
    self_test(kind)  # what the first loop of a process opens stays open
    before, begun = len(list(Path("/proc/self/fd").iterdir())), time.monotonic()
    children = psutil.Process().children()

    assert self_test(kind) == ""

    assert time.monotonic() - begun < 2.0
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert psutil.Process().children() == children


@pytest.mark.parametrize("kind", selftest.KINDS)
@pytest.mark.parametrize("lie", [True, False, None])
def test_a_prober_that_lies_about_known_targets_is_believed_about_nobody_until_it_tells_the_truth(
    monkeypatch: pytest.MonkeyPatch, server: tuple[int, int], kind: str, lie: bool | None
) -> None:
    pid, port = server
    target = {"http": f"http://127.0.0.1:{port}/200", "tcp": f"127.0.0.1:{port}", "exec": "true"}[kind]
    honest, asked = probes.ask, []
    monkeypatch.setattr(selftest, "AGAIN_S", 0.2)

    async def lies(check: Check, *arguments: Any, **fields: Any) -> probes.Answer:
        asked.append(check.target)
        if lie is None:
            raise TypeError("a slip")
        return probes.Answer(ok=lie, detail="" if lie else "refused")

    monkeypatch.setattr(probes, "ask", lies)
    checks = Checks(
        {"child": (Check(kind=kind, target=target, every_s=0.1),), "need": (Check(kind=kind, target=target),)}
    )
    checks.start()
    try:
        checks.live("child", pid)
        checks.live("need", 0)
        answers = until(checks.drain, 3)
        assert {(one.child, one.ok, one.reason, one.explained) for one in answers} == {
            ("child", False, "check broke", True)  # and of the dependency, which we could not ask, nothing is said
        }
        known, found = ("bad", "good") if lie else ("good", "bad")
        assert f"our own {kind} question fails its self-test" in answers[0].detail
        assert f"known to be {known}, was found {found}" in answers[0].detail
        assert target not in asked or kind == "exec"
        monkeypatch.setattr(probes, "ask", honest)
        end = time.monotonic() + 20
        while not any(one.ok for one in until(checks.drain, 1)):
            assert time.monotonic() < end
    finally:
        assert checks.stop()


def test_each_kind_is_tested_once_before_its_first_question_and_not_again(
    monkeypatch: pytest.MonkeyPatch, server: tuple[int, int]
) -> None:
    pid, port = server
    held: list[str] = []
    honest = selftest.fault

    async def counted(kind: str, processes: probes.Processes) -> str:
        held.append(kind)
        return await honest(kind, processes)

    monkeypatch.setattr(selftest, "fault", counted)
    tcp = Check(kind="tcp", target=f"127.0.0.1:{port}", every_s=0.1)
    web = Check(kind="http", target=f"http://127.0.0.1:{port}/200", every_s=0.1)

    answers = first_answers((tcp, web), pid, count=6)

    assert all(answer.ok for answer in answers)
    assert sorted(held) == ["http", "tcp"]
