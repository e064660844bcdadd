"""The port that hosts an exchange simulator in a node: its server on a thread and loop of its own.

It tells its actor four things by messages: listening, playing (progress), finished, failed. The simulator itself knows
nothing of the tree; `qt venue serve` runs the very same server without one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from actors.venues.simulator.player import Player
from actors.venues.simulator.server import Server, Settings
from supervisor.message import Delivery, Message

log = logging.getLogger(__name__)

TELL_EVERY_S = 0.5
STOP_S = 3.0


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
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server and wait for its thread, at most `STOP_S`."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                log.warning("the simulator's thread did not end within %.0f s", STOP_S)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as reason:
            log.exception("the simulator failed")
            self._post(VenueFailed(reason=f"{type(reason).__name__}: {reason}"))
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = Server(self._settings)
        self._post(VenueListening(port=await server.start()))
        told = False
        try:
            while not self._stop.is_set():
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
                try:
                    await asyncio.wait_for(self._stop.wait(), TELL_EVERY_S)
                except TimeoutError:
                    continue
        finally:
            await server.stop()


def open(post: Callable[[Message], None], **settings: Any) -> SimPort:
    """Open the port. `settings` are the fields of `Settings`; an unknown one is refused by name."""
    return SimPort(post, msgspec.convert(settings, Settings))
