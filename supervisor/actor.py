"""An actor is a callback class; the host runs it. This is all a new actor has to know.

    class RiskGate(Actor):
        subscribes = (OrderIntent, TradingMode)
        publishes = (OrderApproved, OrderDenied)

        def init(self, limits: Limits) -> None: ...      # starting is recovering: fold ctx.recall(), ask the world
        def handle(self, message: Message) -> None: ...  # one transaction: all effects, or none
        def terminate(self, reason: str) -> None: ...    # asked to stop; not called after a crash

When `init` returns the actor is *ready*, unless it sets `ready_after_init = False` and later calls `ctx.ready()`.
An exception that leaves any callback ends the incarnation; nobody else catches it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from supervisor.context import Context
from supervisor.message import Message


class Actor:
    """Base class. Subclasses declare their wiring and fill in the three callbacks."""

    subscribes: ClassVar[tuple[type[Message], ...]] = ()
    publishes: ClassVar[tuple[type[Message], ...]] = ()
    ready_after_init: ClassVar[bool] = True

    ctx: Context

    def init(self, *arguments: Any, **settings: Any) -> None:
        """Become ready: fold what was recorded, reconcile with the world. Runs in the actor's own thread."""

    def handle(self, message: Message) -> None:
        """Handle one message. Effects through `ctx` are released together, after the commit."""
        raise NotImplementedError(
            f"{type(self).__name__} subscribes to nothing it can handle: {type(message).__name__}"
        )

    def canary(self, name: str) -> str:
        """Answer the question of this name (`ChildSpec.canaries`) the way real work would be done, without effects.

        It comes through the inbox, in my own thread. An exception is a wrong answer and ends nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} has no canary {name!r}")

    def terminate(self, reason: str) -> None:
        """Close ports. Called when asked to stop; the node is killed when this takes longer than `shutdown_s`."""
