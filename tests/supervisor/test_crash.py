"""Crash records from real exceptions, and dumps from a real process that holds the GIL or sleeps."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from supervisor.evidence import crash, holders
from supervisor.words import CrashRecord

HERE = Path(__file__).parent


class Refused(Exception):
    retryable = False


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def recorded(action: Callable[[], object], roots: Sequence[Path] = (HERE,), **fields: Any) -> CrashRecord:
    with pytest.raises(Exception) as caught:
        action()
    return crash.record(caught.value, phase="init", roots=roots, **fields)


def test_the_innermost_own_frame_is_found_below_the_library_that_raised() -> None:
    def parse() -> None:
        json.loads("{broken")

    told = recorded(parse, in_hand="Tick")

    assert told.exceptions == ("JSONDecodeError",)
    assert told.frame.endswith("test_the_innermost_own_frame_is_found_below_the_library_that_raised.<locals>.parse")
    assert told.frame.startswith(f"{__name__}:")
    assert told.location.startswith("test_crash.py:")
    assert "json/decoder.py" in told.traceback
    assert (told.phase, told.in_hand, told.retryable) == ("init", "Tick", True)


def test_the_chain_goes_from_the_outermost_to_the_first_cause_and_the_frame_is_the_causes() -> None:
    def inner() -> None:
        {}["account"]

    def outer() -> None:
        try:
            inner()
        except KeyError as error:
            raise RuntimeError("cannot open the account") from error

    told = recorded(outer)

    assert told.exceptions == ("RuntimeError", "KeyError")
    assert told.message == "cannot open the account"
    assert told.frame.endswith(".inner")


def test_a_context_counts_unless_it_was_suppressed() -> None:
    def during() -> None:
        try:
            {}["a"]
        except KeyError:
            raise ValueError("second")  # noqa: B904 - the context is what is tested

    def instead() -> None:
        try:
            {}["a"]
        except KeyError:
            raise ValueError("second") from None

    assert recorded(during).exceptions == ("ValueError", "KeyError")
    assert recorded(instead).exceptions == ("ValueError",)


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("1"), KeyError("2")
    first.__cause__, second.__cause__ = second, first

    def circle() -> None:
        raise first

    assert recorded(circle).exceptions == ("ValueError", "KeyError")


def test_without_any_own_frame_the_innermost_frame_is_named(tmp_path: Path) -> None:
    told = recorded(lambda: json.loads("{"), roots=[tmp_path])

    assert told.frame.startswith("json.decoder:")
    assert told.location.startswith("decoder.py:")


def test_installed_packages_below_the_root_are_not_our_code(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "foreign.py").write_text("def fall():\n    raise OSError('x')\n")
    (tmp_path / "ours.py").write_text("import foreign\n\ndef work():\n    foreign.fall()\n")
    script = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "from pathlib import Path\n"
        "from supervisor.evidence import crash\n"
        "import ours\n"
        "try: ours.work()\n"
        "except OSError as error: print(crash.record(error, phase='steady', roots=[Path(sys.argv[1])]).frame)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(packages)], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "ours:work"


def test_long_texts_are_cut_and_both_ends_of_a_traceback_are_kept() -> None:
    def long() -> None:
        raise ValueError("x" * 100_000 + "end")

    told = recorded(long)

    assert len(told.message) == crash.MESSAGE_MAX
    assert len(told.traceback) <= crash.TRACEBACK_MAX
    assert told.traceback.startswith("Traceback")
    assert told.traceback.rstrip().endswith("end")


def test_an_exception_without_words_is_recorded_all_the_same() -> None:
    def mute() -> None:
        raise Mute

    told = recorded(mute)

    assert told.exceptions == ("Mute",)
    assert told.message == "(its text cannot be made: ValueError)"


def test_an_address_in_use_is_named_although_the_kernel_does_not_say_which() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        def bind(address: tuple[str, int]) -> None:
            HTTPServer(address, BaseHTTPRequestHandler)

        told = recorded(lambda: bind(("127.0.0.1", port)))
    assert told.message == f"[Errno 98] Address already in use (127.0.0.1:{port})"
    assert holders.wanted(told) == ((port,), ())


def test_a_typed_refusal_is_not_retryable() -> None:
    def refuse() -> None:
        raise Refused

    assert recorded(refuse).retryable is False


DUMPED = """
import sys, time, re
from pathlib import Path
from supervisor.evidence import crash
crash.install_dump(Path(sys.argv[1]))
def wedged():
    if sys.argv[2] == "sleep":
        print("up", flush=True)
        time.sleep(600)
    print("up", flush=True)
    re.match("(a+)+$", "a" * 60 + "b")  # holds the GIL for longer than anybody waits
wedged()
"""


@pytest.mark.process
@pytest.mark.parametrize("how", ["sleep", "gil"])
def test_a_wedged_process_writes_its_stacks_and_lives_on(tmp_path: Path, how: str) -> None:
    path = tmp_path / "stacks"
    child = subprocess.Popen([sys.executable, "-c", DUMPED, str(path), how], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        for _ in range(2):  # the second dump replaces the first
            assert crash.ask_dump(child.pid, path)
            end = time.monotonic() + 20
            while "in <module>" not in (text := crash.read_dump(path)):
                assert time.monotonic() < end, text
                threading.Event().wait(0.01)
            assert "in wedged" in text
            assert text.count("in <module>") == 1
        assert child.poll() is None
    finally:
        child.kill()
        child.communicate()


@pytest.mark.process
def test_a_process_without_a_dump_file_is_not_signalled(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        assert crash.ask_dump(child.pid, tmp_path / "none") is False
        assert crash.read_dump(tmp_path / "none") == ""
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)  # SIGUSR1 would have ended it
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    (tmp_path / "left").write_text("old")
    assert crash.ask_dump(child.pid, tmp_path / "left") is False


DYING = """
import ctypes, signal, sys, threading, time
from pathlib import Path
from supervisor.evidence import crash
from toy import broken
crash.install_dump(Path(sys.argv[1]))
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
if sys.argv[2] == "null":
    work = threading.Thread(target=broken.outer, args=(lambda: ctypes.string_at(0),))
    work.start()
    work.join()
broken.outer(lambda: signal.raise_signal(int(sys.argv[2])))
"""
TOY = """
def outer(native):
    inner(native)
def inner(native):
    native()
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("how", "number"),
    [("null", signal.SIGSEGV)]
    + [(str(int(one)), one) for one in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)],
)
def test_native_code_that_dies_leaves_its_stacks_and_its_innermost_own_frame(
    tmp_path: Path, how: str, number: signal.Signals
) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").touch()
    (tmp_path / "toy" / "broken.py").write_text(TOY)
    path = tmp_path / "stacks"
    path.write_text(f"{crash.FATAL}of an earlier life\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(HERE.parent.parent)])}

    died = subprocess.run([sys.executable, "-c", DYING, str(path), how], env=environment, check=False, timeout=60)
    told = crash.fatal(path, phase="steady", roots=[tmp_path / "toy"])

    assert died.returncode == -number  # it dies of it all the same
    assert told is not None
    assert (told.frame, told.location) == ("toy.broken:inner", "broken.py:5")
    assert (told.phase, told.exceptions) == ("steady", ())
    assert told.traceback.startswith(crash.FATAL)
    assert told.message.startswith(told.traceback.removeprefix(crash.FATAL).partition("\n")[0])
    assert "earlier life" not in told.traceback


def test_a_dump_without_a_fatal_signal_or_without_a_python_frame_names_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "stacks"
    assert crash.fatal(path) is None
    path.write_text('Thread 0x1 (most recent call first):\n  File "/a.py", line 1 in f\n')  # it was asked for it
    assert crash.fatal(path) is None
    path.write_text(
        f'{crash.FATAL}Aborted\n\nThread 0x2 (most recent call first):\n  File "/a.py", line 1 in f\n\n'
        "Current thread 0x1 (most recent call first):\n  <no Python frame>\n\n"
    )
    told = crash.fatal(path)
    assert told is not None
    assert (told.message, told.frame, told.location) == ("Aborted", "", "")
