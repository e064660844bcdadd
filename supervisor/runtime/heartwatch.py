"""The root's eye on the one who restarts it: the two hold each other up, and neither needs the other to live.

The heart is known by its lock, not by its pid: whoever holds `run/heart.lock` is the heart, started by us, by a person
or by systemd. A new heart finds the living root and the emergency stop by their locks and adopts them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from supervisor.runtime import locks
from supervisor.runtime.log import Log
from supervisor.runtime.process import Process

HEART_PID = "QT_HEART_PID"  # set by a heart for its root; a root started by hand has no heart and starts none
PATIENCE_S = 1.0  # systemd may be bringing a new heart already


class HeartWatch:
    """Look once a second. Gone for a second with nobody in its place, the heart gets a successor."""

    def __init__(self, home: Path, log: Log) -> None:
        self._home, self._log = home, log
        self._process: Process | None = None
        self._missing_since = 0.0
        self._pause_s = PATIENCE_S

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def look(self, now: float) -> None:
        """Find it, notice its end, revive it; never waits."""
        if self._process is not None:
            if self._process.reap() is None:
                return
            self._process.close()
            self._process = None
            self._missing_since = now
        holder = locks.holder(self._home / "run" / "heart.lock")
        if holder:
            try:
                self._process = Process(holder)
            except ProcessLookupError:
                return
            self._missing_since, self._pause_s = 0.0, PATIENCE_S
        elif not self._missing_since:
            self._missing_since = now
        elif now - self._missing_since >= self._pause_s:
            self._pause_s = min(60.0, self._pause_s * 2)
            self._missing_since = now
            self._revive()

    def _revive(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        argv = [sys.executable, "-m", "supervisor.runtime.heart", "--home", str(self._home)]
        popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
        popen.returncode = 0  # waited for by its pidfd, or swept
        self._log.warning("the heart is gone; started a new one", pid=popen.pid)
