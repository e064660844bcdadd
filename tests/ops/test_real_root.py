"""The verbs on the real heart and root, over a toy tree: what a person types in the first five minutes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.runtime.client import running, sockets

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = 'import sys\nfrom ops import main, up\nup.BUILD = "tests.ops.toy_house:build"\nsys.argv[0] = "qt"\nmain.main()'
Qt = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.process


@pytest.fixture
def qt(tmp_path: Path) -> Iterator[Qt]:
    env = {**os.environ, "QT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    env.pop("NOTIFY_SOCKET", None)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", SCRIPT, *words]
        return subprocess.run(argv, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=90, check=False)

    yield run
    if running(tmp_path) is not None:
        run("down")
    folder = sockets(tmp_path)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def test_up_status_why_orders_and_down(qt: Qt, tmp_path: Path) -> None:
    up = qt("up", "--detach", "--http-port", "0")
    assert (up.returncode, up.stderr) == (0, "")
    assert up.stdout.startswith("ready: ")

    second = qt("up", "--detach", "--http-port", "0")
    assert (second.returncode, "already runs" in second.stderr) == (75, True)

    status = json.loads(qt("status", "-o", "json").stdout)
    assert status["schema"] == 1
    assert {child["name"] for child in status["children"]} >= {"market", "steady", "doomed", "watch", "other"}

    deadline = time.monotonic() + 60
    while json.loads(qt("status", "doomed", "-o", "json").stdout)["children"][0]["state"] != "quarantined":
        assert time.monotonic() < deadline
    why = qt("why", "doomed").stdout
    assert "doomed: CRASH_LOOP" in why
    assert "the same every time" in why
    assert "| KeyError" in why

    assert qt("stop", "steady").returncode == 0
    assert "steady" in qt("wait", "--timeout", "0.2s").stderr
    assert qt("status").returncode == 3
    assert qt("start", "steady").returncode == 0
    assert qt("wait", "steady", "--timeout", "30s").returncode == 0
    assert "quarantined" in qt("events").stdout
    assert "steady" in qt("vitals").stdout
    assert "did you mean steady" in qt("why", "stedy").stderr

    # Who follows the events hears of the next root, too, although it counts from 1 again.
    argv = [sys.executable, "-c", SCRIPT, "events", "-f", "--home", str(tmp_path)]
    following = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        life = json.loads(qt("status", "steady", "-o", "json").stdout)["children"][0]["incarnation"]
        assert any(f"steady is ready as incarnation {life}" in line for line in following.stdout)
        os.kill(json.loads(qt("status", "-o", "json").stdout)["server"]["pid"], signal.SIGKILL)
        assert any(f"steady is ready as incarnation {life + 1}" in line for line in following.stdout)
    finally:
        following.kill()
        following.communicate()

    assert qt("down").stdout == "down, in order\n"
    assert running(tmp_path) is None
    assert qt("status").returncode == 3
