"""What the supervisor and an actor say to each other beside the bus: nobody subscribes to these, and they overtake.

An actor never makes them itself: `ctx.monitor`, `ctx.demonitor` and `ctx.phase_done` do, and what comes back arrives in
`handle` like any other message.
"""

from __future__ import annotations

from typing import ClassVar

from supervisor.message import Delivery, Message


class Down(Message, frozen=True, kw_only=True):
    """The incarnation you monitored has ended. Exactly one per `ctx.monitor`, never a second one.

    `reason` is how it ended (`words.ExitKind`), or `noproc`: it was down already when you asked, or `not_found`: no
    child has this name. `sentence` says it for a person.
    """

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    token: int
    name: str
    incarnation: int  # the one that ended, 0 when there never was one
    reason: str
    sentence: str


class PhaseBegun(Message, frozen=True, kw_only=True):
    """A phase of the shutdown in which your child takes part has begun: do your part, then say `ctx.phase_done(phase)`.

    To raise is to fail the phase. Later than `within_s` counts as failed too.
    """

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    phase: str
    reason: str  # why the server ends
    within_s: float


class CanaryAsked(Message, frozen=True, kw_only=True):
    """A question with a known answer: the host answers it by `Actor.canary`; it never arrives in `handle`."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    name: str
    n: int


class Monitor(Message, frozen=True, kw_only=True):
    """`actor` wants to hear of the end of the incarnation that `name` has now."""

    actor: str
    token: int
    name: str


class Demonitor(Message, frozen=True, kw_only=True):
    actor: str
    token: int


class PhaseDone(Message, frozen=True, kw_only=True):
    """`actor` has done its part of this phase."""

    actor: str
    phase: str


ToActor = Down | PhaseBegun
ToRoot = Monitor | Demonitor | PhaseDone
TO_ROOT = frozenset(kind.__name__ for kind in (Monitor, Demonitor, PhaseDone))
