"""`qt up` beside a running heart: lines, live view, signals, exit codes, --detach. Real processes, fake heart."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.home import resolve
from supervisor.runtime.client import running, sockets
from supervisor.runtime.flight import refuse_second
from supervisor.terminal import Refusal

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from ops import main, up
behaviour, *words = sys.argv[1:]
up.heart_argv = lambda home: [sys.executable, "-m", "tests.ops.fake_heart", str(home), behaviour]
up.compile_plan = lambda launch, check=False: None
sys.argv = ["qt", *words]
main.main()
"""
Start = Callable[..., "subprocess.Popen[str]"]

pytestmark = pytest.mark.process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("calm", "--detach")` is `qt up --detach` over a calm fake heart."""
    started: list[subprocess.Popen[str]] = []

    def up(behaviour: str, *words: str, **io: int) -> subprocess.Popen[str]:
        env = {**os.environ, "QT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        env.pop("NOTIFY_SOCKET", None)
        argv = [sys.executable, "-c", SCRIPT, behaviour, "up", "--http-port", "0", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **io}
        started.append(subprocess.Popen(argv, text=True, env=env, cwd=tmp_path, **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield up
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    pid = running(tmp_path)
    if pid:
        os.kill(pid, signal.SIGKILL)
    folder = sockets(tmp_path)
    if folder is not None:  # of a heart that was killed before it could tidy up
        shutil.rmtree(folder, ignore_errors=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def gone(home: Path) -> bool:
    deadline = time.monotonic() + 20
    while running(home) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_a_pipe_it_says_starting_ready_and_the_end(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start("calm")
    assert line(process) == f"starting in sim mode, home {tmp_path}\n"
    assert line(process).startswith("ready: 3 of 3 in ")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.startswith("ended in order after ")
    assert err == "ending in order … (again: kill)\n"
    assert gone(tmp_path)


def test_a_second_ctrl_c_does_not_wait_for_a_deaf_heart(start: Start, tmp_path: Path) -> None:
    process = start("deaf")
    line(process)
    assert line(process).startswith("ready")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("ending in order")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 70
    assert "the server was killed by SIGKILL after" in err
    assert gone(tmp_path)


@pytest.mark.parametrize("behaviour", ["dies", "falls"])
def test_the_hearts_exit_code_is_ours(start: Start, behaviour: str) -> None:
    process = start(behaviour)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 70
    assert "the server ended with code 70 after" in err


def test_detached_it_returns_when_ready_and_qt_down_ends_it(start: Start, tmp_path: Path) -> None:
    process = start("calm", "--detach")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("ready: 3 of 3 in ")
    assert running(tmp_path)
    with pytest.raises(Refusal, match="already runs"):
        refuse_second(tmp_path, "end it")
    argv = [sys.executable, "-m", "ops.main", "down", "--home", str(tmp_path)]
    down = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (down.returncode, down.stdout) == (0, "down, in order\n")
    assert running(tmp_path) is None


def test_detached_and_failed_it_says_why_with_the_hearts_last_words(start: Start, tmp_path: Path) -> None:
    process = start("dies", "--detach")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 70
    assert "no journal can be written: disk full" in err
    assert str(tmp_path / "logs" / "server.log") in err


def test_on_a_terminal_it_shows_the_live_view_and_ctrl_c_ends_in_order(start: Start, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = start("calm", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = ""
    deadline = time.monotonic() + 30
    asked = False
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                shown += os.read(master, 65536).decode(errors="replace")
            except OSError:  # the other end is closed: the process has ended
                break
        if "HEALTHY" in shown and not asked:
            asked = True
            process.send_signal(signal.SIGINT)
    process.wait(20)
    os.close(master)
    assert asked, shown
    assert process.returncode == 0
    assert "feed:binance" in shown
    assert "ended in order after" in shown
    assert gone(tmp_path)


def test_the_home_is_named_by_option_then_environment_then_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_HOME", "/from/environment")
    assert resolve("/from/option") == Path("/from/option")
    assert resolve(None, "var") == Path("/from/environment")
    monkeypatch.delenv("QT_HOME")
    assert resolve(None, "/from/settings") == Path("/from/settings")
