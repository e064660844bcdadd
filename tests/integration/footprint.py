"""What a root holds and who lives below it, by the kernel's books: descriptors, pages, processes."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path

from supervisor.runtime.process import state_of
from tests.supervisor.toys import House


class Footprint:
    """What a root holds at one moment: counted from outside, by the kernel's books."""

    def __init__(self, pid: int, home: House) -> None:
        proc = Path(f"/proc/{pid}")
        self.descriptors = Counter(_kind(entry) for entry in (proc / "fd").iterdir())
        self.other = Counter(
            {
                "threads": len(list((proc / "task").iterdir())),
                "mapped pages": sum("/vitals/" in line for line in (proc / "maps").read_text().splitlines()),
                **{f"vitals/{file.name}": 1 for file in (home.home / "vitals").iterdir()},
                **{f"sockets/{file.name}": 1 for file in home.sockets.iterdir()},
            }
        )
        self.rss_kib = next(
            int(line.split()[1]) for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS")
        )

    def held(self) -> Counter[str]:
        """Everything that must be the same again once the same children run."""
        held = self.descriptors + self.other
        passing = ("/proc/", "closed meanwhile")  # a look, not a hold
        return Counter({what: n for what, n in held.items() if not what.startswith(passing)})


def _kind(descriptor: Path) -> str:
    """What a descriptor is open to: "socket", "anon_inode:[pidfd]", or a file's path."""
    with contextlib.suppress(OSError):
        target = str(descriptor.readlink())
        return target if target.startswith(("/", "anon_inode")) else target.partition(":")[0]
    return "closed meanwhile"


def below(pid: int) -> dict[int, str]:
    """All descendants of a process with the kernel's state letter, zombies included."""
    found: dict[int, str] = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child: state_of(child), **below(child)}
    return found


def marked(mark: str) -> set[int]:
    """Every living process that was started with this word in its environment, whoever its parent is now."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found
