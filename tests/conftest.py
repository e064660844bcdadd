"""Shared fixtures: where the recorded market data lives, and what to do when it does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("binance_ws_20240808")` is that folder; absent data skips by name, but never in CI where it is."""

    def find(name: str) -> Path:
        path = DATA / name
        if path.exists():
            return path
        if os.environ.get("CI") and DATA.exists():
            pytest.fail(f"recorded data {name} is missing from {DATA.name}/")
        pytest.skip(f"recorded market data {name} is not beside the project")

    return find
