"""One question to one child: HTTP, TCP or a program, and what the answer is worth.

A failing check says that this question got this answer; whether the question itself is wrong, counterprobe.py finds
out by another route. Everything runs in the checks' own loop (checks.py) and is bounded in time, bytes and processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shlex
import signal
import socket
import ssl
import threading
from urllib.parse import SplitResult, urlsplit

import msgspec

from supervisor.spec import Check
from supervisor.verdict.fingerprint import Prior, prior

OURS = (errno.EMFILE, errno.ENFILE)  # we have no descriptor left to ask with: that is no answer of anybody's
BODY_MAX = 64 * 1024
OUTPUT_MAX = 4 * 1024
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "QT_HOME")  # what a check gets; never a secret


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; `reason` and `detail` say what was wrong, `explained` that the question was."""

    ok: bool
    reason: str = ""
    detail: str = ""
    explained: bool = False


class Lost(Exception):
    """No answer that means anything: the exit status of our check's process was taken, we have no descriptor."""


class Reply(msgspec.Struct, frozen=True):
    """An HTTP response as far as a check looks at it."""

    status: int
    location: str
    body: str


class Processes:
    """Runs check programs and knows their pids, so that the root's reaper can leave them alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pids: set[int] = set()

    def pids(self) -> frozenset[int]:
        """Held by the lock while a program is being started: a pid that is not in here is not ours."""
        with self._lock:
            return frozenset(self._pids)

    async def run(self, argv: list[str], timeout_s: float) -> tuple[int, str]:
        """Exit code (negative: signal) and the beginning of stdout and stderr. Raises TimeoutError after killing it."""
        loop = asyncio.get_running_loop()
        read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(write_end, True)
            with self._lock:
                pid = _spawn(argv, write_end)
                self._pids.add(pid)
        except OSError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        output = bytearray()
        pidfd = os.pidfd_open(pid)
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pidfd, _end, ended)
        loop.add_reader(read_end, lambda: _collect(loop, read_end, output))
        try:
            await asyncio.wait_for(ended, timeout_s)
        finally:
            loop.remove_reader(pidfd)
            loop.remove_reader(read_end)
            if not ended.done() or ended.cancelled():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            code = _reap(pidfd)
            _collect(None, read_end, output)
            os.close(pidfd)
            os.close(read_end)
            with self._lock:
                self._pids.discard(pid)
        if code is None:
            raise Lost(f"the exit status of {argv[0]} (pid {pid}) was taken by somebody else")
        return code, output.decode(errors="replace").strip()


async def ask(check: Check, processes: Processes, *, timeout_s: float | None = None) -> Answer:
    """Ask once. Never raises for what the check or the child does; `Lost` when there is no answer to report."""
    limit_s = check.timeout_s if timeout_s is None else timeout_s
    try:
        if check.kind == "http":
            return await asyncio.wait_for(_ask_http(check), limit_s)
        if check.kind == "tcp":
            host, port = host_port(check.target)
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), limit_s)
            writer.close()
            return Answer(ok=True)
        if check.kind == "exec":
            return await _ask_exec(check, processes, limit_s)
        return _bad(check, f"kind is {check.kind!r}, it must be http, tcp or exec")
    except TimeoutError:
        return Answer(ok=False, reason="no answer", detail=f"{check.target} did not answer within {limit_s:g} s")
    except ssl.SSLError as error:  # before ValueError: a certificate that is not trusted is both
        return Answer(ok=False, reason="TLS", detail=f"{check.target}: {error.reason or error}")
    except ValueError as error:
        return _bad(check, str(error))
    except socket.gaierror as error:
        return Answer(ok=False, reason="name resolution", detail=f"{check.target}: {error.strerror}")
    except ConnectionRefusedError:
        return Answer(ok=False, reason="refused", detail=f"{check.target} refused")
    except OSError as error:
        if error.errno in OURS:
            raise Lost from error
        return Answer(ok=False, reason="connection failed", detail=f"{check.target}: {error}")


async def _ask_http(check: Check) -> Answer:
    url = urlsplit(check.target)
    if url.scheme not in ("http", "https") or not url.hostname:
        return _bad(check, "it must be a URL like http://127.0.0.1:8000/health")
    tls = ssl.create_default_context() if url.scheme == "https" else None
    reply = await get(url, url.hostname, url.port or (443 if tls else 80), tls)
    return of_reply(check, reply)


def of_reply(check: Check, reply: Reply) -> Answer:
    status = reply.status
    if 200 <= status < 300:
        if check.expect and check.expect not in reply.body:
            got = _line(reply.body) or "an empty body"
            return Answer(
                ok=False,
                reason="body mismatch",
                detail=f"{check.target} answered {status} without {check.expect!r}: {got}",
            )
        return Answer(ok=True)
    named = {
        401: "login required",
        403: "login required",
        404: "wrong path",
        405: "method refused",
        410: "wrong path",
        429: "rate limited",
    }
    what = f"{check.target} answered {status}"
    if status in named:
        return Answer(ok=False, reason=named[status], detail=what, explained=True)
    if 300 <= status < 400:
        return Answer(ok=False, reason="redirect", detail=f"{what} to {reply.location or 'nowhere'}", explained=True)
    body = f": {_line(reply.body)}" if reply.body.strip() else ""
    if status == 503:
        return Answer(ok=False, reason="says unavailable", detail=what + body)
    return Answer(ok=False, reason="handler error" if status >= 500 else "request refused", detail=what + body)


async def _ask_exec(check: Check, processes: Processes, timeout_s: float) -> Answer:
    argv = shlex.split(check.target)
    if not argv:
        return _bad(check, "the command line is empty")
    try:
        code, output = await processes.run(argv, timeout_s)
    except FileNotFoundError:
        return Answer(ok=False, reason="missing client", detail=f"program {argv[0]} is not installed", explained=True)
    except TimeoutError:  # an OSError by inheritance, and the one that is about the child
        raise
    except OSError as error:
        detail = f"program {argv[0]} cannot be started: {error.strerror}"
        return Answer(ok=False, reason="missing client", detail=detail, explained=True)
    if code == 0:
        return Answer(ok=True)
    last = output.splitlines()[-1][:200] if output else "no output"
    if code in (126, 127):
        return Answer(
            ok=False, reason="missing client", detail=f"{check.target}: exit code {code}: {last}", explained=True
        )
    if code < 0:
        name = signal.Signals(-code).name
        return Answer(ok=False, reason="client crashed", detail=f"{check.target}: killed by {name}", explained=True)
    raised = re.match(r"([\w.]+)(:|$)", last) if "Traceback (most recent call last)" in output else None
    if raised is not None and prior((raised.group(1),)) is Prior.CODE:
        return Answer(ok=False, reason="client crashed", detail=f"{check.target}: {last}", explained=True)
    return Answer(ok=False, reason="exit code", detail=f"{check.target}: exit code {code}: {last}")


async def get(url: SplitResult, host: str, port: int, tls: ssl.SSLContext | None) -> Reply:
    """GET by HTTP/1.0, so that the answer ends with the connection and is never chunked. No proxy, no redirect."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=BODY_MAX)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        lines = (
            f"GET {path} HTTP/1.0",
            f"Host: {url.netloc.rpartition('@')[2]}",
            "User-Agent: qt-check",
            "Accept: */*",
        )
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii", errors="strict"))
        await writer.drain()
        data = bytearray()
        while len(data) < BODY_MAX and (piece := await reader.read(BODY_MAX - len(data))):
            data += piece
            if _complete(data):
                break
    finally:
        writer.close()
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    first = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    if first is None:
        raise ConnectionError(f"the answer is not HTTP: {bytes(data[:40])!r}" if data else "closed without an answer")
    location = re.search(rb"(?im)^location:[ \t]*(.*?)\r?$", head)
    where = location.group(1).decode("latin-1") if location else ""
    return Reply(int(first.group(1)), where, body.decode(errors="replace"))


def _complete(data: bytearray) -> bool:
    """A server that keeps the connection open although asked by 1.0 still tells the length."""
    head, found, body = bytes(data).partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length:[ \t]*(\d+)", head) if found else None
    return length is not None and len(body) >= int(length.group(1))


def _spawn(argv: list[str], output: int) -> int:
    """In a session of its own, so that it can be ended with all it started; no terminal, no input, no signal mask."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    restored = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    return os.posix_spawnp(
        argv[0], argv, environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=restored
    )


def _end(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _collect(loop: asyncio.AbstractEventLoop | None, read_end: int, output: bytearray) -> None:
    """Take what the program wrote; keep the end of it. At end of file stop watching: it would be readable for ever."""
    try:
        piece = os.read(read_end, BODY_MAX)
    except BlockingIOError:
        return
    if not piece and loop is not None:
        loop.remove_reader(read_end)
    output += piece
    del output[: max(0, len(output) - OUTPUT_MAX)]


def _reap(pidfd: int) -> int | None:
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return None
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def host_port(target: str) -> tuple[str, int]:
    """The two halves of a tcp target. Raises ValueError when it is none."""
    url = urlsplit(f"tcp://{target}")
    if not url.hostname or url.port is None:
        raise ValueError('it must read "host:port"')
    return url.hostname, url.port


def _line(body: str) -> str:
    return " ".join(body.split())[:200]


def _bad(check: Check, rule: str) -> Answer:
    detail = f"{check.kind} check of {check.target!r} cannot be asked: {rule}"
    return Answer(ok=False, reason="bad check", detail=detail, explained=True)
