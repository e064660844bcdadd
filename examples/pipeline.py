"""A pipeline under rest_for_one: who stands below a crashed stage restarts with it, who stands above never notices.

    python -m supervisor run examples.pipeline:build

What to see: `source` says numbers, `stage` squares them, `sink` adds them up. `kill -9` the middle one (its pid stands
in `python -m supervisor status`): `stage` and `sink` are back as incarnation 2, in this order; `source` keeps its life.
And the sum is right: Number and Square travel as EVERY, so what was said while nobody listened is read from the
sender's journal, and what was already handled is not handled twice.
"""

from __future__ import annotations

from typing import ClassVar

from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.plan import Draft
from supervisor.spec import ChildSpec, SupervisorSpec, child, supervise
from supervisor.words import Strategy

OUTSIDE = ("Sum",)  # said to whoever listens from outside the tree


class Turn(Message, frozen=True, kw_only=True):
    """The source's private timer."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Number(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int


class Square(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int
    squared: int


class Sum(Message, frozen=True, kw_only=True):
    """The sum of the squares of 1 to n."""

    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int
    total: int


class Source(Actor):
    """Says 1, 2, 3 … and after a crash goes on where it was."""

    publishes = (Number,)

    def init(self, every_s: float) -> None:
        self.every_s = every_s
        self.n = max((said.n for said in self.ctx.recall(Number)), default=0)
        self.ctx.after(every_s, Turn())

    def handle(self, message: Message) -> None:
        self.n += 1
        self.ctx.publish(Number(n=self.n))
        self.ctx.progress(f"number {self.n}")
        self.ctx.after(self.every_s, Turn())


class Stage(Actor):
    """Number in, Square out: no state, nothing to recover."""

    subscribes = (Number,)
    publishes = (Square,)

    def handle(self, message: Message) -> None:
        assert isinstance(message, Number)
        self.ctx.publish(Square(n=message.n, squared=message.n**2))
        self.ctx.progress(f"number {message.n}")


class Sink(Actor):
    """Adds up. Starting is recovering: the sum so far is the last one it said."""

    subscribes = (Square,)
    publishes = (Sum,)

    def init(self) -> None:
        self.total = max((said.total for said in self.ctx.recall(Sum)), default=0)

    def handle(self, message: Message) -> None:
        assert isinstance(message, Square)
        self.total += message.squared
        self.ctx.publish(Sum(n=message.n, total=self.total))
        self.ctx.progress(f"sum of {message.n} squares")


def build(every_s: float = 0.05) -> Draft:
    """Each one relies on the one above it."""
    here = "examples.pipeline"
    line: list[ChildSpec | SupervisorSpec] = [
        child("source", f"{here}:Source", every_s=every_s),
        child("stage", f"{here}:Stage"),
        child("sink", f"{here}:Sink"),
    ]
    return Draft(tree=supervise("pipeline", Strategy.REST_FOR_ONE, line), outside=OUTSIDE)
