"""What ended children leave behind, and who sits on what they need: looked for after an end, not in every tick.

The root is the subreaper of all it starts, so what a dead child had started becomes the root's own child; a mark in the
environment says whose it was (evidence/holders.py), also after the root itself was replaced. What was found is kept
until it ends. Nobody is touched here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from supervisor.evidence import holders, host, kernel
from supervisor.verdict.evidence import Holder
from supervisor.verdict.fingerprint import Prior
from supervisor.words import ExitReason

AFTER_S = 0.3  # the kernel hands the orphans over at the end, and the dead one is buried by then
RECENT_S = 2.0  # an orphan without a mark belongs to the one child that ended within this time
OLDER_S = 1.0  # … and is older than that end by so much: what is younger may be its successor
ORPHANS_MOST = 256
TICKS_A_S = os.sysconf("SC_CLK_TCK")
DEATHS = 8


class _Orphan(msgspec.Struct, frozen=True):
    pid: int
    started_ticks: int


class Leftovers:
    """`known`: pids of the root's own that are nobody's left-overs, set by the root."""

    def __init__(self, home: Path) -> None:
        self.known: Callable[[], set[int]] = set
        self._home = home
        self._orphans: dict[str, list[_Orphan]] = {}
        self._holders: dict[str, tuple[Holder, ...]] = {}
        self._ends: deque[tuple[float, str]] = deque(maxlen=DEATHS)
        self._look_at: float | None = 0.0  # at the start once: what an earlier root has left
        self._first = True

    def ended(self, id: str, reason: ExitReason, now: float, ports: tuple[int, ...]) -> None:
        """This child has ended. `ports`: where its declared checks would ask it."""
        self._ends.append((now, id))
        if self._look_at is None:
            self._look_at = now + AFTER_S
        self._holders.pop(id, None)
        if reason.crash is None:
            return
        if reason.prior == Prior.CONFLICT:
            self._look_at = now  # whoever sits on it has been left behind already
        named, locks = holders.wanted(reason.crash)
        if reason.prior == Prior.CONFLICT or locks:
            self._holders[id] = holders.find(named or (() if locks else ports), locks, self._home, id, 0)

    def forget(self, id: str) -> None:
        self._orphans.pop(id, None)
        self._holders.pop(id, None)

    def wants(self, now: float) -> bool:
        """Whether it is time to search."""
        return self._look_at is not None and now >= self._look_at

    def look(self, now: float, lives: dict[str, int], births: bool) -> set[str]:
        """Search, if it is time to; whose left-overs were found. `lives`: the living incarnation of each child;
        `births`: somebody is being born, so a process that nobody knows may be the child of tomorrow."""
        self._look_at = None
        for unit in list(self._orphans):  # that of a child that is no more is asked for by nobody
            self.orphans(unit)
        ours = holders.children_of(os.getpid())
        strangers = [pid for pid in ours if pid not in self.known()]
        marked = holders.marked(self._home, None if self._first else strangers)
        self._first = False
        recent = {id: at for at, id in self._ends if now - at <= RECENT_S}
        found = {pid: unit for pid, (unit, life) in marked.items() if lives.get(unit) != life}
        unnamed: set[int] = set()
        if len(recent) == 1 and not births:
            unnamed = {pid for pid in strangers if pid not in marked}
            found.update(dict.fromkeys(unnamed, next(iter(recent))))
        changed = set()
        for pid, unit in found.items():
            sampled = kernel.sample(pid)
            if sampled is None or sampled.state in "ZX":
                continue
            if pid in unnamed and sampled.started_ticks / TICKS_A_S > _since_boot(recent[unit]) - OLDER_S:
                continue
            kept = self._orphans.setdefault(unit, [])
            one = _Orphan(pid, sampled.started_ticks)
            if one not in kept and len(kept) < ORPHANS_MOST:
                kept.append(one)
                changed.add(unit)
        return changed

    def orphans(self, id: str) -> tuple[int, ...]:
        """Those of this child that still live."""
        kept = self._orphans.get(id)
        if not kept:
            return ()
        alive = [one for one in kept if _lives(one)]
        if alive:
            self._orphans[id] = alive
        else:
            del self._orphans[id]
        return tuple(one.pid for one in alive)

    def is_still(self, id: str, pid: int) -> bool:
        """Whether this number is still the left-over of this child that was found: by its birth, or by its mark."""
        if any(one.pid == pid and _lives(one) for one in self._orphans.get(id, ())):
            return True
        return holders.marked(self._home, [pid]).get(pid, ("", 0))[0] == id and pid not in self.known()

    def holders(self, id: str) -> tuple[Holder, ...]:
        return self._holders.get(id, ())


def _since_boot(monotonic: float) -> float:
    """A moment of CLOCK_MONOTONIC on the clock of start times, which counts suspends too."""
    return monotonic + host.asleep_s()


def _lives(one: _Orphan) -> bool:
    sampled = kernel.sample(one.pid)
    return sampled is not None and sampled.state not in "ZX" and sampled.started_ticks == one.started_ticks
