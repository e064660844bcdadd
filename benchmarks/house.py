"""A real house for a benchmark: plan compiled in a scratch process, root and zygotes running, all gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def house(build: str, **arguments: object) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """(home, root) of the tree that `build` ("package.module:function") returns for `home` and these arguments."""
    home = Path(tempfile.mkdtemp(prefix="qtb-"))
    (home / "notes").mkdir()
    environment = {**os.environ, **ENVIRONMENT}
    scratch = [sys.executable, "-m", "supervisor.runtime.scratch", "--home", str(home), "--build", build]
    given = json.dumps({"home": str(home), **arguments})
    subprocess.run([*scratch, "--arguments", given], check=True, stdout=subprocess.DEVNULL, env=environment)
    with (home / "root.txt").open("wb") as said:
        root = subprocess.Popen(
            [sys.executable, "-m", "supervisor.runtime.root", "--home", str(home)], env=environment, stderr=said
        )
    try:
        yield home, root
    finally:
        root.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            root.wait(30)
        root.kill()
        root.wait()
        shutil.rmtree((home / "run" / "sockets").read_text().strip(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def note(home: str, word: str, at_ns: int) -> None:
    """Leave a time where `noted` looks for it; whole or not at all."""
    path = Path(home) / "notes" / word
    path.with_suffix(".new").write_text(str(at_ns))
    path.with_suffix(".new").rename(path)


def noted(home: Path, word: str, within_s: float = 30.0) -> int:
    """The time noted under `word`, in ns.

    Raises:
        TimeoutError: nobody noted it.
    """
    path = home / "notes" / word
    deadline = time.monotonic() + within_s
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody noted {word} within {within_s:g} s")
        time.sleep(0.001)
    return int(path.read_text())
