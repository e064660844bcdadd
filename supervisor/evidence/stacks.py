"""Stacks of a process from outside, by py-spy where it is installed: also of one that is stopped, or no node of ours.

The picture: an X-ray. The patient need not cooperate, unlike with the dump it writes itself (crash.py), which stays
blank when it is stopped or asleep in the kernel. py-spy reads the memory of the other process; where the kernel forbids
that, or nobody installed it (`pip install 'quantum-trader[diag]'`), there is no picture and the dump has to do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

PROGRAM = "py-spy"
MOST = 16 * 1024  # bytes of a picture


class Picture:
    """One being taken. `end` must be called: it gives what there is, and leaves no process behind."""

    def __init__(self, process: subprocess.Popen[bytes], stream: BinaryIO, path: Path) -> None:
        self._process, self._stream, self._path = process, stream, path

    def end(self) -> str:
        """The stacks of all threads, "" when there are none; one that is not ready by now is given up."""
        if self._process.poll() is None:
            self._process.kill()
        taken = self._process.wait() == 0
        self._stream.close()
        try:
            text = self._path.read_bytes()[:MOST].decode(errors="replace") if taken else ""
            self._path.unlink()
        except OSError:
            return ""
        return text


def begin(pid: int, path: Path) -> Picture | None:
    """Have one taken into `path`, some ten milliseconds; None where py-spy is not installed or cannot be started. The
    process goes on meanwhile."""
    program = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
    if program is None:
        return None
    try:
        stream = path.open("wb")
    except OSError:
        return None
    argv = [program, "dump", "--nonblocking", "--pid", str(pid)]
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.DEVNULL)
    except OSError:
        stream.close()
        return None
    return Picture(process, stream, path)
