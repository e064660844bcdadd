"""What the root must know after its own death: incarnation counters, what an operator stopped, how the last run ended.

Small JSON files under the home, replaced whole, so a reader sees the old or the new one. A counter that cannot be read
starts at 0 and says so; a process that dies never leaves half a file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from supervisor.moves import Verb


class Counters:
    """`run/incarnations.json`: name -> last incarnation, so that fences hold over a restart of the root."""

    def __init__(self, home: Path) -> None:
        self._path = home / "run" / "incarnations.json"
        self.values = {str(k): v for k, v in _read(self._path).items() if isinstance(v, int)}

    def started(self, id: str, incarnation: int) -> None:
        """Remembered before the process exists."""
        self.values[id] = incarnation
        write(self._path, self.values)


class Intent:
    """`state/intent.json`: what a person stopped stays stopped, also over a restart of the server."""

    def __init__(self, home: Path) -> None:
        self._path = home / "state" / "intent.json"
        self.stopped = [str(name) for name in _read(self._path).get("stopped", [])]

    def ordered(self, verb: Verb, id: str) -> None:
        """An accepted order."""
        wanted = [name for name in self.stopped if name != id] + ([id] if verb is Verb.STOP else [])
        if wanted != self.stopped:
            self.stopped = wanted
            write(self._path, {"schema": 1, "stopped": wanted})


def write(path: Path, value: Any) -> None:
    """Replace the file by this value as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value) + "\n")
    fresh.replace(path)


def leave_exit(home: Path, code: int, reason: str) -> None:
    """The root ends in order with this code. A heart that adopted it cannot read its exit status, only this."""
    write(home / "run" / "exit.json", {"pid": os.getpid(), "code": code, "reason": reason})


def orderly_exit(home: Path, pid: int) -> tuple[int, str] | None:
    """(code, reason) if the process `pid` ended in order; `None` when it did not say so."""
    left = _read(home / "run" / "exit.json")
    if left.get("pid") != pid or not isinstance(left.get("code"), int):
        return None
    return left["code"], str(left.get("reason", ""))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):  # absent at the first start; anything else in it is worth no more than absent
        return {}
    return value if isinstance(value, dict) else {}
