"""Each example does what its first lines say; on the way, every verb of `python -m supervisor` is used once."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.pipeline import Sum
from supervisor.__main__ import main
from supervisor.runtime import locks
from supervisor.runtime.client import Client, Unreachable, sockets
from supervisor.runtime.codec import Decoder
from supervisor.runtime.journal import JournalReader, file_name
from tests.supervisor.toys import PROJECT, alive

pytestmark = pytest.mark.process


class Terminal:
    """A person at a terminal: one window where the example runs, another for questions and orders."""

    def __init__(self, home: Path, build: str, *options: str) -> None:
        self.home = home
        self.client = Client(home)
        argv = [sys.executable, "-m", "supervisor", "run", build, "--home", str(home), *options]
        self.process = subprocess.Popen(argv, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def say(self, *words: str) -> tuple[int, str]:
        """(exit code, everything it printed) of one command in the other window."""
        return supervisor(*words, "--home", str(self.home))

    def status(self) -> dict[str, dict[str, Any]]:
        """The children by name, none while nobody answers."""
        with contextlib.suppress(Unreachable):
            return {row["name"]: row for row in self.client.ask("status", 1.0)["children"]}
        return {}

    def until(self, look: Callable[[dict[str, dict[str, Any]]], object], what: str) -> dict[str, dict[str, Any]]:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            rows = self.status()
            if rows and look(rows):
                return rows
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"never: {what}; {self.status()}; {self.process.communicate()[0]}")

    def end(self) -> tuple[int, str]:
        """The run's exit code and what stood in its window."""
        shown, _ = self.process.communicate(timeout=30)
        return self.process.returncode, shown

    def close(self) -> None:
        for name in ("heart", "root"):
            pid = locks.holder(self.home / "run" / f"{name}.lock")
            if pid:
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()
        self.client.close()
        folder = sockets(self.home)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def terminal(home: Path, build: str, *options: str) -> Iterator[Terminal]:
    built = Terminal(home, build, *options)
    try:
        yield built
    finally:
        built.close()


def sums(home: Path) -> list[tuple[int, int]]:
    """(n, total) of everything the sink has said, in order."""
    decoder = Decoder((Sum,))
    records = JournalReader(home / "journal" / file_name("sink")).until("Sum", None)
    return [(body.n, body.total) for body in (decoder.decode(record.frame).body for record in records)]


def supervisor(*words: str) -> tuple[int, str]:
    """(exit code, everything it printed) of one command, run in this process because it is the same as in another."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(words)
    return code, printed.getvalue()


def test_a_crash_looping_worker_is_parked_and_its_siblings_never_notice(tmp_path: Path) -> None:
    with terminal(tmp_path, "examples.crash_looping_worker:build") as shown:
        rows = shown.until(
            lambda rows: rows["broken"]["verdict"] == "CRASH_LOOP" and rows["calm"]["ready"], "broken is parked"
        )
        assert rows["broken"]["incarnation"] == 3
        assert rows["steady"]["incarnation"] == rows["calm"]["incarnation"] == 1
        code, table = shown.say("status")
        assert code == 0  # broken is not required
        assert "ZeroDivisionError: division by zero (crash_looping_worker.py" in table
        assert shown.say("status", "brokn") == (4, "no child is called 'brokn'; did you mean broken?\n")
        code, page = shown.say("why", "broken")
        assert (code, "broken: CRASH_LOOP" in page, "self.result = 1 / divisor" in page) == (0, True, True)
        assert shown.say("release", "broken")[0] == 0
        shown.until(lambda rows: rows["broken"]["incarnation"] == 6, "it dies three more times")
        assert shown.say("stop", "calm")[0] == 0
        shown.until(lambda rows: rows["calm"]["state"] == "stopped", "calm is down")
        assert shown.say("stop", "clam")[0] == 4
        assert shown.say("status")[0] == 3  # a required child is down
        assert shown.say("run", "examples.pipeline:build")[0] == 75
        assert shown.say("down") == (0, "down, in order\n")
        code, window = shown.end()
        assert code == 0
        assert "broken is quarantined (crash loop): 3 times in a row crashed: ZeroDivisionError" in window
        assert "ended in order after" in window
        code, written = shown.say("events")
        assert code == 0
        assert "house and everything below it is down: an operator's order (down)" in written


def test_in_a_pipeline_who_stands_below_a_killed_stage_restarts_and_no_number_is_lost(tmp_path: Path) -> None:
    with terminal(tmp_path, "examples.pipeline:build") as shown:
        before = shown.until(lambda rows: all(row["ready"] for row in rows.values()) and sums(tmp_path), "flow")
        os.kill(before["stage"]["pid"], signal.SIGKILL)
        after = shown.until(
            lambda rows: all(row["ready"] for row in rows.values()) and rows["sink"]["incarnation"] == 2, "all back"
        )
        assert (after["stage"]["incarnation"], after["source"]["pid"]) == (2, before["source"]["pid"])
        heard = len(sums(tmp_path))
        shown.until(lambda rows: len(sums(tmp_path)) > heard + 5, "it flows again")
        shown.process.send_signal(signal.SIGINT)
        code, window = shown.end()
        assert code == 0
        assert "ending in order … (again: kill)" in window
        counted = range(1, len(sums(tmp_path)) + 1)
        assert sums(tmp_path) == [(n, n * (n + 1) * (2 * n + 1) // 6) for n in counted]  # none lost, none twice
        assert not alive(after["sink"]["pid"])


def test_workers_of_a_dynamic_pool_come_and_go_and_outlive_the_root(tmp_path: Path) -> None:
    with terminal(tmp_path, "examples.dynamic_pool:build") as shown:
        shown.until(lambda rows: rows["pool"]["ready"], "an empty pool")
        for name in ("w1", "w2", "w3"):
            assert shown.say("add", "pool", name)[0] == 0
        before = shown.until(lambda rows: all(rows.get(name, {}).get("ready") for name in ("w1", "w2", "w3")), "three")
        code, sentence = shown.say("add", "pool", "w4")
        assert (code, "pool has 3 children, as many as it may have" in sentence) == (1, True), sentence
        os.kill(before["w2"]["pid"], signal.SIGKILL)
        after = shown.until(lambda rows: rows["w2"]["incarnation"] == 2 and rows["w2"]["ready"], "w2 is back")
        assert (after["w1"]["pid"], after["w3"]["pid"]) == (before["w1"]["pid"], before["w3"]["pid"])
        assert shown.say("remove", "w1")[0] == 0
        shown.until(lambda rows: "w1" not in rows, "w1 is forgotten")
        root = locks.holder(tmp_path / "run" / "root.lock")
        assert root
        os.kill(root, signal.SIGKILL)
        again = shown.until(
            lambda rows: rows.get("w3", {}).get("incarnation") == 2 and rows["w2"]["ready"] and rows["w3"]["ready"],
            "the others are back under another root",
        )
        assert "w1" not in again


def test_a_run_ends_by_itself_when_its_time_is_over(tmp_path: Path) -> None:
    with terminal(tmp_path, "examples.pipeline:build", "--for", "0.5s") as shown:
        code, window = shown.end()
        assert code == 0
        assert "ending in order: 500ms are over" in window


def test_wrong_use_is_one_sentence_with_its_code(tmp_path: Path) -> None:
    nowhere = ("--home", str(tmp_path / "nowhere"))
    for words, code, sentence in (
        (("runn", "examples.pipeline:build"), 64, "invalid choice: 'runn'"),
        (("run", "examples.pipeline:build", "--for", "soon"), 64, "'soon' is no duration"),
        (("status", *nowhere), 3, "no server runs in"),
        (("restart", "stage", *nowhere), 3, "no server runs in"),
        (("down", *nowhere), 0, "no server runs in"),
        (("events", *nowhere), 0, ""),
    ):
        got, printed = supervisor(*words)
        assert (got, sentence in printed) == (code, True), printed
        assert len(printed.splitlines()) <= 1
    assert not (tmp_path / "nowhere").exists()
    assert supervisor("run", "examples.pipeline:nothing", "--home", str(tmp_path / "home")) == (
        78,
        "examples.pipeline:nothing: module examples.pipeline has no nothing\n",
    )
