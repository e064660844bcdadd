"""The worker that every contestant of restart.py restarts: heavy imports, the four shipped models, two sockets.

It hears questions on a SUB socket, runs the models once for each, and speaks the answer on a PUB socket that it binds.
Nothing of `supervisor` is imported here: a peer pays for its own work only.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
ENSEMBLE = Path(__file__).parent.parent / "models_onnx" / "ensemble.onnx"
ASK_EVERY_S = 0.001
RECONNECT_MS = 5  # what the product's bus says; ZeroMQ's own 100 ms would hide every difference between the contestants
FORSAKEN_S = 30.0
_made: list[Any] = []


def imports() -> None:
    """What a venue's or a model's node imports, the dearest first."""
    import ccxt.pro  # noqa: F401
    import numpy  # noqa: F401
    import onnxruntime  # noqa: F401
    import zmq  # noqa: F401


def prepare() -> None:
    """For a zygote: the session, made before the fork."""
    imports()
    _made.append(Models())


class Models:
    """The merged graph of the four shipped models in a session that owns no thread."""

    def __init__(self) -> None:
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(ENSEMBLE), options, providers=["CPUExecutionProvider"])
        self._inputs = {
            port.name: numpy.zeros([1, *port.shape[1:]], dtype=numpy.float32) for port in self._session.get_inputs()
        }

    def run(self) -> list[Any]:
        return list(self._session.run(None, self._inputs))


def models() -> Models:
    """Inherited from before the fork, or made now."""
    return _made.pop() if _made else Models()


def serve(folder: str, name: str) -> None:
    """Answer questions for as long as anybody asks; each answer is the pid."""
    imports()
    import zmq

    session = models()
    context = zmq.Context()
    voice = context.socket(zmq.PUB)
    voice.bind(f"ipc://{folder}/{name}")
    ear = context.socket(zmq.SUB)
    ear.set(zmq.RECONNECT_IVL, RECONNECT_MS)
    ear.set(zmq.RCVTIMEO, int(FORSAKEN_S * 1000))
    ear.subscribe(b"")
    ear.connect(f"ipc://{folder}/asker")
    answer = b"%d" % os.getpid()
    while True:
        try:
            ear.recv()
        except zmq.Again:
            sys.exit(0)  # the benchmark is gone
        session.run()
        voice.send(answer)


class Asker:
    """The bare consumer, in the benchmark's own process: asks every millisecond and waits for a new pid."""

    def __init__(self, folder: str, names: list[str]) -> None:
        import zmq

        self._context = zmq.Context()
        self._voice = self._context.socket(zmq.PUB)
        self._voice.bind(f"ipc://{folder}/asker")
        self._ear = self._context.socket(zmq.SUB)
        self._ear.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._ear.subscribe(b"")
        for name in names:
            self._ear.connect(f"ipc://{folder}/{name}")
        self._again = zmq.Again
        self.pids: set[int] = set()

    def news(self, timeout_s: float, *, lost: int = 0) -> tuple[int, int]:
        """(pid, time in ns) of the first answer of a process that never answered before.

        Raises:
            TimeoutError: nobody new answered.
        """
        self.pids.discard(lost)
        old = self.pids | {lost}
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self._voice.send(b"?")
            if self._ear.poll(int(ASK_EVERY_S * 1000)):
                pid = int(self._ear.recv())
                if pid not in old:
                    at = time.monotonic_ns()
                    self.pids.add(pid)
                    return pid, at
        raise TimeoutError(f"nobody new answered within {timeout_s:g} s")

    def rest(self, seconds: float) -> None:
        """Go on asking, as a consumer does between two kills."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._voice.send(b"?")
            if self._ear.poll(int(ASK_EVERY_S * 1000)):
                self._ear.recv()

    def close(self) -> None:
        self._context.destroy(linger=0)


def bare(folder: str, name: str, inherit: bool) -> None:
    """The limit: a warm process that forks a worker, waits for its death, and forks the next. Nothing else."""
    import gc

    imports()
    if inherit:
        prepare()
    gc.collect()
    gc.freeze()
    while True:
        made = list(_made)
        pid = os.fork()
        if pid == 0:
            _made[:] = made
            serve(folder, name)
        os.waitpid(pid, 0)
