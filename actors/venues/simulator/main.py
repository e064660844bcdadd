"""`qt venue serve`: a simulator in the foreground, outside the tree, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import msgspec

from actors.venues.simulator.server import Server, Settings


def serve(*, listening: Callable[[int], None] = lambda _port: None, **settings: Any) -> None:
    """Block until SIGINT or SIGTERM; calls `listening(port)` once the socket listens.

    `settings` are the fields of `server.Settings`: home, host, port, data, speed, faults, seed, symbols, deposits,
    keys.

    Raises:
        msgspec.ValidationError: an unknown or ill-typed setting.
        OSError: the port is taken.
        FileNotFoundError, ValueError: the recordings, the fault plan or the journal cannot be used.
        Exception: whatever ended the market or the player later.
    """
    asyncio.run(_serve(msgspec.convert(settings, Settings), listening))


async def _serve(settings: Settings, listening: Callable[[int], None]) -> None:
    server = Server(settings)
    stopped = asyncio.Event()
    server.on_failure = stopped.set
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        listening(await server.start())
        await stopped.wait()
    finally:
        await server.stop()
    if server.failed is not None:
        raise server.failed
