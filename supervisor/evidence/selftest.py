"""Can we ask at all? Each kind of question is first put to targets of our own whose answer is known.

The picture: a scale is tried with a known weight before anybody is told that he is too heavy. One target is good (a
listener of ours that answers 200 or accepts, the program `true`), one is bad (a port of ours on which nobody listens,
`false`). A prober that finds the good one ill or the bad one well says nothing about anybody's child, whatever it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time

from supervisor.evidence import probes
from supervisor.evidence.probes import Answer, Lost, Processes
from supervisor.spec import Check

KINDS = ("http", "tcp", "exec")
TIMEOUT_S = 5.0  # all of it is a matter of milliseconds; a host that needs longer cannot be measured against
AGAIN_S = 2.0  # a prober that failed is not tested more often
_ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine"


class SelfTests:
    """One per loop: each kind is tested before its first question, and one that failed again, with a later question."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._faults: dict[str, tuple[str, float]] = {}  # kind -> what is wrong ("": nothing), tested when
        self._turns = {kind: asyncio.Lock() for kind in KINDS}

    async def fault(self, kind: str) -> str:
        """What our own question of this kind gets wrong, in one sentence; "" when it can be trusted.

        Raises:
            Lost: it could not be tested, because we have no descriptor left.
        """
        if kind not in KINDS:
            return ""
        async with self._turns[kind]:
            known, at = self._faults.get(kind, ("not tested yet", -math.inf))
            now = time.monotonic()
            if known and now - at >= AGAIN_S:
                known = await fault(kind, self._processes)
                self._faults[kind] = (known, now)
            return known


async def fault(kind: str, processes: Processes) -> str:
    """The test itself, some milliseconds: both targets are asked, and gone when it returns."""
    if kind == "exec":
        return await _asked(kind, "true", "false", processes)
    with socket.socket() as open_port, socket.socket() as closed_port:
        try:
            for port in (open_port, closed_port):
                port.bind(("127.0.0.1", 0))  # held without listening: nobody else can begin to answer on it
            open_port.listen()
        except OSError:  # a host without such an address: no test is no failed test
            return ""
        open_port.setblocking(False)
        serving = asyncio.create_task(_serve(open_port, kind))
        try:
            found = await _asked(kind, _target(kind, open_port), _target(kind, closed_port), processes)
            if found and serving.done():  # our listener could not accept: it is not the question that failed
                raise Lost(found)
            return found
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def _asked(kind: str, good: str, bad: str, processes: Processes) -> str:
    for target, truth in ((good, True), (bad, False)):
        try:
            answer = await probes.ask(Check(kind=kind, target=target, timeout_s=TIMEOUT_S), processes)
        except Lost:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it raises is what the test is there to find
            answer = Answer(ok=not truth, detail=f"asking raised {type(error).__name__}: {error}")
        if answer.ok is not truth:
            known, told = ("good", "bad") if truth else ("bad", "good")
            why = f": {answer.detail}" if answer.detail else ""
            return f"our own {kind} question fails its self-test: {target}, known to be {known}, was found {told}{why}"
    return ""


async def _serve(listener: socket.socket, kind: str) -> None:
    """Accept, and answer where something is asked, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        connection, _ = await loop.sock_accept(listener)
        with connection, contextlib.suppress(ConnectionError):
            connection.setblocking(False)
            if kind == "http":
                await loop.sock_recv(connection, 4096)
                await loop.sock_sendall(connection, _ANSWER)


def _target(kind: str, port: socket.socket) -> str:
    address = f"127.0.0.1:{port.getsockname()[1]}"
    return f"http://{address}/" if kind == "http" else address
