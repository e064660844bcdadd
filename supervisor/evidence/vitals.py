"""The vitals page: a file per node that its actors write and anybody may read, with no message at all.

Think of the dials on a machine's outside: the machine turns them as it works, a passer-by reads them in a microsecond,
and they still show the last position after the machine has stopped. Every dial is one aligned 64-bit word, so a
reader never sees half a value; two dials read together may be one message apart.
"""

from __future__ import annotations

import mmap
import os
from operator import ne
from pathlib import Path

import msgspec

MAGIC = 0x51545649_00000001  # "QTVI", layout 1
HEADER_WORDS = 8  # magic, pid, incarnation, slots, 4 reserved
SLOT_WORDS = 24  # 16 dials, 8 words of name
DIALS = 16
NAME_WORD = DIALS
MAX_SLOTS = 1024  # a thread each
_LONG_S = 1.0

(
    LOOPS,
    HANDLED,
    OUT,
    DROPPED,
    QUEUED,
    IN_HAND_SINCE,
    LIFE,  # the actor's own incarnation inside a node with a group, else 0: it is that of the node
    LAST_PROGRESS,
    OLDEST_QUEUED,
    STARTED,
    READY,
    PROGRESS,
) = range(12)


class ActorVitals(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one actor's dials. Times are `time.monotonic_ns()` of the machine, 0 for never/none."""

    actor: str
    pid: int
    incarnation: int  # of the node
    life: int  # of the actor inside a node with a group, else 0
    loops: int  # turns of the actor's loop, also when idle: at least one in a second
    handled: int
    out: int
    dropped: int
    queued: int
    in_hand_since_ns: int
    in_hand_seq: int
    last_progress_ns: int
    oldest_queued_ns: int
    started_ns: int
    ready_ns: int
    progress: int


class Slot:
    """One actor's dials, written by its own thread. `words[i]` is dial i; the hot path writes it directly."""

    __slots__ = ("words",)

    def __init__(self, words: memoryview) -> None:
        self.words = words

    def begin(self, incarnation: int) -> None:
        """A new life of this actor in the same node: the dials of the previous one do not shine through."""
        for dial in range(DIALS):
            self.words[dial] = 0
        self.words[LIFE] = incarnation

    def end(self) -> None:
        """It is down, and nothing of it is stuck; what it has done stays to be read."""
        for dial in (STARTED, IN_HAND_SINCE, QUEUED, OLDEST_QUEUED):
            self.words[dial] = 0


class Page:
    """The writer's side, made anew for each incarnation: the dials of the previous life do not shine through."""

    def __init__(self, path: Path, incarnation: int, actors: tuple[str, ...]) -> None:
        if len(actors) > MAX_SLOTS:
            raise ValueError(f"{path.name}: {len(actors)} actors in one node; a vitals page has {MAX_SLOTS} slots")
        size = (HEADER_WORDS + len(actors) * SLOT_WORDS) * 8
        path.parent.mkdir(parents=True, exist_ok=True)
        # A new file under the old name: a reader that still maps the previous life keeps its own page.
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.ftruncate(descriptor, size)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        words = memoryview(self._map).cast("Q")
        words[1], words[2], words[3] = os.getpid(), incarnation, len(actors)
        self.slots: dict[str, Slot] = {}
        for index, name in enumerate(actors):
            start = HEADER_WORDS + index * SLOT_WORDS
            slot = words[start : start + SLOT_WORDS]
            raw = name.encode()[:64].ljust(64, b"\0")
            for i in range(8):
                slot[NAME_WORD + i] = int.from_bytes(raw[i * 8 : i * 8 + 8], "little")
            self.slots[name] = Slot(slot)
        words[0] = MAGIC
        fresh.replace(path)


class Reader:
    """A mapped page for repeated reading: about a microsecond a node. Re-opens when the node has a new life."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._words: memoryview | None = None
        self._names: tuple[str, ...] = ()
        self._glance: list[int] = []

    def reopen(self) -> bool:
        """Map the page that now stands at the path; False when there is none."""
        try:
            with self._path.open("rb") as file:
                page = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._inode = os.fstat(file.fileno()).st_ino
        except (OSError, ValueError):
            self._words = None
            return False
        slots = (len(page) // 8 - HEADER_WORDS) // SLOT_WORDS
        words = memoryview(page)[: len(page) // 8 * 8].cast("Q")
        if slots < 0 or words[0] != MAGIC:
            self._words = None
            return False
        names = []
        for index in range(min(words[3], slots)):
            start = HEADER_WORDS + index * SLOT_WORDS + NAME_WORD
            raw = b"".join(words[start + i].to_bytes(8, "little") for i in range(8))
            names.append(raw.rstrip(b"\0").decode(errors="replace"))
        self._words, self._names, self._glance = words, tuple(names), []
        return True

    def calm(self, incarnation: int, now: float) -> bool:
        """A glance: every loop has turned since the glance before, and no work has been waiting or in hand for long.

        Once a second suits it: a loop turns twice in that time, also when idle.
        """
        words = self._words
        if words is None or words[2] != incarnation:
            return False
        long_ago = int((now - _LONG_S) * 1e9)
        turned = []
        for index in range(len(self._names)):
            s = HEADER_WORDS + index * SLOT_WORDS
            if not words[s + STARTED] or (words[s + LIFE] and not words[s + READY]):
                continue  # nobody turns it, or not yet
            turned.append(words[s + LOOPS])
            if 0 < words[s + IN_HAND_SINCE] < long_ago or 0 < words[s + OLDEST_QUEUED] < long_ago:
                return False
        before, self._glance = self._glance, turned
        return len(before) != len(turned) or all(map(ne, before, turned))  # of others, or none: nothing to compare

    def read(self, incarnation: int | None = None) -> list[ActorVitals]:
        """All actors of the page, `[]` while there is none (or not yet one of `incarnation`)."""
        if (self._words is None or (incarnation is not None and self._words[2] != incarnation)) and not self.reopen():
            return []
        words = self._words
        if words is None or (incarnation is not None and words[2] != incarnation):
            return []
        readings = []
        for index, name in enumerate(self._names):
            s = HEADER_WORDS + index * SLOT_WORDS
            readings.append(
                ActorVitals(
                    actor=name,
                    pid=words[1],
                    incarnation=words[2],
                    life=words[s + LIFE],
                    loops=words[s + LOOPS],
                    handled=words[s + HANDLED],
                    out=words[s + OUT],
                    dropped=words[s + DROPPED],
                    queued=words[s + QUEUED],
                    in_hand_since_ns=words[s + IN_HAND_SINCE],
                    in_hand_seq=words[s + HANDLED] + 1,
                    last_progress_ns=words[s + LAST_PROGRESS],
                    oldest_queued_ns=words[s + OLDEST_QUEUED],
                    started_ns=words[s + STARTED],
                    ready_ns=words[s + READY],
                    progress=words[s + PROGRESS],
                )
            )
        return readings


def read(path: Path) -> list[ActorVitals]:
    """One reading of a page by a passer-by (`qt vitals`), `[]` when there is none."""
    return Reader(path).read()


def file_name(node: str) -> str:
    """`execution:main` keeps its dials in `execution_main.page`."""
    return node.replace(":", "_") + ".page"
