"""`qt vitals`: the dials every actor turns, read from shared memory: works on a wedged server, too."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec

from ops import render
from supervisor.evidence import vitals
from supervisor.terminal import CANNOT_TELL, NOT_READY, OK, Refusal, age


def run(home: Path, name: str | None, output: str) -> int:
    folder = home / "vitals"
    pages = sorted(folder.glob("*.page"))
    if not pages:
        raise Refusal(NOT_READY, f"no vitals in {folder}; no server ever ran there")
    if name is not None:
        pages = [page for page in pages if page.name == vitals.file_name(name)]
    readings = [reading for page in pages for reading in vitals.read(page)]
    if not readings:
        raise Refusal(CANNOT_TELL, f"no node is called {name!r}; qt status lists them")
    if output == "json":
        print(json.dumps({"schema": 1, "actors": [msgspec.to_builtins(reading) for reading in readings]}))
        return OK
    now = time.monotonic_ns()

    def since(at_ns: int) -> str:
        return age((now - at_ns) / 1e9) if at_ns else "-"

    head = [
        "ACTOR",
        "PID",
        "INC",
        "LOOPS",
        "HANDLED",
        "OUT",
        "DROPPED",
        "QUEUED",
        "IN HAND",
        "OLDEST",
        "PROGRESS",
        "READY",
    ]
    rows = [
        [
            reading.actor,
            reading.pid if _alive(reading.pid) else f"{reading.pid} (gone)",
            reading.incarnation,
            reading.loops,
            reading.handled,
            reading.out,
            reading.dropped,
            reading.queued,
            since(reading.in_hand_since_ns),
            since(reading.oldest_queued_ns),
            since(reading.last_progress_ns),
            since(reading.ready_ns),
        ]
        for reading in readings
    ]
    print(render.columns(head, rows))
    return OK


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
