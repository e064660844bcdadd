"""A worker that crashes in the same way each time is parked; its siblings never notice.

    python -m supervisor run examples.crash_looping_worker:build

What to see: `broken` dies at its first message and is restarted, with a growing pause. The third death has the same
fingerprint as the two before it and no useful work in between, so `broken` is quarantined with its last words, while
`steady` and `calm` are still in their first incarnation. In another terminal: `python -m supervisor status`, repair the
line, `python -m supervisor release broken`. OTP would spend the supervisor's budget and end all three.
"""

from __future__ import annotations

from typing import ClassVar

from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.spec import Backoff, SupervisorSpec, child, supervise
from supervisor.words import Strategy


class Turn(Message, frozen=True, kw_only=True):
    """A worker's private timer."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Worker(Actor):
    """One turn of useful work every `every_s`."""

    def init(self, every_s: float = 0.1) -> None:
        self.every_s = every_s
        self.ctx.after(every_s, Turn())

    def handle(self, message: Message) -> None:
        self.ctx.progress("a turn of work")
        self.ctx.after(self.every_s, Turn())


class Broken(Worker):
    """Never gets any work done."""

    def handle(self, message: Message) -> None:
        self.work_with(divisor=0)

    def work_with(self, divisor: int) -> None:
        self.result = 1 / divisor


def build() -> SupervisorSpec:
    """Three workers under one_for_one."""
    here = "examples.crash_looping_worker"
    return supervise(
        "house",
        Strategy.ONE_FOR_ONE,
        [
            child("steady", f"{here}:Worker"),
            child("broken", f"{here}:Broken", spec={"required": False, "backoff": Backoff(initial_s=0.1)}),
            child("calm", f"{here}:Worker", every_s=0.2),
        ],
    )
