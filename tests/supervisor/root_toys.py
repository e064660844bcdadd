"""Toy actors for the root's tests, apart from them: a node that imports pytest starts half a second late."""

from __future__ import annotations

import json
import time
from pathlib import Path

from supervisor.actor import Actor
from supervisor.message import Message
from supervisor.system import Down, PhaseBegun
from tests.supervisor.toys import Beat


class Watchman(Actor):
    """Monitors `names` (`times` each), writes every Down to a file, and again monitors what came `again`."""

    def init(self, names: list[str], book: str, times: int = 1, again: bool = False, then_drops: bool = False) -> None:
        self.book, self.again = book, again
        self.tokens = [self.ctx.monitor(name) for name in names for _ in range(times)]
        if then_drops:
            self.ctx.after(0.2, Beat())

    def handle(self, message: Message) -> None:
        if isinstance(message, Beat):
            for token in self.tokens:
                self.ctx.demonitor(token)
            self._write({"dropped": len(self.tokens)})
        if isinstance(message, Down):
            self._write({n: getattr(message, n) for n in message.__struct_fields__} | {"life": self.ctx.incarnation})
            if self.again:
                self.ctx.monitor(message.name)
        self.ctx.progress("heard")

    def _write(self, entry: dict[str, object]) -> None:
        with Path(self.book).open("a") as book:
            book.write(json.dumps(entry) + "\n")


class Officer(Actor):
    """Writes down which phases it was told; does its part as `manner` says: done, late, raises."""

    def init(self, book: str, manner: str = "done") -> None:
        self.book, self.manner = book, manner

    def handle(self, message: Message) -> None:
        if not isinstance(message, PhaseBegun):
            return
        with Path(self.book).open("a") as book:
            book.write(f"{self.ctx.name} {self.ctx.incarnation} {message.phase}\n")
        if self.manner == "raises":
            raise ValueError("the venue does not answer")
        if self.manner == "done":
            self.ctx.phase_done(message.phase)


class Picky(Actor):
    """Starts only where there is a file `cure`."""

    def init(self, cure: str) -> None:
        if not Path(cure).exists():
            raise RuntimeError("there is no cure")

    def handle(self, message: Message) -> None:
        return


class Slow(Actor):
    """Its start takes for ever, and so would its end."""

    def init(self) -> None:
        time.sleep(3600)

    def handle(self, message: Message) -> None:
        return

    def terminate(self, reason: str) -> None:
        time.sleep(3600)
