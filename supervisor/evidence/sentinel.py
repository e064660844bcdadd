"""A sentinel without a process of its own: a zygote that only waits beats on a page, and the root sees if that is late.

The picture: a clock that anybody can hear tick. It does nothing else, so when it ticks late the house is at fault, not
the clock: the machine was paused or starved, and what was not seen meanwhile is no evidence against anybody. A zygote
that is being asked to fork is late by milliseconds; that is no lateness worth a word.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterable
from pathlib import Path

BEAT_S = 0.5
_WORDS = 2  # pid, monotonic nanoseconds of the last beat


def page_of(run: Path, role: str) -> Path:
    return run / f"sentinel-{role.replace(':', '_').replace('/', '_')}"


class Beat:
    """The waiting process's side; `beat` once in `BEAT_S` or oftener."""

    def __init__(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, _WORDS * 8)
            self._words = memoryview(mmap.mmap(descriptor, _WORDS * 8)).cast("Q")
        finally:
            os.close(descriptor)
        self._words[1] = time.monotonic_ns()
        self._words[0] = os.getpid()
        fresh.replace(path)

    def beat(self) -> None:
        self._words[1] = time.monotonic_ns()


def late_s(run: Path, waiting: Iterable[tuple[str, int]], now: float) -> float | None:
    """How late the most punctual of these (role, pid) is now; None: nobody beats. Some 20 us each."""
    found: float | None = None
    for role, pid in waiting:
        try:
            told = memoryview(page_of(run, role).read_bytes()).cast("Q")
        except (OSError, TypeError):
            continue
        if pid and len(told) == _WORDS and told[0] == pid:
            late = max(0.0, now - told[1] / 1e9 - BEAT_S)
            found = late if found is None else min(found, late)
    return found
