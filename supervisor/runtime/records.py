"""What supervision said, kept: a ring for questions, a bounded file for the morning after, a frame for who listens.

Every record has a number `n`, so whoever asks again misses nothing that is still in the ring. Times leave the house as
seconds since the epoch; inside, everything is monotonic. Crash reports keep the whole traceback, the newest 200.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import msgspec

from supervisor.events import Supervision, SupervisionKind
from supervisor.evidence import record as evidence
from supervisor.runtime.log import Log
from supervisor.verdict import Verdict
from supervisor.words import ExitReason

KEPT = 1000
MAX_BYTES = 5_000_000
OLD_FILES = 3
CRASH_REPORTS = 200
ALARMING = frozenset(
    {
        SupervisionKind.EXITED,
        SupervisionKind.KILLING,
        SupervisionKind.QUARANTINED,
        SupervisionKind.EXHAUSTED,
        SupervisionKind.ESCALATED,
        SupervisionKind.HALT,
        SupervisionKind.GAVE_UP,
        SupervisionKind.ABORTED,
    }
)


class Records:
    """`publish` sends one map to whoever subscribed; it must not wait."""

    def __init__(self, home: Path, log: Log, publish: Callable[[dict[str, Any]], None]) -> None:
        self._home, self._log, self._publish = home, log, publish
        self._ring: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.said = 0  # records so far
        self.recorder: evidence.Recorder | None = None  # the evidence log, if one is written
        (home / "logs").mkdir(parents=True, exist_ok=True)
        self._file = RotatingFileHandler(home / "logs" / "events.jsonl", maxBytes=MAX_BYTES, backupCount=OLD_FILES)
        self._file.setFormatter(logging.Formatter("%(message)s"))

    def supervision(self, record: Supervision) -> None:
        """A record of the tree machine."""
        if self.recorder is not None:
            self.recorder.write(evidence.Happened(record=record))
        fields = {
            "kind": str(record.kind),
            "id": record.id,
            "path": record.path,
            "incarnation": record.incarnation,
            "at": wall(record.at),
            "sentence": record.sentence,
            "cause": str(record.cause),
            "detail": record.detail,
        }
        if record.exit is not None:
            fields["exit"] = exit_map(record.exit)
        if record.retry_at is not None:
            fields["retry_at"] = wall(record.retry_at)
        self.say(fields, warn=record.kind in ALARMING)

    def verdict(
        self, verdict: Verdict, path: str, incarnation: int, now: float, *, done: str = "", outcome: str = ""
    ) -> None:
        """A verdict that changed, an action on one, or why nothing is done (`outcome`)."""
        if self.recorder is not None:
            self.recorder.write(
                evidence.Acted(at=now, name=verdict.name, incarnation=incarnation, verdict=verdict, done=done)
            )
        sentence = f"{verdict.name} is {verdict.kind}{f' ({verdict.cause})' if verdict.cause else ''}: {verdict.reason}"
        self.say(
            {
                "kind": "verdict",
                "id": verdict.name,
                "path": path,
                "incarnation": incarnation,
                "at": wall(now),
                "sentence": sentence + (f"; {done or outcome}" if done or outcome else ""),
                "cause": verdict.cause,
                "verdict": str(verdict.kind),
                "evidence_for": list(verdict.evidence_for),
                "evidence_against": list(verdict.evidence_against),
                "action": done or str(verdict.action),
                "done": done,
                "rule": verdict.rule,
                "withheld": verdict.withheld,
            },
            warn=bool(done),
        )

    def say(self, fields: dict[str, Any], *, warn: bool = False) -> None:
        """Number, keep, publish and log one map with at least `kind`, `id`, `at` and `sentence`."""
        self.said += 1
        record = {"n": self.said, **fields}
        self._ring.append(record)
        line = json.dumps(record, default=str)
        self._file.emit(logging.LogRecord("events", logging.INFO, "", 0, "%s", (line,), None))
        self._publish(record)
        (self._log.warning if warn else self._log.info)(record["sentence"], kind=record["kind"])

    def after(self, n: int) -> list[dict[str, Any]]:
        """Everything newer than `n` that is still in the ring, oldest first."""
        return [record for record in self._ring if record["n"] > n]

    def about(self, id: str, most: int = 20) -> list[dict[str, Any]]:
        """The newest records about one unit, oldest first."""
        return [record for record in self._ring if record["id"] == id][-most:]

    def crash_report(self, name: str, incarnation: int, reason: ExitReason, stacks: str = "") -> None:
        """Write `reports/crash-<name>-<incarnation>.json` and forget the oldest beyond 200."""
        if reason.crash is None and not stacks:
            return
        folder = self._home / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        report = {"schema": 1, "name": name, "incarnation": incarnation, "at": time.time(), **exit_map(reason)}
        if stacks:
            report["stacks"] = stacks
        path = folder / f"crash-{name.replace(':', '_')}-{incarnation}.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
        files = sorted(folder.glob("crash-*.json"), key=lambda file: file.stat().st_mtime)
        for old in files[:-CRASH_REPORTS]:
            old.unlink(missing_ok=True)

    def close(self) -> None:
        self._file.close()
        if self.recorder is not None:
            self.recorder.close()


def exit_map(reason: ExitReason) -> dict[str, Any]:
    """An exit reason for people and scripts: its sentence first, the traceback with the crash."""
    fields: dict[str, Any] = msgspec.to_builtins(reason)
    return {"sentence": reason.sentence(), **{key: value for key, value in fields.items() if value is not None}}


def wall(monotonic: float) -> float:
    """A moment of CLOCK_MONOTONIC as seconds since the epoch, by the clocks of now."""
    return time.time() + monotonic - time.monotonic()
