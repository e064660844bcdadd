"""`qt venue serve`: a simulator in the foreground, outside the tree, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from actors.venues.simulator.server import Server, Settings


def serve(settings: Settings, listening: Callable[[int], None] = lambda _port: None) -> None:
    """Block until SIGINT or SIGTERM. Calls `listening(port)` once the socket listens.

    Raises OSError (port taken), FileNotFoundError or ValueError (recordings, settings) before it listens, and the
    market's or player's own exception if that ends it.
    """
    asyncio.run(_serve(settings, listening))


async def _serve(settings: Settings, listening: Callable[[int], None]) -> None:
    server = Server(settings)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    listening(await server.start())
    server.on_failure = stopped.set
    await stopped.wait()
    await server.stop()
    if server.failed is not None:
        raise server.failed
