"""The clock of the house: who beats on time, who beats late, and who does not beat at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from supervisor.evidence import sentinel


def test_the_most_punctual_clock_tells_and_nobody_else_is_believed(tmp_path: Path) -> None:
    assert sentinel.late_s(tmp_path, [("core", os.getpid())], time.monotonic()) is None
    beats = sentinel.Beat(sentinel.page_of(tmp_path, "core"))
    now = time.monotonic()
    beats.beat()

    assert sentinel.late_s(tmp_path, [("core", os.getpid()), ("none", 1)], now) == 0.0
    assert sentinel.late_s(tmp_path, [("core", os.getpid())], now + 3.5) == pytest.approx(3.0, abs=0.2)
    assert sentinel.late_s(tmp_path, [("core", os.getpid() + 1)], now) is None  # an earlier life of it
    assert sentinel.late_s(tmp_path, [("core", 0)], now) is None  # it is down
