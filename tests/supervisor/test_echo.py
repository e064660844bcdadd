"""Rung R0 against real processes: it answers while the GIL is held, and not while the process is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.evidence.echo import Knocker
from supervisor.verdict import Ping
from tests.supervisor.harness import short_home

pytestmark = pytest.mark.process
HOLDS_THE_GIL = """
import ctypes, sys, zmq
from supervisor.evidence import echo
echo.serve(zmq.Context(), sys.argv[1])
print("up", flush=True)
ctypes.PyDLL(None).sleep(600)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    path = short_home()
    yield path
    shutil.rmtree(path)


def test_it_answers_while_the_gil_is_held_and_not_while_the_process_is_stopped(home: Path) -> None:
    endpoint = f"ipc://{home}/node"
    node = subprocess.Popen([sys.executable, "-c", HOLDS_THE_GIL, endpoint], stdout=subprocess.PIPE, text=True)
    knocker = Knocker()

    def knock() -> Ping:
        time.sleep(0.005)
        return knocker.knock("node", 1, endpoint, time.monotonic(), 0.05)

    def until(answered_after: float) -> None:
        deadline = time.monotonic() + 20
        while (knock().answered_at or 0.0) <= answered_after:
            assert time.monotonic() < deadline, "no answer"

    try:
        assert node.stdout is not None
        node.stdout.readline()
        until(0.0)
        until(time.monotonic() + 0.2)  # again and again, the interpreter stands still all the while

        os.kill(node.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, node.pid, os.WSTOPPED | os.WNOWAIT)
        stopped_at = time.monotonic()
        while (ping := knock()).waiting_since is None or time.monotonic() < stopped_at + 0.5:
            assert time.monotonic() < stopped_at + 20
        assert ping.answered_at is None or ping.answered_at < stopped_at + 0.2  # what was on its way, and no more
        assert ping.waiting_since is not None

        os.kill(node.pid, signal.SIGCONT)
        until(time.monotonic())
        assert knocker.knock("node", 2, endpoint, time.monotonic()).answered_at is None  # of another life
    finally:
        node.kill()
        node.communicate()
        knocker.close()


def test_a_suspect_that_is_gone_keeps_nobody_waiting(home: Path) -> None:
    knocker = Knocker()
    for at in range(20):
        assert knocker.knock("nobody", 1, f"ipc://{home}/nobody", float(at)).answered_at is None
    knocker.leave("nobody")
    knocker.close()
