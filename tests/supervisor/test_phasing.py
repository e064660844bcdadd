"""The shutdown phases over real processes: told, answered, late, dead; aborted and forced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.spec import ChildSpec, child
from tests.supervisor.toys import PROJECT, House, Worker, alive, house, toy

pytestmark = pytest.mark.process
TOYS = "tests.supervisor.root_toys"


def officer(name: str, book: Path, *phases: str, manner: str = "done") -> ChildSpec:
    return child(name, f"{TOYS}:Officer", spec={"phases": phases}, book=str(book), manner=manner)


def told(book: Path) -> list[str]:
    return book.read_text().splitlines() if book.exists() else []


def down(home: House, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.main", "down", "--home", str(home.home), *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)


def test_down_runs_the_phases_in_order_shows_each_outcome_and_then_stops_the_tree(tmp_path: Path) -> None:
    book = tmp_path / "book"
    late = officer("late", book, "stop-strategies", manner="late")
    with house(
        tmp_path, officer("ledger", book, "persist"), officer("gate", book, "stop-intake", "persist"), late
    ) as home:
        root = home.start("root")
        home.ready("gate", "ledger", "late")
        done = down(home)
        assert done.returncode == 0, done.stderr
        assert root.wait(10) == 0
        assert told(book)[:2] == ["gate 1 stop-intake", "late 1 stop-strategies"]
        assert sorted(told(book)[2:]) == ["gate 1 persist", "ledger 1 persist"]
        lines = done.stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["stop-intake", "stop-strategies", "persist", "down,"]
        assert "late: not done within 2 s" in lines[1]
        outcome = json.loads((tmp_path / "run" / "exit.json").read_text())["shutdown"]
        assert [phase["phase"] for phase in outcome["phases"]] == ["stop-intake", "stop-strategies", "persist"]
        events = [json.loads(line) for line in (tmp_path / "logs" / "events.jsonl").read_text().splitlines()]
        assert sum(event["kind"] == "phase" for event in events) == 6  # each begins and is over


def test_a_phase_that_may_not_fail_leaves_the_server_up_in_safe_mode_until_forced(tmp_path: Path) -> None:
    book = tmp_path / "book"
    with house(
        tmp_path,
        toy("a", Worker),
        officer("gate", book, "stop-intake"),
        officer("execution", book, "flatten", manner="raises"),
    ) as home:
        root = home.start("root")
        before = home.ready("a", "gate", "execution")
        refused = down(home)
        assert refused.returncode == 1
        assert "safe mode" in refused.stderr
        assert "the venue does not answer" in refused.stderr
        assert home.status()["server"]["state"] == "safe"
        assert home.child("a")["pid"] == before["a"]["pid"]
        [aborted] = [e for e in home.events("house") if e["kind"] == "aborted"]
        assert "`down --force` ends it" in aborted["sentence"]
        assert down(home).returncode == 1  # another try, from the first phase, with the same end
        assert home.status()["server"]["shutdown"]["try"] == 2
        # whoever comes up in safe mode is told what is in force
        os.kill(home.child("gate")["pid"], signal.SIGKILL)
        home.until(lambda: "gate 2 stop-intake" in told(book), "its next life is told")
        assert down(home, "--force").returncode == 0
        assert root.wait(10) == 0
        assert not alive(before["a"]["pid"])


def test_a_signal_is_never_refused(tmp_path: Path) -> None:
    book = tmp_path / "book"
    with house(tmp_path, officer("execution", book, "flatten", manner="raises")) as home:
        root = home.start("root")
        home.ready("execution")
        root.send_signal(signal.SIGTERM)
        assert root.wait(20) == 0
        assert told(book)[0] == "execution 1 flatten"
