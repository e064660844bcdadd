"""A pool whose workers come and go while it runs, each of them supervised like any other child.

    python -m supervisor run examples.dynamic_pool:build
    python -m supervisor add pool w1          in another terminal; w2, w3 …
    python -m supervisor remove w1

What to see: the pool starts empty. A worker is added by its name alone, because the pool has a template; the fourth is
refused with the reason (at most three). `kill -9` one: it is back as incarnation 2 and the others never notice. Kill
the root: the pool `remembers`, so the same workers are there again a moment later, and the one you removed is not.
OTP's simple_one_for_one forgets its children when it is restarted.
"""

from __future__ import annotations

from typing import ClassVar

from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.spec import DynamicSpec, SupervisorSpec, child, make, supervise
from supervisor.words import Strategy

MOST = 3


class Turn(Message, frozen=True, kw_only=True):
    """A worker's private timer."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Worker(Actor):
    """One turn of useful work every `every_s`; it knows by its name which part of the work is its own."""

    def init(self, every_s: float) -> None:
        self.every_s = every_s
        self.ctx.after(every_s, Turn())

    def handle(self, message: Message) -> None:
        self.ctx.progress(f"a turn of the work of {self.ctx.name}")
        self.ctx.after(self.every_s, Turn())


def build() -> SupervisorSpec:
    """An empty pool."""
    worker = child("worker", "examples.dynamic_pool:Worker", every_s=0.1)
    pool = make(DynamicSpec, id="pool", template=worker, max_children=MOST, remembers=True)
    return supervise("house", Strategy.ONE_FOR_ONE, [pool])
