"""Last words: a crash record from a live exception, and all Python stacks on SIGUSR1 even while the GIL is held, and
before a signal that native code dies of (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL).

The record is made in the dying node, where the exception still is; it must not fail whatever it meets, because a
second exception here would hide the first. The dump is faulthandler's: a C signal handler that needs no lock of ours,
silent only when the process is stopped or asleep in the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import re
import signal
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from supervisor.words import CrashRecord

MESSAGE_MAX = 500
ADDRESS_FRAMES = 4  # the innermost ones, where it was bound
TRACEBACK_MAX = 16 * 1024
FATAL_MAX = 256 * 1024  # of all threads together; faulthandler tells 100 of them, and 100 frames of each
CHAIN_MAX = 10
FATAL = "Fatal Python error: "  # faulthandler's first words before it lets the process die …
CURRENT = "\nCurrent thread "  # … and above the frames of the one that met the signal, wherever it stands in the list
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)$')
_FOREIGN = ("site-packages", "dist-packages", ".venv")
_open_dumps: dict[Path, BinaryIO] = {}  # faulthandler writes to the descriptor: it must stay open


def record(
    error: BaseException,
    *,
    phase: str,
    roots: Sequence[Path],
    in_hand: str = "",
    in_hand_id: str = "",
) -> CrashRecord:
    """The crash record of `error`, whose traceback must still be attached.

    `roots` are the directories whose frames are our own code (site-packages below them are not). `retryable` is
    the exception's own attribute of this name, True without one. The innermost own frame is that of the innermost
    cause that has one; without any own frame `frame` and `location` name the innermost frame there is.
    """
    chain = list(_chain(error))
    frame, line = _innermost(chain, [os.path.realpath(root) + os.sep for root in roots])
    address = _address(error)
    return CrashRecord(
        phase=phase,
        exceptions=tuple(type(item).__qualname__ for item in chain),
        message=_text(error)[: MESSAGE_MAX - len(address)] + address,
        frame="" if frame is None else f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}",
        location="" if frame is None else f"{Path(frame.f_code.co_filename).name}:{line}",
        traceback=_cut(_formatted(error)),
        in_hand=in_hand,
        in_hand_id=in_hand_id,
        retryable=bool(getattr(error, "retryable", True)),
    )


def install_dump(path: Path) -> None:
    """In the node, after the fork: SIGUSR1, and a fatal signal before it kills, write the stacks of all threads to
    `path`, which is emptied first: what an earlier life wrote there is not about this one.

    Replaces what an earlier call installed. Before it is called SIGUSR1 ends the process.
    """
    stream = path.open("ab", buffering=0)  # lives as long as the process
    stream.truncate(0)
    faulthandler.register(signal.SIGUSR1, file=stream, all_threads=True, chain=False)
    faulthandler.enable(file=stream, all_threads=True)
    for old in _open_dumps.values():
        old.close()
    _open_dumps.clear()
    _open_dumps[path] = stream


def ask_dump(pid: int, path: Path) -> bool:
    """From the root: forget the old dump and ask for a new one; the answer is there some milliseconds later.

    Only for a process that called `install_dump`: without its file nothing is sent, because SIGUSR1 would end it, and
    the answer is False, as it is when the process is gone. So `path` must be one of this incarnation alone.
    """
    try:
        os.truncate(path, 0)
        os.kill(pid, signal.SIGUSR1)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def read_dump(path: Path) -> str:
    """The stacks written since the last `ask_dump`, at most 16 KiB; "" if none (yet)."""
    try:
        with path.open("rb") as stream:
            return stream.read(TRACEBACK_MAX).decode(errors="replace")
    except FileNotFoundError:
        return ""


def fatal(path: Path, *, phase: str = "", roots: Sequence[Path] = ()) -> CrashRecord | None:
    """From the root: the last words of one that a fatal signal has killed, from what its dump holds; None where that is
    nothing of the kind. To be asked before the next life of the name begins, which empties it.

    No exception was raised, so it names none. `frame` is the innermost own one of the thread that met the signal, else
    that thread's innermost; "" where it had no Python frame (a thread of a library).
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(FATAL_MAX).decode(errors="replace")
    except OSError:
        return None
    _, found, text = text.rpartition(FATAL)
    if not found:
        return None
    _, _, thread = text.partition(CURRENT)
    frames = [match for line in thread.partition("\n\n")[0].splitlines() if (match := _FRAME.match(line))]
    places = [os.path.realpath(root) + os.sep for root in roots]
    where = next((frame for frame in frames if _is_own(frame["file"], places)), frames[0] if frames else None)
    return CrashRecord(
        phase=phase,
        exceptions=(),
        message=text.partition("\n")[0][:MESSAGE_MAX],
        frame="" if where is None else f"{_module(Path(where['file']))}:{where['function']}",
        location="" if where is None else f"{Path(where['file']).name}:{where['line']}",
        traceback=_cut(FATAL + text),
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes, outermost first, as a traceback shows them; a circle or a long chain is cut."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < CHAIN_MAX:
        seen.add(id(current))
        yield current
        if current.__cause__ is not None:
            current = current.__cause__
        else:
            current = None if current.__suppress_context__ else current.__context__


def _innermost(chain: Sequence[BaseException], roots: Sequence[str]) -> tuple[FrameType | None, int]:
    """Innermost frame of our own code: of the innermost cause first, because there it began."""
    last: tuple[FrameType | None, int] = (None, 0)
    for item in reversed(chain):
        frames = list(traceback.walk_tb(item.__traceback__))
        for frame, line in reversed(frames):
            if _is_own(frame.f_code.co_filename, roots):
                return frame, line
        if frames and last[0] is None:
            last = frames[-1]
    return last


def _is_own(filename: str, roots: Sequence[str]) -> bool:
    path = os.path.realpath(filename)
    return any(path.startswith(root) and not _foreign(path[len(root) :]) for root in roots)


def _foreign(relative: str) -> bool:
    return any(part in _FOREIGN for part in Path(relative).parts)


def _module(path: Path) -> str:
    """As Python would name it: the packages above the file are part of its name."""
    names = [] if path.stem == "__init__" else [path.stem]
    while (path.parent / "__init__.py").exists():
        path = path.parent
        names.insert(0, path.name)
    return ".".join(names)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 - a broken __str__ must not hide the crash it describes
        return f"(its text cannot be made: {type(second).__name__})"


def _address(error: BaseException) -> str:
    """` (127.0.0.1:8080)` for an address in use: the kernel does not say which, the frames that bound it still know."""
    if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
        return ""
    for frame, _ in list(traceback.walk_tb(error.__traceback__))[: -ADDRESS_FRAMES - 1 : -1]:
        with contextlib.suppress(Exception):  # a foreign frame: whatever it holds must not hide the crash
            held = frame.f_locals
            for value in (*held.values(), getattr(held.get("self"), "server_address", None)):
                if isinstance(value, tuple) and len(value) in (2, 4) and isinstance(value[0], str):
                    host, port = value[0], value[1]
                    if isinstance(port, int) and 0 < port < 65536:
                        return f" ({host[:40]}:{port})"
    return ""


def _formatted(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as second:  # noqa: BLE001 - as above
        with contextlib.suppress(Exception):
            return "".join(traceback.format_tb(error.__traceback__))
        return f"(its traceback cannot be made: {type(second).__name__})"


def _cut(text: str) -> str:
    """Both ends are kept: where it came from and where it broke."""
    if len(text) <= TRACEBACK_MAX:
        return text
    half = TRACEBACK_MAX // 2 - 40
    return f"{text[:half]}\n… {len(text) - 2 * half} characters cut …\n{text[-half:]}"
