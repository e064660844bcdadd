"""Small actors for tests of the node: a teller, a hearer, and several that fail."""

from __future__ import annotations

import os
import time
from typing import ClassVar

from supervisor.actor import Actor
from supervisor.message import Delivery, Message


class Fact(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int


class Tick(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Heard(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int
    life: int


class Teller(Actor):
    """Says Fact 1 … count, one per turn."""

    publishes = (Fact,)

    def init(self, count: int, pause_s: float = 0.001) -> None:
        self.n = max((fact.n for fact in self.ctx.recall(Fact)), default=0)
        self.count, self.pause_s = count, pause_s
        self.ctx.after(pause_s, Tick())

    def handle(self, message: Message) -> None:
        if self.n < self.count:
            self.n += 1
            self.ctx.publish(Fact(n=self.n))
            self.ctx.progress("told")
            self.ctx.after(self.pause_s, Tick())


class Hearer(Actor):
    """Says Heard for every Fact; dies once at `dies_at` in its first life."""

    subscribes = (Fact,)
    publishes = (Heard,)

    def init(self, dies_at: int = 0, exits_at: int = 0) -> None:
        self.dies_at, self.exits_at = dies_at, exits_at

    def handle(self, message: Message) -> None:
        assert isinstance(message, Fact)
        if message.n == self.exits_at:
            os._exit(7)
        self.ctx.publish(Heard(n=message.n, life=self.ctx.incarnation))
        if message.n == self.dies_at and self.ctx.incarnation == 1:
            raise ValueError(f"fact {message.n} is too much")


class Frank(Actor):
    """Answers canaries; one of them by an exception, one with an effect that must not happen. Tells of its calls."""

    publishes = (Fact,)

    def init(self) -> None:
        self.ctx.outcome("venue", ConnectionRefusedError("no"))
        self.ctx.outcome("nobody", None)
        self.ctx.lease(30.0, "counts to a million")

    def canary(self, name: str) -> str:
        match name:
            case "sum":
                return str(2 + 2)
            case "raises":
                raise ValueError("not today")
            case "effect":
                self.ctx.publish(Fact(n=1))
                return "published"
        return super().canary(name)


class BrokenAtStart(Actor):
    def init(self) -> None:
        self.bridge.start()  # type: ignore[attr-defined]  # the founding bug


class ExitsTheInterpreter(Actor):
    def init(self) -> None:
        raise SystemExit(3)


class DiesInNativeCode(Actor):
    """Is ready, and then ends as a library with a bug does."""

    def init(self) -> None:
        self.ctx.after(0.1, Tick())

    def handle(self, message: Message) -> None:
        os.abort()


class Sleeper(Actor):
    """Takes a message in hand and keeps it."""

    def init(self) -> None:
        self.ctx.after(0.01, Tick())

    def handle(self, message: Message) -> None:
        time.sleep(3600)


class Allergic(Actor):
    """Says Heard for every Fact but one, which kills it in every life."""

    subscribes = (Fact,)
    publishes = (Heard,)

    def init(self, dies_of: int) -> None:
        self.dies_of = dies_of

    def handle(self, message: Message) -> None:
        assert isinstance(message, Fact)
        if message.n == self.dies_of:
            raise ValueError(f"fact {message.n} is poison")
        self.ctx.publish(Heard(n=message.n, life=self.ctx.incarnation))
        self.ctx.progress("heard")
