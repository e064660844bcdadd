"""Who has what a child needs: the listener on a port, the holder of a lock, what an earlier incarnation left behind.

The picture: a seat is taken; whose coat hangs over it? Listeners are found by the socket table, lock holders by the
kernel's list of locks. Whose left-over a process is says a mark in its environment, which every child of ours and all
it starts inherit (`QT_UNIT=<home>:<name>#<incarnation>`), and which only the owner of the process may read: no
privilege, no guess by pid. A process without our mark is a stranger, and strangers are named, never touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from supervisor.verdict.evidence import Holder
from supervisor.words import CrashRecord

UNIT = "QT_UNIT"
PROCESSES_MOST = 4096
_PORT = re.compile(r"(?:[\w.\[\]:]*[:\s]|', )(\d{2,5})\b")
_ERRNO = re.compile(r"\[?[Ee]rrno \d+\]?")
_LOCK = re.compile(r"([^\s'\"]+\.(?:lock|pid))\b")
_LISTEN = "0A"


def mark(home: Path | str, unit: str, incarnation: int) -> str:
    """What stands in the environment of this incarnation and of all it starts."""
    return f"{home}:{unit}#{incarnation}"


def wanted(crash: CrashRecord) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """(ports, lock files) that a crash for a conflict names."""
    locks = tuple(dict.fromkeys(_LOCK.findall(crash.message)))
    if locks:
        return (), locks
    numbers = _PORT.findall(_ERRNO.sub("", crash.message))
    return tuple(dict.fromkeys(int(port) for port in numbers if 0 < int(port) < 65536)), ()


def find(ports: Iterable[int], locks: Iterable[str], home: Path | str, unit: str, life: int) -> tuple[Holder, ...]:
    """The holders of these, some milliseconds: asked once per end for a conflict. `ours`: left over by an incarnation
    of this unit before the one that is alive (`life`, 0 for none)."""
    found: list[Holder] = []
    for port in ports:
        inodes = _listening(port)
        if not inodes:
            continue
        pids = _with_socket(inodes)
        what = f"port {port}"
        if not pids:
            found.append(Holder(what=what, pid=None, name="a process that we may not look at"))
        found.extend(_holder(what, pid, home, unit, life) for pid in pids)
    for path in locks:  # ours lie in `run` and are called by their names
        path = str(Path(home) / "run" / path)
        found.extend(_holder(f"lock {path}", pid, home, unit, life) for pid in _locking(path))
    return tuple(found)


def marked(home: Path | str, pids: Iterable[int] | None = None) -> dict[int, tuple[str, int]]:
    """pid -> (unit, incarnation) of the processes that carry a mark of this home, among all that we may look at (a walk
    of milliseconds) or among these."""
    prefix = f"{UNIT}={home}:".encode()
    found: dict[int, tuple[str, int]] = {}
    for pid in _pids() if pids is None else pids:
        unit, _, incarnation = (_environment(pid, prefix) or "").rpartition("#")
        if unit and incarnation.isdigit():
            found[pid] = (unit, int(incarnation))
    return found


def children_of(pid: int) -> tuple[int, ...]:
    """The children of this process, those of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return tuple(found)


def _holder(what: str, pid: int, home: Path | str, unit: str, life: int) -> Holder:
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        name = ""
    of, incarnation = marked(home, (pid,)).get(pid, ("", 0))
    return Holder(what=what, pid=pid, name=name, ours=of == unit and incarnation != life)


def _environment(pid: int, prefix: bytes) -> str | None:
    try:
        told = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for item in told.split(b"\0"):
        if item.startswith(prefix):
            return item[len(prefix) :].decode(errors="replace")
    return None


def _pids() -> Iterator[int]:
    numbers = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
    for count, pid in enumerate(numbers):
        if count >= PROCESSES_MOST:
            return
        yield pid


def _listening(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                inodes.add(words[9])
    return inodes


def _with_socket(inodes: set[str]) -> list[int]:
    links = {f"socket:[{inode}]" for inode in inodes}
    found = []
    for pid in _pids():
        try:
            entries = [entry.path for entry in os.scandir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        for path in entries:
            try:
                if os.readlink(path) in links:  # noqa: PTH115 - a Path per descriptor of the machine
                    found.append(pid)
                    break
            except OSError:
                continue
    return found


def _locking(path: str) -> list[int]:
    try:
        inode = str(Path(path).stat().st_ino)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        words = line.split()
        if "->" in words or len(words) < 6:
            continue
        if words[5].rpartition(":")[2] == inode and words[4].isdigit() and int(words[4]) > 0:
            found.append(int(words[4]))
    return found
