"""`qt vitals`: the dials every actor turns, read from shared memory: works on a wedged server, too."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ops import render
from supervisor.evidence import vitals
from supervisor.evidence.tables import DependencyVitals, PromiseVitals
from supervisor.terminal import CANNOT_TELL, NOT_READY, OK, Refusal, age


def run(home: Path, name: str | None, output: str) -> int:
    folder = home / "vitals"
    pages = sorted(folder.glob("*.page"))
    if not pages:
        raise Refusal(NOT_READY, f"no vitals in {folder}; no server ever ran there")
    if name is not None:
        pages = [page for page in pages if page.name == vitals.file_name(name)]
    readings: list[vitals.ActorVitals] = []
    promises: list[PromiseVitals] = []
    depends: list[DependencyVitals] = []
    for page in pages:
        reader = vitals.Reader(page)
        readings += reader.read()
        promises += reader.promises()
        depends += reader.dependencies()
    if not readings:
        raise Refusal(CANNOT_TELL, f"no node is called {name!r}; qt status lists them")
    if output == "json":
        found = {"actors": readings, "promises": promises, "dependencies": depends}
        print(json.dumps({"schema": 1, **{what: msgspec.to_builtins(told) for what, told in found.items()}}))
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
        "REPEATS",
        "OLDEST",
        "PROGRESS",
        "READY",
        "LEASE",
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
            f"{since(reading.in_hand_since_ns)} {reading.in_hand}".rstrip(),
            reading.repeats,
            since(reading.oldest_queued_ns),
            since(reading.last_progress_ns),
            since(reading.ready_ns),
            f"{age((reading.lease_until_ns - now) / 1e9)} {reading.lease_why}".rstrip()
            if reading.lease_until_ns > now
            else "-",
        ]
        for reading in readings
    ]
    print(render.columns(head, rows))
    if promises:
        print(
            render.columns(
                ["PROMISE OF", "TOPIC", "LAST", "COUNT", "CHANGED", "INPUTS SINCE"], _promised(promises, since)
            )
        )
    if depends:
        head = ["CALLS OF", "DEPENDENCY", "OK", "LAST OK", "FAILED", "LAST FAILED", "IN A ROW", "LOOKS LIKE"]
        print(render.columns(head, _called(depends, since)))
    return OK


def _promised(told: list[PromiseVitals], since: Callable[[int], str]) -> list[list[object]]:
    rows: list[list[object]] = []
    for one in told:
        inputs = one.inputs - one.inputs_then if one.input_at_ns else "-"
        rows.append([one.actor, one.what, since(one.at_ns), one.count, since(one.changed_at_ns), inputs])
    return rows


def _called(told: list[DependencyVitals], since: Callable[[int], str]) -> list[list[object]]:
    rows: list[list[object]] = []
    for one in told:
        ok, failed = [one.ok, since(one.ok_at_ns)], [one.failed, since(one.failed_at_ns), one.in_a_row]
        rows.append([one.actor, one.name, *ok, *failed, one.error or "-"])
    return rows


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
