"""The root's side thread: what may take milliseconds and must never hold up the loop.

It measures memory (RSS every few seconds, PSS once a minute: the kernel walks every page for it) and writes the
status to disk when it gets one, for the day the root is wedged. The loop hands in values and picks up values.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.evidence import kernel
from supervisor.evidence.kernel import Memory
from supervisor.runtime.log import Log

RSS_EVERY_S = 5.0
PSS_EVERY_S = 60.0
RSS_PER_CHILD_S = 0.05
EXACT_AT_ONCE = 16
_PAGE_MIB = 4096 / (1024.0 * 1024.0)


class Side:
    """`offer` from the loop, `memory` for the loop; the newest offer counts."""

    def __init__(self, home: Path, log: Log) -> None:
        self.memory: Mapping[int, Memory] = {}
        self._path = home / "run" / "status.json"
        self._log = log
        self._offer: tuple[dict[str, Any], tuple[int, ...]] | None = None
        self._wake = threading.Event()
        self._over = False
        self._rss_at = 0.0
        self._exact_at: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, name="side", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, status: dict[str, Any], pids: tuple[int, ...]) -> None:
        """The newest status, and whose memory is of interest."""
        self._offer = (status, pids)
        self._wake.set()

    def stop(self) -> None:
        self._over = True
        self._wake.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        complained = False
        while not self._over:
            self._wake.wait()
            self._wake.clear()
            offer, self._offer = self._offer, None
            if offer is None:
                continue
            status, pids = offer
            try:
                self._write(status)
                self._measure(pids)
                complained = False
            except OSError as error:
                if not complained:
                    self._log.warning("the side thread cannot write the status or read the memory", error=str(error))
                complained = True

    def _write(self, status: dict[str, Any]) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(status) + "\n")
        fresh.replace(self._path)

    def _measure(self, pids: tuple[int, ...]) -> None:
        """The resident size of all every few seconds, the exact one of a few at a time: the kernel walks all pages."""
        now = time.monotonic()
        new = [pid for pid in pids if pid not in self.memory]
        every_s = max(RSS_EVERY_S, len(pids) * RSS_PER_CHILD_S)
        if now - self._rss_at < every_s and not new:
            return
        self._rss_at = now
        self._exact_at = {pid: self._exact_at.get(pid, 0.0) for pid in pids}
        oldest = sorted(pids, key=self._exact_at.__getitem__)[:EXACT_AT_ONCE]
        found: dict[int, Memory] = {}
        for pid in pids:
            known = self.memory.get(pid)
            exact = pid in oldest and now - self._exact_at[pid] >= PSS_EVERY_S
            measured = kernel.memory(pid) if exact else None
            if exact:
                self._exact_at[pid] = now
            if measured is None:
                measured = Memory(_rss_mib(pid), known.pss_mib if known is not None else 0.0)
            found[pid] = measured
        self.memory = found


def _rss_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MIB
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
