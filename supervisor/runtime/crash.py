"""Last words: a crash record from a live exception, and all Python stacks on SIGUSR1 even while the GIL is held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from supervisor.words import CrashRecord


def record(
    error: BaseException, *, phase: str, roots: Sequence[Path], in_hand: str = "", retryable: bool | None = None
) -> CrashRecord:
    """The crash record of `error`; `roots` are the directories whose frames are our own code."""
    raise NotImplementedError


def install_dump(path: Path) -> None:
    """In the node, after the fork: SIGUSR1 writes the stacks of all threads to `path`."""
    raise NotImplementedError


def ask_dump(pid: int, path: Path) -> None:
    """From the root: forget the old dump and ask for a new one. Only for a process that called `install_dump`."""
    raise NotImplementedError


def read_dump(path: Path) -> str:
    """The stacks written since the last `ask_dump`, "" if none (yet)."""
    raise NotImplementedError
