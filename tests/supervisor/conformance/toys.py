"""The six fixture children of the conformance tests, as actors (they run alone in a process, or several in one).

A toy is told what to do by a file of its own name in a folder that the test shares with it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from supervisor.actor import Actor
from supervisor.message import Message
from tests.supervisor.toys import Beat

LOOK_S = 0.1


class Obedient(Actor):
    """Does as it is told: fails on request, ends on request."""

    def init(self, folder: str) -> None:
        self.folder = Path(folder)
        self.memory = 0
        self.ctx.after(LOOK_S, Beat())

    def handle(self, message: Message) -> None:
        wish = self.folder / self.ctx.name
        if wish.exists():
            word = wish.read_text()
            wish.unlink()
            raise ValueError(word)
        self.memory += 1
        if self.memory == 1:
            (self.folder / f"{self.ctx.name}.remembers").write_text(f"{self.memory} in life {self.ctx.incarnation}")
        self.ctx.progress("beat")
        self.ctx.after(LOOK_S, Beat())


class SlowStopper(Obedient):
    """Its cleanup takes a given time."""

    def init(self, folder: str, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        super().init(folder)

    def terminate(self, reason: str) -> None:
        (self.folder / f"{self.ctx.name}.asked").write_text(reason)
        time.sleep(self.takes_s)
        (self.folder / f"{self.ctx.name}.cleaned").write_text(reason)


class GatedStart(Obedient):
    """Its start blocks until the test opens the gate, or says that it fails."""

    def init(self, folder: str) -> None:
        gate = Path(folder) / f"{self.ctx.name}.gate"
        while not gate.exists():
            time.sleep(0.01)
        if gate.read_text() == "fail":
            raise ConnectionError("the gate says no")
        super().init(folder)


class ExitsWith(Obedient):
    """Told to end, it fails instead."""

    def terminate(self, reason: str) -> None:
        raise RuntimeError("it leaves in its own way")


class Naughty(Obedient):
    """Leaves its session, and never ends when it is asked to."""

    def init(self, folder: str) -> None:
        os.setsid()
        super().init(folder)

    def terminate(self, reason: str) -> None:
        time.sleep(3600)


class FlagStart(Obedient):
    """Its start fails while a shared flag is set."""

    def init(self, folder: str) -> None:
        if (Path(folder) / f"{self.ctx.name}.flag").exists():
            raise RuntimeError("the flag is set")
        super().init(folder)
