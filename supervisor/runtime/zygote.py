"""A zygote: a process that has imported everything, did nothing with it, and forks nodes on request.

    root ──Fork(+ link, boot)──► zygote ──fork──► intermediate ──fork──► node ──► re-parented to the root
         ◄──Forked(pid)─────────

A restart then costs a fork, not an import. The node is the root's child, not the zygote's: the root reads its exit
itself, a dead zygote hurts nobody, and the kernel ends the node with the root (parent-death signal). The zygote makes
no thread, loop or zmq context, because a fork would copy them dead; it counts its threads before each fork and refuses
with a sentence. It keeps no list of nodes and restarts nothing.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

from supervisor import loading
from supervisor.plan import NodeBoot
from supervisor.runtime import link, process
from supervisor.spec import ZygoteSpec
from supervisor.words import CrashRecord

NODE_MAIN = "supervisor.runtime.node:main"
REQUIRED_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
LARGEST = 64 * 1024
_ADOPTION_S = 5.0  # from the second fork until the intermediate is gone; microseconds in truth

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

    pid: int


class Forked(Word, frozen=True, kw_only=True):
    request: int
    pid: int


class Refused(Word, frozen=True, kw_only=True):
    """This fork did not happen; the next may."""

    request: int
    text: str


class Unfit(Word, frozen=True, kw_only=True):
    """The zygote cannot serve and ends: an import failed, or something made a thread."""

    record: CrashRecord


FromZygote = Waiting | Forked | Refused | Unfit
encode = msgspec.msgpack.Encoder().encode
from_zygote: Any = msgspec.msgpack.Decoder(FromZygote)
_fork: Any = msgspec.msgpack.Decoder(Fork)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m supervisor.runtime.zygote --fd N --root-pid P --spec JSON`; started by the root only."""
    parser = argparse.ArgumentParser(prog="zygote")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--root-pid", type=int, required=True)
    parser.add_argument("--spec", required=True)
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
    except BaseException as error:
        line.send(encode(Unfit(record=_record(spec, error)))[:LARGEST])
        raise
    gc.collect()
    gc.freeze()
    line.send(encode(Waiting(pid=os.getpid())))
    serve(line)
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


def serve(line: socket.socket) -> None:
    """Fork on request until the root's end closes."""
    while True:
        try:
            packet, descriptors, _, _ = socket.recv_fds(line, LARGEST, 2)
        except InterruptedError:
            continue
        if not packet:
            return
        request: Fork = _fork.decode(packet)
        try:
            line.send(encode(_answer(request, descriptors, line)))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _answer(request: Fork, descriptors: Sequence[int], line: socket.socket) -> Forked | Refused:
    if len(descriptors) != 2:
        text = f"{request.name}: a fork needs the link and the boot record, {len(descriptors)} descriptors came"
        return Refused(request=request.request, text=text)
    fault = _thread_fault(f"the zygote of {request.name}")
    if fault:
        return Refused(request=request.request, text=fault)
    try:
        return Forked(request=request.request, pid=_fork_twice(request, descriptors, line))
    except OSError as error:
        return Refused(request=request.request, text=f"{request.name}: the kernel refused to fork: {error}")


def _fork_twice(request: Fork, descriptors: Sequence[int], line: socket.socket) -> int:
    read_end, write_end = os.pipe()
    intermediate = os.fork()
    if intermediate == 0:
        code = 1
        try:
            middle = os.getpid()
            node = os.fork()
            if node == 0:
                os.close(read_end)
                os.close(write_end)
                line.close()
                _live(request, descriptors[0], descriptors[1], middle)
            os.write(write_end, str(node).encode())
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


def _live(request: Fork, link_fd: int, boot_fd: int, middle: int) -> NoReturn:
    """The node's first and last lines. Never returns into the zygote's code."""
    code = 1
    line = socket.socket(fileno=link_fd)
    try:
        _be_adopted(request, middle)
        process.set_name(request.name)
        gc.enable()
        with open(boot_fd, "rb") as file:
            boot = msgspec.msgpack.decode(file.read(), type=NodeBoot)
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


def _be_adopted(request: Fork, middle: int) -> None:
    deadline = time.monotonic() + _ADOPTION_S
    while (parent := os.getppid()) == middle:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{request.name}: the intermediate {middle} did not end within {_ADOPTION_S} s")
        time.sleep(0.0002)
    if parent == request.root_pid:
        process.die_with_parent()
        parent = os.getppid()  # it may have ended between the look and the promise
    if parent != request.root_pid:
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
