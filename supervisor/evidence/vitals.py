"""The vitals page: a file per node that its actors write and anybody may read, with no message at all.

Think of the dials on a machine's outside: the machine turns them as it works, a passer-by reads them in a microsecond,
and they still show the last position after the machine has stopped. Every dial is one aligned 64-bit word, so a
reader never sees half a value; two dials read together may be one message apart. Behind the dials of all actors stand
two tables, of promises and of dependencies (tables.py).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from operator import ne
from pathlib import Path
from typing import Any

import msgspec

from supervisor.evidence import tables
from supervisor.evidence.tables import ENTRY_WORDS, Calls, DependencyVitals, Kept, PromiseVitals
from supervisor.spec import Dependency, Promise

MAGIC = 0x51545649_00000002  # "QTVI", layout 2
HEADER_WORDS = 8  # magic, pid, incarnation, slots, promises, dependencies, 2 reserved
SLOT_WORDS = 48  # 24 dials, then three texts of 8 words
DIALS = 24
NAME_WORD, LEASE_WORD, HAND_WORD = DIALS, DIALS + 8, DIALS + 16
TEXT_WORDS = 8
MAX_SLOTS = 1024  # a thread each
MAX_ENTRIES = 1024  # promises and dependencies together
STILL_S = 1.0  # work older than that is no calm sight
GLANCES_S = 0.95  # nor is a loop that has not turned for two glances (an idle one turns at least every 0.7 s)
REPEATS_MOST = 10  # the very same message so often in a row since about a second is no timer

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
    REPEATS,  # times in a row that it was given the very same message
    LEASE_UNTIL,
    HAND_SEQ,  # sequence of the EVERY message in hand, 0 for another kind; who said it: the text at HAND_WORD
    TIMED,  # every sixteenth turn is timed: how many messages were handled in such turns …
    BUSY,  # … and how many nanoseconds these turns took
) = range(17)


class ActorVitals(msgspec.Struct, frozen=True):
    """One reading of one actor's dials. Times are `time.monotonic_ns()` of the machine, 0 for never/none."""

    actor: str
    pid: int
    incarnation: int  # of the node
    loops: int  # turns of the actor's loop, also when idle: at least one in a second
    handled: int
    out: int
    dropped: int
    queued: int
    in_hand_since_ns: int
    life: int  # of the actor inside a node with a group, else 0
    last_progress_ns: int
    oldest_queued_ns: int
    started_ns: int
    ready_ns: int
    progress: int
    repeats: int
    lease_until_ns: int
    hand_seq: int
    timed: int
    busy_ns: int
    lease_why: str = ""
    in_hand: str = ""  # "sender:Kind:sequence" of an EVERY message in hand

    @property
    def in_hand_seq(self) -> int:
        return self.handled + 1


class Slot:
    """One actor's dials, written by its own thread. `words[i]` is dial i; the hot path writes it directly."""

    __slots__ = ("calls", "promises", "words")

    def __init__(self, words: memoryview) -> None:
        self.words = words
        self.promises: tuple[Kept, ...] = ()  # those it may keep
        self.calls: dict[str, Calls] = {}

    def begin(self, incarnation: int) -> None:
        """A new life of this actor in the same node: the dials of the previous one do not shine through."""
        for dial in range(DIALS):
            self.words[dial] = 0
        self.words[LIFE] = incarnation
        for kept in self.promises:
            kept.begin()
        for calls in self.calls.values():
            calls.begin()

    def lease(self, until_ns: int, why: str) -> None:
        """Declared long work until then."""
        tables.write_text(self.words, LEASE_WORD, TEXT_WORDS, why)
        self.words[LEASE_UNTIL] = until_ns

    def end(self) -> None:
        """It is down, and nothing of it is stuck; what it has done stays to be read."""
        for dial in (STARTED, IN_HAND_SINCE, QUEUED, OLDEST_QUEUED, LEASE_UNTIL):
            self.words[dial] = 0


class Page:
    """The writer's side, made anew for each incarnation: the dials of the previous life do not shine through.

    `promises` and `depends` are by unit: an actor, or the `node`, whose promises any of its actors may keep.
    """

    def __init__(
        self,
        path: Path,
        incarnation: int,
        actors: tuple[str, ...],
        promises: Mapping[str, tuple[Promise, ...]] | None = None,
        depends: Mapping[str, tuple[Dependency, ...]] | None = None,
        node: str = "",
    ) -> None:
        self._node = node
        promises, depends = promises or {}, depends or {}
        if len(actors) > MAX_SLOTS:
            raise ValueError(f"{path.name}: {len(actors)} actors in one node; a vitals page has {MAX_SLOTS} slots")
        counts = [sum(map(len, told.values())) for told in (promises, depends)]
        if sum(counts) > MAX_ENTRIES:
            text = f"{path.name}: {sum(counts)} promises and dependencies in one node; a vitals page has {MAX_ENTRIES}"
            raise ValueError(text)
        size = (HEADER_WORDS + len(actors) * SLOT_WORDS + tables.words_of(promises, depends)) * 8
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
        words[1], words[2], words[3], words[4], words[5] = os.getpid(), incarnation, len(actors), *counts
        self.slots: dict[str, Slot] = {}
        for index, name in enumerate(actors):
            start = HEADER_WORDS + index * SLOT_WORDS
            slot = words[start : start + SLOT_WORDS]
            tables.write_text(slot, NAME_WORD, TEXT_WORDS, name)
            self.slots[name] = Slot(slot)
        at = HEADER_WORDS + len(actors) * SLOT_WORDS
        for unit, told in promises.items():
            for promise in told:
                kept = Kept(promise, words[at : at + ENTRY_WORDS], self._owner(unit))
                for slot_of_one in self._users(unit):
                    slot_of_one.promises += (kept,)
                at += ENTRY_WORDS
        for unit, needed in depends.items():
            for dependency in needed:
                calls = Calls(dependency.name, words[at : at + ENTRY_WORDS], self._owner(unit))
                for slot_of_one in self._users(unit):
                    slot_of_one.calls.setdefault(dependency.name, calls)
                at += ENTRY_WORDS
        words[0] = MAGIC
        fresh.replace(path)

    def _owner(self, unit: str) -> int:
        """Index of the slot that stands for this unit: its own, or the first for a node that is none of its actors."""
        return list(self.slots).index(unit) if unit in self.slots else 0

    def _users(self, unit: str) -> list[Slot]:
        if unit == self._node or unit not in self.slots:
            return list(self.slots.values())
        return [self.slots[unit]]


class Reader:
    """A mapped page for repeated reading: about a microsecond a node. Re-opens when the node has a new life."""

    def __init__(self, path: Path, scale: float = 1.0) -> None:
        self._path = path
        self._still_s, self._glances_s = STILL_S * scale, GLANCES_S * scale
        self._words: memoryview | None = None
        self._slots: tuple[tuple[str, memoryview], ...] = ()
        self._promises: tuple[memoryview, ...] = ()
        self._depends: tuple[memoryview, ...] = ()
        self._turned: list[int] = []  # loops at the glance since which not every loop has turned …
        self._base: list[list[int]] = []  # … all it read …
        self._base_at = 0.0  # … and when
        self._failed: list[int] = []
        self.blind = ""  # why the last try to open the page failed, "" when there simply was none

    def reopen(self) -> bool:
        """Map the page that now stands at the path; False when there is none."""
        self._words, self._slots, self._promises, self._depends = None, (), (), ()
        self.blind = ""
        try:
            with self._path.open("rb") as file:
                page = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            self.blind = f"its vitals page cannot be opened: {error}"
            return False
        words = memoryview(page)[: len(page) // 8 * 8].cast("Q")
        if len(words) < HEADER_WORDS or words[0] != MAGIC:
            return False
        count, kept, needed = words[3], words[4], words[5]
        tables_at = HEADER_WORDS + count * SLOT_WORDS
        if tables_at + (kept + needed) * ENTRY_WORDS > len(words):
            return False
        slots = []
        for index in range(count):
            slot = words[HEADER_WORDS + index * SLOT_WORDS : HEADER_WORDS + (index + 1) * SLOT_WORDS]
            slots.append((tables.read_text(slot, NAME_WORD, TEXT_WORDS), slot))
        entries = [words[at : at + ENTRY_WORDS] for at in range(tables_at, len(words), ENTRY_WORDS)]
        self._words, self._slots, self._turned, self._base, self._failed = words, tuple(slots), [], [], []
        self._promises, self._depends = tuple(entries[:kept]), tuple(entries[kept : kept + needed])
        return True

    def calm(self, incarnation: int, now: float) -> bool:
        """A glance: every loop has turned within about a second, no work has been waiting or in hand for longer, no
        promise is overdue and no call failed since the glance before. Twice a second suits it."""
        words = self._words
        if words is None or words[2] != incarnation:
            return False
        now_ns = int(now * 1e9)
        long_ago = now_ns - int(self._still_s * 1e9)
        read: list[list[int]] = []
        turned: list[int] = []
        base = self._base
        for _, slot in self._slots:
            dials = slot[: BUSY + 1].tolist()
            read.append(dials)
            if not dials[STARTED] or (dials[LIFE] and not dials[READY]):
                continue  # nobody turns it, or not yet
            turned.append(dials[LOOPS])
            if 0 < dials[IN_HAND_SINCE] < long_ago or 0 < dials[OLDEST_QUEUED] < long_ago:
                return False
            if dials[REPEATS] > REPEATS_MOST + (base[len(read) - 1][REPEATS] if base else 0):
                return False
        for entry in self._promises:
            if tables.overdue(entry, now_ns):
                return False
        failed = [entry[tables.D_FAILED] for entry in self._depends]
        before, self._failed = self._failed, failed
        if before != failed and len(before) == len(failed):
            return False
        if len(turned) != len(self._turned) or all(map(ne, self._turned, turned)):
            self._turned, self._base, self._base_at = turned, read, now
            return True
        return now - self._base_at < self._glances_s

    def turning(self, now: float) -> bool:
        """Whether the glances lately saw all its loops turn."""
        return self._words is not None and 0 < now - self._base_at < 2 * self._glances_s

    def baseline(self) -> tuple[float, list[ActorVitals]]:
        """The last glance but for those since which some loop has not turned: when it was, and what it read."""
        words = self._words
        if words is None or len(self._base) != len(self._slots):
            return 0.0, []
        named = zip(self._slots, self._base, strict=True)
        return self._base_at, [_vitals(name, words[1], words[2], dials) for (name, _), dials in named]

    def read(self, incarnation: int | None = None) -> list[ActorVitals]:
        """All actors of the page, `[]` while there is none (or not yet one of `incarnation`)."""
        if (self._words is None or (incarnation is not None and self._words[2] != incarnation)) and not self.reopen():
            return []
        words = self._words
        if words is None or (incarnation is not None and words[2] != incarnation):
            return []
        pid, life = words[1], words[2]
        return [_actor(name, pid, life, slot) for name, slot in self._slots]

    def promises(self) -> list[PromiseVitals]:
        """The table of promises of the page that was read last."""
        return tables.read_promises(self._promises, tuple(name for name, _ in self._slots))

    def dependencies(self) -> list[DependencyVitals]:
        """The table of dependencies of the page that was read last."""
        return tables.read_dependencies(self._depends, tuple(name for name, _ in self._slots))


def _vitals(name: str, pid: int, incarnation: int, dials: list[int]) -> ActorVitals:
    numbers: Any = dials  # in the order of the fields
    return ActorVitals(name, pid, incarnation, *numbers)


def _actor(name: str, pid: int, incarnation: int, slot: memoryview) -> ActorVitals:
    dials = slot[: BUSY + 1].tolist()
    vitals = _vitals(name, pid, incarnation, dials)
    if dials[LEASE_UNTIL] or (dials[HAND_SEQ] and dials[IN_HAND_SINCE]):
        sender = tables.read_text(slot, HAND_WORD, TEXT_WORDS)
        hand = f"{sender}:{dials[HAND_SEQ]}" if dials[HAND_SEQ] and dials[IN_HAND_SINCE] else ""
        why = tables.read_text(slot, LEASE_WORD, TEXT_WORDS)
        vitals = msgspec.structs.replace(vitals, lease_why=why if dials[LEASE_UNTIL] else "", in_hand=hand)
    return vitals


def read(path: Path) -> list[ActorVitals]:
    """One reading of a page by a passer-by (`qt vitals`), `[]` when there is none."""
    return Reader(path).read()


def file_name(node: str) -> str:
    """`execution:main` keeps its dials in `execution_main.page`."""
    return node.replace(":", "_") + ".page"
