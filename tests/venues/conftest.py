"""Fixtures of the venue tests; the helpers are in `venue_side.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.venues.simulator.server import Settings
from tests.venues.venue_side import Running


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """`simulator(data=…, speed=…)` starts one; all are stopped at the end."""
    started: list[Running] = []

    def start(**settings: Any) -> Running:
        running = Running(Settings(**({"home": str(tmp_path / "venue")} | settings)))
        started.append(running)
        return running

    yield start
    for running in started:
        if not running.loop.is_closed():
            running.stop()
