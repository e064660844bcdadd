"""From SIGKILL until a consumer has handled the replacement's first message, against a bare warm fork of the same role.

Raw: a pre-imported process that forks a child, waits for its death and forks again; the child makes a context and a PUB
socket and speaks; a bare SUB hears it. Ours: the real root, zygote, two nodes, vitals, locks and verdicts. Both sides
import the same modules and speak every millisecond.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq

from actors.messages.control import SecondPassed
from benchmarks.pairs import report
from supervisor.actor import Actor
from supervisor.message import Message
from supervisor.plan import Draft
from supervisor.runtime import bus
from supervisor.spec import ChildSpec, SupervisorSpec, ZygoteSpec, child, supervise
from supervisor.words import Strategy

ROLES = {
    "core": ZygoteSpec(role="core", imports=("supervisor.runtime.node", "benchmarks.recovery", "numpy")),
    "model": ZygoteSpec(
        role="model",
        imports=("supervisor.runtime.node", "benchmarks.recovery", "actors.ai_engine"),
        prepare="models_onnx.predictor:prepare",
    ),
    "venue": ZygoteSpec(role="venue", imports=("supervisor.runtime.node", "benchmarks.recovery", "ccxt.pro")),
}
KILLS = 12
GATE = 3.0
EVERY_S = 0.001
ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
fork = multiprocessing.get_context("fork")


class Beat(Message, frozen=True, kw_only=True):
    n: int


class Speaker(Actor):
    """Says Beat every millisecond."""

    publishes = (Beat,)

    def init(self) -> None:
        self.n = 0
        self.ctx.publish(Beat(n=0))
        self.ctx.after(EVERY_S, SecondPassed())

    def handle(self, message: Message) -> None:
        self.n += 1
        self.ctx.publish(Beat(n=self.n))
        self.ctx.progress("beat")
        self.ctx.after(EVERY_S, SecondPassed())


class Hearer(Actor):
    """Notes when it handled the first Beat of each incarnation."""

    subscribes = (Beat,)

    def init(self, folder: str) -> None:
        self.folder = folder
        self.seen = 0

    def handle(self, message: Message) -> None:
        incarnation = self.ctx.envelope().incarnation
        if incarnation > self.seen:
            at = time.monotonic_ns()
            self.seen = incarnation
            note(self.folder, incarnation, at)


def note(folder: str, incarnation: int, at_ns: int) -> None:
    path = Path(folder) / str(incarnation)
    path.with_suffix(".new").write_text(str(at_ns))
    path.with_suffix(".new").rename(path)


def noted(folder: str, incarnation: int) -> int:
    path = Path(folder) / str(incarnation)
    deadline = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing heard of incarnation {incarnation}")
        time.sleep(0.001)
    return int(path.read_text())


def build(home: str, role: str) -> Draft:
    """The two nodes of our side, for the scratch process."""
    children: list[ChildSpec | SupervisorSpec] = [
        child("hearer", "benchmarks.recovery:Hearer", role="core", folder=str(Path(home) / "notes")),
        child("speaker", "benchmarks.recovery:Speaker", role=role),
    ]
    return Draft(
        tree=supervise("root", Strategy.ONE_FOR_ONE, [supervise("bench", Strategy.ONE_FOR_ONE, children)]),
        zygotes=tuple({ROLES["core"], ROLES[role]}),
        environment=ENVIRONMENT,
    )


def ours(role: str) -> list[float]:
    """Milliseconds, one per kill."""
    home = Path(tempfile.mkdtemp(prefix="qtb-"))
    (home / "notes").mkdir()
    arguments = json.dumps({"home": str(home), "role": role})
    scratch = [sys.executable, "-m", "supervisor.runtime.scratch", "--home", str(home), "--build"]
    environment = {**os.environ, **ENVIRONMENT}
    subprocess.run(
        [*scratch, "benchmarks.recovery:build", "--arguments", arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )
    root = subprocess.Popen([sys.executable, "-m", "supervisor.runtime.root", "--home", str(home)], env=environment)
    times = []
    try:
        noted(str(home / "notes"), 1)
        for incarnation in range(1, KILLS + 1):
            time.sleep(0.3)
            pid = int((home / "run" / "speaker.lock").read_text())
            at = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            times.append((noted(str(home / "notes"), incarnation + 1) - at) / 1e6)
    finally:
        root.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            root.wait(10)
        root.kill()
        sockets = (home / "run" / "sockets").read_text().strip()
        shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
    return times


def raw_zygote(folder: str, role: str, pids: Any) -> None:
    import importlib

    from supervisor.loading import load

    spec = ROLES[role]
    for module in spec.imports:
        importlib.import_module(module)
    if spec.prepare:
        load(spec.prepare)()
    gc.collect()
    gc.freeze()
    incarnation = 0
    while True:
        incarnation += 1
        pid = os.fork()
        if pid == 0:
            context = zmq.Context()
            socket = context.socket(zmq.PUB)
            socket.bind(f"ipc://{folder}/raw")
            while True:
                socket.send(b"%d" % incarnation)
                time.sleep(EVERY_S)
        pids.send(pid)
        os.waitpid(pid, 0)


def raw_hearer(folder: str) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RECONNECT_IVL, bus.RECONNECT_FIRST_MS)
    socket.subscribe(b"")
    socket.connect(f"ipc://{folder}/raw")
    seen = 0
    while True:
        incarnation = int(socket.recv())
        if incarnation > seen:
            at = time.monotonic_ns()
            seen = incarnation
            note(folder, incarnation, at)


def raw(role: str) -> list[float]:
    """The same on bare forks."""
    folder = tempfile.mkdtemp(prefix="qtb-")
    mine, theirs = fork.Pipe()
    hearer = fork.Process(target=raw_hearer, args=(folder,), daemon=True)
    hearer.start()
    program = (
        "import sys; from multiprocessing.connection import Connection\n"
        "from benchmarks.recovery import raw_zygote\n"
        f"raw_zygote({folder!r}, {role!r}, Connection({theirs.fileno()}))"
    )
    zygote = subprocess.Popen(
        [sys.executable, "-c", program], pass_fds=(theirs.fileno(),), env={**os.environ, **ENVIRONMENT}
    )
    times = []
    pid = mine.recv()
    try:
        noted(folder, 1)
        for incarnation in range(1, KILLS + 1):
            time.sleep(0.3)
            at = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            pid = mine.recv()
            times.append((noted(folder, incarnation + 1) - at) / 1e6)
    finally:
        zygote.kill()
        zygote.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        hearer.kill()
        shutil.rmtree(folder, ignore_errors=True)
    return times


def main() -> int:
    held = True
    for role in ROLES:
        bare, real = statistics.median(raw(role)), statistics.median(ours(role))
        held &= report(
            f"recovery of a {role} node", real / bare, GATE, at_least=False, raw_ms=bare, ours_ms=real, kills=KILLS
        )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
