"""Declared checks, asked from one background thread so that the root's loop never waits for an answer."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.spec import Check
from supervisor.verdict.evidence import CheckResult


class Checks:
    """Asks the checks of live children, each in its own rhythm; answers are values in a queue."""

    def __init__(self, declared: Mapping[str, tuple[Check, ...]]) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""

    def live(self, child: str, pid: int | None) -> None:
        """This child is ready as `pid` and may be asked; None: do not ask (down, not ready)."""

    def drain(self) -> list[CheckResult]:
        """The answers since the last call, oldest first; never blocks. At most 1000 are kept, the oldest go first."""
        raise NotImplementedError

    def pids(self) -> frozenset[int]:
        """Processes of running exec checks: the root's reaper must leave them alone."""
        raise NotImplementedError

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End all checks and the thread; False when it did not end in time."""
        raise NotImplementedError
