"""The port that hosts an exchange simulator in a node: its server on a thread and loop of its own.

It tells its actor four things by messages: listening, playing (progress), finished, failed. The simulator itself knows
nothing of the tree; `qt venue serve` runs the very same server without one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from actors.venues.loop import STOP_S, LoopThread
from actors.venues.simulator.player import Player
from actors.venues.simulator.server import Server, Settings
from supervisor.message import Delivery, Message

log = logging.getLogger(__name__)

TELL_EVERY_S = 0.5


class VenueListening(Message, frozen=True, kw_only=True):
    """The socket accepts connections."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    port: int


class VenueProgress(Message, frozen=True, kw_only=True):
    """Data frames sent so far; said twice a second."""

    frames: int


class VenueFinished(Message, frozen=True, kw_only=True):
    """The player is done and everything is on the wire."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    frames: dict[str, int]
    first_ns: int
    last_ns: int
    wall_s: float
    injected: dict[str, int]


class VenueFailed(Message, frozen=True, kw_only=True):
    """The server could not start, or its market or player ended with an exception."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    reason: str


class SimPort:
    """Runs one `Server` until `close`. Every outcome is posted; nothing is raised across the thread."""

    def __init__(self, post: Callable[[Message], None], settings: Settings) -> None:
        self._post, self._settings = post, settings
        self._thread = LoopThread("simulator", self._serve, self._failed, self._unhandled)

    def close(self) -> None:
        """Stop the server and wait for its thread, at most `loop.STOP_S`; after a failed server it is a no-op."""
        if not self._thread.stop():
            log.warning("the simulator's thread did not end within %.0f s", STOP_S)

    def _failed(self, reason: BaseException) -> None:
        log.error("the simulator failed", exc_info=reason)
        self._post(VenueFailed(reason=f"{type(reason).__name__}: {reason}"))

    def _unhandled(self, context: dict[str, Any]) -> None:
        log.warning("simulator: %s: %s", context.get("message"), context.get("exception"))

    async def _serve(self) -> None:
        server = Server(self._settings)
        self._post(VenueListening(port=await server.start()))
        told = False
        try:
            while True:
                if server.failed is not None:
                    raise server.failed
                self._post(VenueProgress(frames=server.hub.frames.total()))
                source = server.source
                if isinstance(source, Player) and source.finished and not told:
                    told = True
                    self._post(
                        VenueFinished(
                            frames=dict(source.sent),
                            first_ns=source.first_ns,
                            last_ns=source.last_ns,
                            wall_s=source.wall_s,
                            injected=dict(server.faults.injected),
                        )
                    )
                await asyncio.sleep(TELL_EVERY_S)
        finally:
            await server.stop()


def open(post: Callable[[Message], None], **settings: Any) -> SimPort:
    """Open the port. `settings` are the fields of `Settings`; an unknown one is refused by name."""
    return SimPort(post, msgspec.convert(settings, Settings))
