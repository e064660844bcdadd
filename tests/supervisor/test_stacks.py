"""Stacks from outside, of real processes: one that works, one that is stopped, one that is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervisor.evidence import stacks

pytestmark = pytest.mark.process
WAITS = "import time\ndef waits_for_godot():\n    print('here', flush=True)\n    time.sleep(600)\nwaits_for_godot()"


def picture(pid: int, path: Path) -> str:
    taken = stacks.begin(pid, path)
    assert taken is not None, "py-spy is part of the dev extra and is not there"
    deadline = time.monotonic() + 20
    while taken._process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return taken.end()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_shows_where_it_is_even_when_it_is_stopped(tmp_path: Path, stopped: bool) -> None:
    child = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        if stopped:
            child.send_signal(signal.SIGSTOP)
        try:
            Path(f"/proc/{child.pid}/mem").open("rb").close()
        except PermissionError:
            pytest.skip("the kernel forbids this user to read the memory of its own children")
        said = picture(child.pid, tmp_path / "x")
        assert "waits_for_godot" in said
        assert child.poll() is None
        assert not (tmp_path / "x").exists()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()  # type: ignore[union-attr]


def test_of_one_that_is_gone_there_is_no_picture_and_no_error(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert picture(child.pid, tmp_path / "x") == ""


def test_without_py_spy_nothing_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "PROGRAM", "no-such-program")
    assert stacks.begin(1, tmp_path / "x") is None
    assert not (tmp_path / "x").exists()
