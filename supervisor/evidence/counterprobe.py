"""The same question by another route: is the child ill, or is the question wrong?

The picture: somebody does not pick up the phone. Before anybody drives there one looks the number up, tries the other
line, and lets it ring longer. What the other route proves is a reason class and a sentence with the proof; `explained`
only where it really answered. Who answered in a child's place, and has ended since, is known here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import time
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import psutil

from supervisor.evidence import kernel
from supervisor.evidence.probes import Answer, Processes, ask, get, host_port, of_reply
from supervisor.spec import Check

DESCENDANTS_MOST = 64
PATIENCE = 5.0  # this many times the check's own timeout is waited …
PATIENCE_MAX_S = 10.0  # … and at most this long


async def counter(check: Check, pid: int, first: Answer, processes: Processes) -> Answer:
    """The same question by another route: `first`, with the reason class the other route proves."""
    if first.reason == "no answer":
        return await _with_patience(check, first, processes)
    if check.kind == "exec":
        return first
    try:
        if check.kind == "http":
            url = urlsplit(check.target)
            host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        else:
            url, (host, port) = None, host_port(check.target)
    except ValueError:
        return first
    if first.reason in ("refused", "connection failed", "name resolution"):
        return await _elsewhere(check, pid, first, url, host, port)
    if first.reason == "TLS" and url is not None:
        return await _other_tls(check, first, url, host, port)
    return first


class Server(NamedTuple):
    """A process that the child had started and that answers in its place."""

    pid: int
    born: float

    def gone(self) -> bool:
        try:
            return psutil.Process(self.pid).create_time() != self.born
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


def server_of(check: Check, pid: int) -> Server | None:
    """Who answers this check, where it is not the child itself but one that it had started (a shell around the real
    program); None: the child, or nobody knows. Some milliseconds: once per life."""
    try:
        port = urlsplit(check.target).port if check.kind == "http" else host_port(check.target)[1]
        if check.kind == "exec" or any(address[1] == port for address in kernel.listening(pid)):
            return None
        for child in psutil.Process(pid).children(recursive=True)[:DESCENDANTS_MOST]:
            if any(address[1] == port for address in kernel.listening(child.pid)):
                return Server(child.pid, child.create_time())
    except (ValueError, psutil.Error):
        return None
    return None


def server_gone(check: Check, pid: int, server: Server, answer: Answer) -> Answer:
    """The same failure, if it is explained by the end of the one who used to answer."""
    if answer.reason not in ("refused", "nothing listens", "connection failed") or not server.gone():
        return answer
    detail = f"{check.target} was answered by pid {server.pid}, which has ended; pid {pid} had started it and lives on"
    return Answer(ok=False, reason="server gone", detail=detail, explained=True)


async def _with_patience(check: Check, first: Answer, processes: Processes) -> Answer:
    limit_s = min(check.timeout_s * PATIENCE, PATIENCE_MAX_S)
    if limit_s <= check.timeout_s:
        return first
    begun = time.monotonic()
    second = await ask(check, processes, timeout_s=limit_s)
    took_s = time.monotonic() - begun
    if not second.ok:
        return first if second.reason == "no answer" else second
    return Answer(
        ok=False,
        reason="timeout too short",
        detail=f"{check.target} answered after {took_s:.2f} s, the check waits {check.timeout_s:g} s",
        explained=True,
    )


async def _elsewhere(check: Check, pid: int, first: Answer, url: SplitResult | None, host: str, port: int) -> Answer:
    """Nobody there: where does the process listen, and does the same question pass there?"""
    addresses = kernel.listening(pid)
    here = [address for address in addresses if address[1] == port]
    there = here or list(addresses)
    if not there:
        return Answer(ok=False, reason="nothing listens", detail=f"{first.detail} and pid {pid} listens on no port")
    if any(ip == host for ip, _ in here):  # it began to listen meanwhile: the first answer was true then
        return first
    passes = [address for address in there[:4] if await _passes(check, url, address)]
    named = ", ".join(_pretty(address) for address in (passes or there)[:4])
    answers = " and answers there" if passes else ""
    if first.reason == "name resolution":
        reason = "name resolution"
    elif here:
        families = {_family(ip) for ip, _ in here}
        reason = "wrong address family" if _family(host) and _family(host) not in families else "wrong address"
    else:
        reason = "wrong port"
    detail = f"{first.detail} while pid {pid} listens on {named}{answers}"
    return Answer(ok=False, reason=reason, detail=detail, explained=bool(passes))


async def _other_tls(check: Check, first: Answer, url: SplitResult, host: str, port: int) -> Answer:
    """A certificate we do not trust, or no TLS at all on the other side?"""
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    for tls, words in ((blind, "answers when its certificate is not verified"), (None, "speaks plain http")):
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            reply = await asyncio.wait_for(get(url, host, port, tls), check.timeout_s)
            if reply.status < 400:
                return Answer(ok=False, reason="TLS", detail=f"{first.detail}; it {words}", explained=True)
    return first


async def _passes(check: Check, url: SplitResult | None, address: tuple[str, int]) -> bool:
    ip = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        if url is None:
            _, writer = await asyncio.wait_for(asyncio.open_connection(ip, address[1]), check.timeout_s)
            writer.close()
            return True
        reply = await asyncio.wait_for(get(url, ip, address[1], None), check.timeout_s)
        return of_reply(check, reply).ok
    return False


def _family(host: str) -> int:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0


def _pretty(address: tuple[str, int]) -> str:
    ip, port = address
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
