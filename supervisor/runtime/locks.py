"""Who is who: one flock per role decides, and the file says the holder's pid.

The kernel drops the lock with the holder's last breath, so a stale file means nothing and needs no cleaning. A second
bind on an ipc address succeeds silently; this does not.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_RETRY_S = 0.3  # a passer-by's look (`holder`) holds the file for microseconds; the true holder holds it for life
_PAUSE_S = 0.01


class Held(Exception):
    """Somebody else holds the lock; `pid` is who, 0 when the file does not say."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path.name} is held by process {pid or '(unknown)'}")
        self.pid = pid


class Lock:
    """A lock held until `release` or the end of the process. Not inherited by programs started from here.

    Raises:
        Held: another process has it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _RETRY_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    pid = _pid_in(self._fd)
                    os.close(self._fd)
                    raise Held(path, pid) from None
                time.sleep(_PAUSE_S)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def holder(path: Path) -> int | None:
    """The pid that holds this lock now, 0 when held by somebody who did not say, `None` when it is free."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(fd)
    else:
        return None
    finally:
        os.close(fd)


def _pid_in(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0
