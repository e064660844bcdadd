"""The other supervisors of restart.py, each told to keep the same workers running, each at its fastest fair setting.

circus and supervisord run as real programs from environments of their own below `.peers/`: the package `supervisor` on
PyPI would overwrite ours. Their workers run on the project's interpreter, like everybody's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path

import psutil

from benchmarks import worker

HERE = Path(__file__).parent.parent
ENVIRONMENTS = HERE / ".peers"
PROGRAMS = {"circus": ("circus==0.19.0", "circusd"), "supervisord": ("supervisor==4.3.0", "supervisord")}


class Missing(Exception):
    """This peer cannot run here; the text says why."""


def program(name: str) -> str:
    """The peer's executable, installed when it is not there yet.

    Raises:
        Missing: it cannot be installed.
    """
    requirement, executable = PROGRAMS[name]
    place = ENVIRONMENTS / name
    found = place / "bin" / executable
    if found.exists():
        return str(found)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(place)
    try:
        if shutil.which("uv"):
            _quietly(["uv", "venv", "--quiet", "--python", sys.executable, str(place)])
            _quietly(["uv", "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), requirement])
        else:
            venv.create(place, with_pip=True)
            _quietly([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement])
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(place, ignore_errors=True)
        said = getattr(error, "stderr", b"") or b""
        raise Missing(f"{requirement} cannot be installed: {error} {said.decode(errors='replace')[-300:]}") from error
    return str(found)


def circus(folder: str, names: list[str], check_delay_s: float | None) -> list[str]:
    """circusd looks for dead processes every `check_delay_s` (None: its default, 5 s)."""
    lines = ["[circus]", f"endpoint = ipc://{folder}/endpoint", f"pubsub_endpoint = ipc://{folder}/pubsub"]
    lines += ["statsd = False"]
    if check_delay_s is not None:
        lines += [f"check_delay = {check_delay_s}"]
    for name in names:
        lines += [f"[watcher:{name}]", f"cmd = {_script(folder, name)}", "max_retry = -1", "copy_env = True"]
        lines += ["warmup_delay = 0"]
    path = Path(folder) / "circus.ini"
    path.write_text("\n".join(lines) + "\n")
    return [program("circus"), str(path), "--log-level", "error"]


def supervisord(folder: str, names: list[str]) -> list[str]:
    lines = ["[supervisord]", "nodaemon = true", f"logfile = {folder}/log", f"pidfile = {folder}/pid"]
    for name in names:
        lines += [f"[program:{name}]", f"command = {_script(folder, name)}", "autorestart = true", "startsecs = 1"]
        lines += ["startretries = 100"]
    path = Path(folder) / "supervisord.conf"
    path.write_text("\n".join(lines) + "\n")
    return [program("supervisord"), "-c", str(path)]


def shell(folder: str, names: list[str]) -> list[str]:
    """What systemd does with RestartSec=0, without systemd."""
    loops = [f"( while :; do {_script(folder, name)}; done ) &" for name in names]
    return ["bash", "-c", "\n".join([*loops, "wait"])]


def python(function: str, *arguments: object) -> list[str]:
    """A peer that is a function of ours, in an interpreter of its own."""
    module, _, name = function.partition(":")
    return ["env", f"PYTHONPATH={HERE}", sys.executable, "-c", f"from {module} import {name}; {name}(*{arguments!r})"]


def watching_parent(method: str, folder: str, names: list[str], preload: bool = False) -> None:
    """multiprocessing by `method`, with a parent that restarts at once when a sentinel says so."""
    context = multiprocessing.get_context(method)
    if preload:
        context.set_forkserver_preload(["benchmarks.worker", "ccxt.pro", "numpy", "onnxruntime", "zmq"])
    living: dict[int, tuple[str, multiprocessing.process.BaseProcess]] = {}

    def start(name: str) -> None:
        process = context.Process(target=worker.serve, args=(folder, name))  # type: ignore[attr-defined]
        process.start()
        living[process.sentinel] = (name, process)

    for name in names:
        start(name)
    while True:
        for sentinel in wait(list(living)):
            name, process = living.pop(sentinel)  # type: ignore[arg-type]
            process.join()
            process.close()
            start(name)


@contextlib.contextmanager
def running(argv: list[str], log: Path) -> Iterator[int]:
    """The peer as a process group of its own (its pid); afterwards it and its workers are gone."""
    with log.open("wb") as out:
        peer = subprocess.Popen(
            argv,
            cwd=log.parent,  # not ours: supervisord would import our `supervisor` instead of its own
            env={**os.environ, **worker.ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            process_group=0,  # not a session: the kernel shares the CPU out by session
        )
    try:
        yield peer.pid
    finally:
        below = psutil.Process(peer.pid).children(recursive=True) if peer.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            os.killpg(peer.pid, signal.SIGKILL)
        for process in below:  # some peers give their workers groups of their own
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        peer.wait()


def pss_mib(pid: int) -> float:
    """Proportional memory of a process and all below it."""
    top = psutil.Process(pid)
    total = 0
    for process in [top, *top.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / 2**20


def _script(folder: str, name: str) -> str:
    """The worker's command line as one word, for configuration files that quote in ways of their own."""
    code = f"from benchmarks.worker import serve; serve({folder!r}, {name!r})"
    path = Path(folder) / f"start-{name}"
    words = ["env", f"PYTHONPATH={HERE}", sys.executable, "-c", code]
    path.write_text(f"#!/bin/sh\nexec {shlex.join(words)}\n")
    path.chmod(0o700)
    return str(path)


def _quietly(argv: list[str]) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
