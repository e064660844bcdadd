"""A zygote: a process that has imported everything, did nothing with it, and forks nodes on request.

    root ──Fork(+ link, boot)──► zygote ──fork──► intermediate ──fork──► node ──► re-parented to the root
         ◄──Forked(pid)─────────

A restart then costs a fork, not an import. The node is the root's child, not the zygote's: the root reads its exit
itself, a dead zygote hurts nobody, and the kernel ends the node with the root (parent-death signal). The zygote makes
no thread, loop or zmq context, because a fork would copy them dead; it counts its threads before each fork and refuses
with a sentence. It keeps no list of nodes and restarts nothing.

Forking twice copies the page tables of a large image twice (10-30 ms), so an idle zygote keeps one *spare*: a node that
is born and adopted already, has rehearsed (rehearsal.py), has no name yet, and waits to be told what it is. A restart
then waits for no fork at all.
The spare ends with its zygote, so new code never runs in an old one.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from supervisor import loading
from supervisor.evidence import sentinel
from supervisor.plan import NodeBoot
from supervisor.runtime import link, process
from supervisor.spec import ZygoteSpec
from supervisor.words import CrashRecord

NODE_MAIN = "supervisor.runtime.node:main"
REHEARSAL = "supervisor.runtime.rehearsal:rehearse"
REQUIRED_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
LARGEST = 64 * 1024
_ADOPTION_S = 5.0  # from the second fork until the intermediate is gone; microseconds in truth
_IDLE_MS = 100  # no request for that long: the burst is over, make the spare
_BEAT_MS = int(sentinel.BEAT_S * 1000)

NodeMain = Callable[[NodeBoot, socket.socket], int]


class Word(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of what root and zygote say to each other."""


class Fork(Word, frozen=True, kw_only=True):
    """Root to zygote, with two descriptors: the node's end of the link, and a file that holds its encoded NodeBoot."""

    request: int
    name: str
    root_pid: int
    entry: str = NODE_MAIN


class Waiting(Word, frozen=True, kw_only=True):
    """Everything is imported and prepared; forks from now on."""


class Forked(Word, frozen=True, kw_only=True):
    request: int
    pid: int


class Spared(Word, frozen=True, kw_only=True):
    """There is a spare now. A later `Forked` may name it."""

    pid: int


class Refused(Word, frozen=True, kw_only=True):
    """This fork did not happen; the next may, or not in this zygote (`unfit`: it has a second thread)."""

    request: int
    text: str
    unfit: bool = False


class Unfit(Word, frozen=True, kw_only=True):
    """The zygote cannot serve and ends: an import failed, or something made a thread."""

    record: CrashRecord


FromZygote = Waiting | Forked | Spared | Refused | Unfit
encode = msgspec.msgpack.Encoder().encode
from_zygote: Any = msgspec.msgpack.Decoder(FromZygote)
_fork: Any = msgspec.msgpack.Decoder(Fork)
_boot: Any = msgspec.msgpack.Decoder(NodeBoot)  # made before any fork: it takes milliseconds to learn so many fields


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m supervisor.runtime.zygote --fd N --root-pid P --spec JSON`; started by the root only."""
    parser = argparse.ArgumentParser(prog="zygote")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--root-pid", type=int, required=True)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--stage", type=Path, help="folder in which spares may rehearse; without it they do not")
    arguments = parser.parse_args(argv)
    process.die_with_parent()
    if os.getppid() != arguments.root_pid:
        return 0  # the root ended before the kernel knew that we belong to it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = socket.socket(fileno=arguments.fd)
    line.setblocking(True)
    spec = msgspec.json.decode(arguments.spec.encode(), type=ZygoteSpec)
    process.set_name(f"zygote:{spec.role}")
    gc.disable()  # a collection here would touch, and so copy, pages that all nodes share; nodes switch it on again
    try:
        prepare(spec)
        rehearse = loading.load(REHEARSAL) if arguments.stage else None
    except BaseException as error:
        line.send(encode(Unfit(record=_record(spec, error)))[:LARGEST])
        raise
    gc.collect()
    gc.freeze()
    line.send(encode(Waiting()))
    beat = sentinel.Beat(sentinel.page_of(arguments.stage, spec.role)).beat if arguments.stage else lambda: None
    serve(line, partial(rehearse, arguments.stage / f"spare-{spec.role}") if rehearse else lambda: None, beat)
    return 0


def prepare(spec: ZygoteSpec) -> None:
    """Import and prepare once.

    Raises:
        RuntimeError: the environment would let libraries start threads, or one did.
    """
    wrong = [f"{name}={value}" for name, value in REQUIRED_ENVIRONMENT.items() if os.environ.get(name) != value]
    if wrong:
        raise RuntimeError(
            f"zygote {spec.role}: {', '.join(wrong)} must be set before Python starts; "
            "without it libraries start threads at import, and a fork would lose them"
        )
    for module in spec.imports:
        importlib.import_module(module)
    if spec.prepare:
        loading.load(spec.prepare)()
    fault = _thread_fault(f"zygote {spec.role}")
    if fault:
        raise RuntimeError(
            f"{fault}; the culprit is one of its imports ({', '.join(spec.imports)}) or {spec.prepare or 'none'}"
        )


def serve(line: socket.socket, rehearse: Callable[[], None], beat: Callable[[], None] = lambda: None) -> None:
    """Fork on request until the root's end closes; `beat` while nothing is asked (evidence/sentinel.py)."""
    idle = select.poll()
    idle.register(line, select.POLLIN)
    spare: _Spare | None = None
    while True:
        if spare is None and not idle.poll(_IDLE_MS) and not _thread_fault("the zygote"):
            spare = _Spare(line, rehearse)
            if spare.pid:
                line.send(encode(Spared(pid=spare.pid)))
        beat()
        if not idle.poll(_BEAT_MS):
            continue
        try:
            packet, descriptors, _, _ = socket.recv_fds(line, LARGEST, 2)
        except InterruptedError:
            continue
        if not packet:
            return  # the spare's line closes with us
        request: Fork = _fork.decode(packet)
        try:
            line.send(encode(_answer(request, packet, descriptors, line, spare)))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if spare is not None:
            spare.close()
            spare = None


def _answer(
    request: Fork, packet: bytes, descriptors: Sequence[int], line: socket.socket, spare: _Spare | None
) -> Forked | Refused:
    if len(descriptors) != 2:
        text = f"{request.name}: a fork needs the link and the boot record, {len(descriptors)} descriptors came"
        return Refused(request=request.request, text=text)
    if spare is not None and spare.take(packet, descriptors):
        return Forked(request=request.request, pid=spare.pid)
    fault = _thread_fault(f"the zygote of {request.name}")
    if fault:
        return Refused(request=request.request, text=fault, unfit=True)

    def node(middle: int) -> NoReturn:
        line.close()
        _live(request, descriptors[0], descriptors[1], middle)

    try:
        return Forked(request=request.request, pid=_fork_twice(node))
    except OSError as error:
        return Refused(request=request.request, text=f"{request.name}: the kernel refused to fork: {error}")


class _Spare:
    """A node without a name; `pid` is 0 when there is none. Used once."""

    def __init__(self, line: socket.socket, rehearse: Callable[[], None]) -> None:
        self.pid = 0
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root_pid = os.getppid()

        def node(middle: int) -> NoReturn:
            line.close()
            self._ours.close()
            process.set_name("spare")
            _adopt(root_pid, middle)
            try:
                rehearse()
            except BaseException:  # noqa: BLE001  no spare then: the next request is answered by a fork
                traceback.print_exc()
                os._exit(1)
            packet, descriptors, _, _ = socket.recv_fds(theirs, LARGEST, 2)
            if len(descriptors) != 2:
                os._exit(0)  # the zygote ended, or did not want it
            theirs.close()
            _live(_fork.decode(packet), descriptors[0], descriptors[1])

        with theirs, contextlib.suppress(OSError):  # no memory for a spare: the next request is told by its own fork
            self.pid = _fork_twice(node)

    def take(self, packet: bytes, descriptors: Sequence[int]) -> bool:
        """Make it the node of this request. False, and it is given up, when somebody's hand killed or stopped it."""
        if self.pid and process.state_of(self.pid) in ("S", "R", "D"):
            with contextlib.suppress(OSError):
                socket.send_fds(self._ours, [packet], list(descriptors))
                return True
        self.close()  # before the fork: a node that held this end would keep a stopped one alive
        return False

    def close(self) -> None:
        """It has its request, or hears that there will be none."""
        self._ours.close()


def _fork_twice(node: Callable[[int], NoReturn]) -> int:
    """The pid of a grandchild that runs `node(pid of the intermediate)`; it is the subreaper's child soon after."""
    read_end, write_end = os.pipe()
    intermediate = os.fork()
    if intermediate == 0:
        code = 1
        try:
            middle = os.getpid()
            pid = os.fork()
            if pid == 0:
                os.close(read_end)
                os.close(write_end)
                node(middle)
            os.write(write_end, str(pid).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    try:
        answer = os.read(read_end, 32)
    finally:
        os.close(read_end)
        os.waitpid(intermediate, 0)
    if not answer:
        raise OSError("the intermediate ended without a node")
    return int(answer)


def _live(request: Fork, link_fd: int, boot_fd: int, middle: int = 0) -> NoReturn:
    """The node's first and last lines, `middle` being its parent until it is adopted. Never returns into the zygote's
    code."""
    code = 1
    line = socket.socket(fileno=link_fd)
    try:
        if middle:
            _adopt(request.root_pid, middle)
        process.set_name(request.name)
        gc.enable()
        with open(boot_fd, "rb") as file:
            boot = _boot.decode(file.read())
        entry: NodeMain = loading.load(request.entry)
        code = entry(boot, line)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:  # noqa: BLE001 - told to the root, then the process ends
        traceback.print_exc()
        record = CrashRecord(
            phase="import",
            exceptions=(type(error).__name__,),
            message=str(error)[:500],
            frame=request.entry,
            location="",
            traceback=traceback.format_exc()[-16_000:],
        )
        link.send(line, link.NodeCrashed(record=record))
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 1
        os._exit(code)  # no atexit, no finalizers: they belong to the zygote that registered them


def _adopt(root_pid: int, middle: int) -> None:
    """Wait until this process is the root's child, and tie its life to it."""
    deadline = time.monotonic() + _ADOPTION_S
    while (parent := os.getppid()) == middle:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the intermediate {middle} did not end within {_ADOPTION_S} s")
        time.sleep(0.0002)
    if parent == root_pid:
        process.die_with_parent()
        parent = os.getppid()  # it may have ended between the look and the promise
    if parent != root_pid:
        os._exit(0)  # the root is gone, and a node without a root must not live


def _thread_fault(who: str) -> str:
    names = process.threads()
    if len(names) == 1:
        return ""
    return f"{who} has {len(names)} threads ({', '.join(names)}) and must have 1: a fork would copy locks they hold"


def _record(spec: ZygoteSpec, error: BaseException) -> CrashRecord:
    return CrashRecord(
        phase="import",
        exceptions=(type(error).__name__,),
        message=f"zygote {spec.role}: {error}"[:500],
        frame=f"zygote:{spec.role}",
        location="",
        traceback="".join(traceback.format_exception(error))[-16_000:],
    )


if __name__ == "__main__":
    sys.exit(main())
