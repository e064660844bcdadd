"""What the root must know after its own death: incarnation counters, what is kept down and why, how the last run ended.

Small JSON files under the home, replaced whole, so a reader sees the old or the new one. Counters that cannot be read
start at 0 and say so; a process that dies never leaves half a file.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from supervisor.events import Cause
from supervisor.moves import Kept, Verb
from supervisor.plan import replace_whole
from supervisor.spec import ChildSpec
from supervisor.words import State

KEPT_COUNTERS = 10_000  # names; nobody who lives remembers a fence of one that has not been started for that long


class Counters:
    """`run/incarnations.json`: name -> last incarnation, so that fences hold over a restart of the root. A node with a
    group keeps one of its own for its actors, so that theirs hold over a restart of the node."""

    def __init__(self, home: Path, complain: Callable[[str], None], node: str = "") -> None:
        self._path = home / "run" / (f"incarnations-{node.replace(':', '_')}.json" if node else "incarnations.json")
        self.values: dict[str, int] = {}
        try:
            self.values = msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:  # nobody ever started
            return
        except (OSError, msgspec.DecodeError) as error:
            complain(f"{aside(self._path)} cannot be read ({error}); incarnations are counted from 1 again")

    def reserve(self, ids: Iterable[str]) -> None:
        """The next incarnation of each, remembered in one write: hundreds that start together wait for one file. One
        that is not started after all leaves a gap."""
        self.values.update([(id, self.values.get(id, 0) + 1) for id in ids])
        write(self._path, self.values)

    def started(self, id: str, incarnation: int) -> None:
        """Remembered before the process, or the thread, exists."""
        if incarnation <= self.values.get(id, 0):
            return  # reserved
        self.values.pop(id, None)
        self.values[id] = incarnation  # the newest is the last one
        while len(self.values) > KEPT_COUNTERS:
            del self.values[next(iter(self.values))]
        write(self._path, self.values)


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A quarantine as it is kept: why, and what the child ran with (freshness.py)."""

    cause: Cause
    why: str
    inputs: str


class _Intent(msgspec.Struct, frozen=True, kw_only=True):
    """The file. Schema 1 had no quarantines; an unknown field is a later version's affair."""

    schema: int = 2
    stopped: list[str] = []
    quarantined: dict[str, Parked] = {}


class Intent:
    """`state/intent.json`: what a person stopped stays stopped; what was quarantined stays so while it would run with
    the same inputs, also over a restart of the server. Any accepted order about a child lifts its quarantine.
    """

    def __init__(self, home: Path, complain: Callable[[str], None]) -> None:
        self._path = home / "state" / "intent.json"
        self._now = _Intent()
        try:
            self._now = msgspec.json.decode(self._path.read_bytes(), type=_Intent)
        except FileNotFoundError:  # nobody ever ordered anything
            return
        except (OSError, msgspec.DecodeError) as error:
            complain(f"{aside(self._path)} cannot be read ({error}); what was stopped or quarantined is started")

    @property
    def stopped(self) -> list[str]:
        return self._now.stopped

    @property
    def parked(self) -> dict[str, Parked]:
        return self._now.quarantined

    def others_than(self, inputs: str) -> dict[str, Parked]:
        """Quarantines of children that would run with something else now: they deserve another try."""
        return {id: parked for id, parked in self.parked.items() if parked.inputs != inputs}

    def kept(self) -> dict[str, Kept]:
        """What a new tree is told."""
        kept = {id: Kept(State.QUARANTINED, parked.cause, parked.why) for id, parked in self.parked.items()}
        return kept | {id: Kept(State.STOPPED) for id in self._now.stopped}

    def ordered(self, verb: Verb, id: str) -> None:
        """An accepted order."""
        stopped = [name for name in self._now.stopped if name != id] + ([id] if verb is Verb.STOP else [])
        self._keep(stopped, {name: parked for name, parked in self.parked.items() if name != id})

    def quarantined(self, id: str, parked: Parked) -> None:
        self._keep(self._now.stopped, {**self.parked, id: parked})

    def lifted(self, *ids: str) -> None:
        """They are started, or no more: the quarantine is over."""
        if not self.parked.keys().isdisjoint(ids):
            self._keep(self._now.stopped, {name: parked for name, parked in self.parked.items() if name not in ids})

    def forget(self, id: str) -> None:
        """This child is no more."""
        if id in self.parked or id in self.stopped:
            left = {name: parked for name, parked in self.parked.items() if name != id}
            self._keep([name for name in self.stopped if name != id], left)

    def _keep(self, stopped: list[str], quarantined: dict[str, Parked]) -> None:
        wanted = _Intent(stopped=stopped, quarantined=quarantined)
        if wanted != self._now:
            self._now = wanted
            write(self._path, msgspec.to_builtins(wanted))


class _Store(msgspec.Struct, frozen=True, kw_only=True):
    """The file: supervisor -> its remembered children, oldest first."""

    schema: int = 1
    children: dict[str, tuple[ChildSpec, ...]] = {}


class SpecStore:
    """`state/children.msgpack`: the children of dynamic supervisors that remember, for the next root.

    Replaced whole, and on the disk before the answer to `add` leaves. One that cannot be read is put aside, and said.
    """

    def __init__(self, home: Path, complain: Callable[[str], None]) -> None:
        self._path = home / "state" / "children.msgpack"
        self.children: dict[str, tuple[ChildSpec, ...]] = {}
        try:
            self.children = msgspec.msgpack.decode(self._path.read_bytes(), type=_Store).children
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            complain(f"{aside(self._path)} cannot be read ({error}); no child is brought back from it")

    def remember(self, supervisor_id: str, id: str, spec: ChildSpec | None) -> None:
        """Behind those stored before; None: no more."""
        others = tuple(one for one in self.children.get(supervisor_id, ()) if one.id != id)
        now = {**self.children, supervisor_id: (*others, spec) if spec is not None else others}
        replace_whole(self._path, msgspec.msgpack.encode(_Store(children=now)))
        self.children = now


def aside(path: Path) -> Path:
    """An unreadable file out of the way of the next one, for a person to look at."""
    with contextlib.suppress(OSError):  # then it will be written over
        path = path.replace(path.with_suffix(".unreadable"))
    return path


def write(path: Path, value: Any) -> None:
    """Replace the file by this value as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value) + "\n")
    fresh.replace(path)


def leave_exit(home: Path, code: int, reason: str, shutdown: dict[str, Any] | None = None) -> None:
    """The root ends in order with this code. A heart that adopted it cannot read its exit status, only this; and
    `qt down` reads how the phases went (phasing.py)."""
    said = {"pid": os.getpid(), "code": code, "reason": reason, "shutdown": shutdown}
    write(home / "run" / "exit.json", said)


def last_shutdown(home: Path) -> dict[str, Any]:
    """How the phases of the last orderly end went, {} when nobody said so."""
    return _read(home / "run" / "exit.json").get("shutdown") or {}


def orderly_exit(home: Path, pid: int) -> tuple[int, str] | None:
    """(code, reason) if the process `pid` ended in order; `None` when it did not say so."""
    left = _read(home / "run" / "exit.json")
    if left.get("pid") != pid or not isinstance(left.get("code"), int):
        return None
    return left["code"], str(left.get("reason", ""))


def readdress(home: Path, id: str, endpoint: str | None) -> None:
    """Where foreign clients find a publisher that came, or went, at run time: `run/addresses.json`."""
    path = home / "run" / "addresses.json"
    book = _read(path)
    if book.get(id) != endpoint:
        write(path, {name: at for name, at in {**book, id: endpoint}.items() if at is not None})


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):  # absent at the first start; anything else in it is worth no more than absent
        return {}
    return value if isinstance(value, dict) else {}
