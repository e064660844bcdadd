"""A simulator outside the tree, run and driven from the command line, over real sockets."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

QT = [sys.executable, "-m", "ops.main"]


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[str]:
    env = {**os.environ, "QT_HOME": str(tmp_path)}
    process = subprocess.Popen([*QT, "venue", "serve"], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    found = re.match(r"venue on (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())
    assert found
    yield found[1]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.stdout.close()


def qt(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*QT, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.process
def test_it_serves_takes_orders_for_faults_and_ends_in_order(venue: str) -> None:
    with urllib.request.urlopen(f"{venue}/_venue/state", timeout=5) as answer:
        assert answer.status == 200
    done = qt("venue", "fault", "gap", "count=2", "product=spot", "--url", venue)
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, True)
    refused = qt("venue", "fault", "gapp", "--url", venue)
    assert refused.returncode == 1
    assert refused.stderr.startswith("qt: the simulator refused: fault kind 'gapp' is unknown; known are gap, ")
    assert json.loads(qt("venue", "park", "--url", venue).stdout)["parked"] is True
    assert json.loads(qt("venue", "park", "--unpark", "--url", venue).stdout)["parked"] is False


@pytest.mark.process
def test_a_field_that_is_none_and_a_venue_that_is_none_are_refused() -> None:
    assert qt("venue", "fault", "gap", "count", "--url", "http://127.0.0.1:9").returncode == 64
    done = qt("venue", "fault", "gap", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no simulator answers on http://127.0.0.1:9" in done.stderr
