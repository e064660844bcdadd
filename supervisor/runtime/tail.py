"""What the root writes down, read while it writes: `logs/events.jsonl`, oldest first.

A file, because it outlives every root: a visitor who asks over the control socket hears nothing of a root's last words,
and the successor numbers its records from 1 again.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, TextIO


class Tail:
    """The records of one home; with `new_only` those that are written from now on. Rotated files are followed."""

    def __init__(self, home: Path, *, new_only: bool = False) -> None:
        self._path = home / "logs" / "events.jsonl"
        self._file: TextIO | None = None
        self._half = ""  # a line of which only the beginning was written yet
        if new_only and self._path.exists():
            self._file = self._path.open()
            self._file.seek(0, os.SEEK_END)

    def read(self) -> list[dict[str, Any]]:
        """The records since the last call; never waits. A line that is no record is left out."""
        found: list[dict[str, Any]] = []
        while True:
            if self._file is None:
                try:
                    self._file = self._path.open()
                except FileNotFoundError:
                    return found
            for line in self._file:
                self._half += line
                if line.endswith("\n"):
                    record = _record(self._half)
                    self._half = ""
                    if record is not None:
                        found.append(record)
            if not self._rotated():
                return found
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file, self._half = None, ""

    def _rotated(self) -> bool:
        assert self._file is not None
        try:
            return os.fstat(self._file.fileno()).st_ino != self._path.stat().st_ino
        except FileNotFoundError:  # between two names; the next call sees the new one
            return False


def sentence(record: dict[str, Any]) -> str:
    """`12:00:03.120  steady will be restarted at once`, in local time."""
    at = float(record.get("at") or 0)
    clock = time.strftime("%H:%M:%S", time.localtime(at))
    return f"{clock}.{int(at * 1000) % 1000:03d}  {record.get('sentence', '')}"


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
