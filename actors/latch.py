"""The emergency stop's latch: one small file that outlives every process. The file decides; nobody's memory does.

`$QT_HOME/state/ess.json` is replaced atomically and synced before anything is done about it. A missing file means
INACTIVE; a file that cannot be read means TRIGGERED, because unknown is never a pass. `watch` is an actor's port on it:
a thread that looks every 50 ms and posts changes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from actors.messages.control import EssState
from actors.venues.words import LatchSeen
from supervisor.message import Message

LOOK_EVERY_S = 0.05


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says. Times are nanoseconds since the epoch."""

    state: EssState = EssState.INACTIVE
    reason: str = ""
    who: str = ""
    triggered_ns: int = 0
    changed_ns: int = 0
    note: str = ""  # what the last step found


def path_of(home: str | Path) -> Path:
    """Where the latch of this home is."""
    return Path(home) / "state" / "ess.json"


def read_latch(home: str | Path) -> Latch:
    """The latch now. Never raises: what cannot be read is TRIGGERED, with the reason."""
    path = path_of(home)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Latch)
    except FileNotFoundError:
        return Latch()
    except (OSError, msgspec.MsgspecError) as error:
        return Latch(state=EssState.TRIGGERED, reason=f"the latch {path} cannot be read: {error}", who="latch")


def write_latch(home: str | Path, latch: Latch) -> None:
    """Replace the file and sync it and its folder: after this returns, a power cut cannot take it back."""
    path = path_of(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(latch))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class LatchWatch:
    """Looks at the file every 50 ms and posts `LatchSeen` when state or reason changed. The first look is at once."""

    def __init__(self, post: Callable[[Message], None], home: str | Path) -> None:
        self._post, self._home = post, home
        self._ended = threading.Event()
        self._last: Latch | None = None
        self._mark: tuple[int, int] | None = None
        self.now = self._look() or Latch()
        self._thread = threading.Thread(target=self._run, name="latch-watch", daemon=True)
        self._thread.start()

    def _look(self) -> Latch | None:
        try:
            status = path_of(self._home).stat()
            mark: tuple[int, int] | None = (status.st_ino, status.st_mtime_ns)
        except FileNotFoundError:
            mark = None
        except OSError:
            mark = (0, time.monotonic_ns())  # unreadable: look inside, which says so
        if self._last is not None and mark == self._mark:
            return None
        self._mark = mark
        latch = read_latch(self._home)
        changed = self._last is None or (latch.state, latch.reason) != (self._last.state, self._last.reason)
        self._last = latch
        return latch if changed else None

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            latch = self._look()
            if latch is not None:
                self._post(LatchSeen(state=latch.state, reason=latch.reason))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(1.0)


def watch(post: Callable[[Message], None], *, home: str | Path) -> LatchWatch:
    """Open the port: "actors.latch:watch". `.now` is the latch at opening."""
    return LatchWatch(post, home)
