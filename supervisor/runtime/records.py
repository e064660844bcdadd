"""What supervision said, kept: a ring for questions, a bounded file for the morning after, a frame for who listens.

Every record has a number `n`, so whoever asks again misses nothing that is still in the ring. Times leave the house as
seconds since the epoch; inside, everything is monotonic. Crash reports keep the whole traceback, the newest 200.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from supervisor.events import Supervision, SupervisionKind
from supervisor.evidence import crash
from supervisor.evidence import record as evidence
from supervisor.moves import ChildView
from supervisor.policy.exits import NATIVE
from supervisor.runtime.log import Log
from supervisor.verdict import Action, Verdict
from supervisor.verdict.flow import Broken
from supervisor.words import ExitReason, VerdictKind

if TYPE_CHECKING:
    from supervisor.runtime.witness import Seen

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

TOLD = frozenset({Action.ALERT, Action.STRIP_CHECK, Action.PARK})  # nothing else is done: a person has to know
GRAVE = frozenset({VerdictKind.HUNG, VerdictKind.CRASH_LOOP})
UNSURE_S = 60.0
Find = Callable[[str], ChildView | None]


class Records:
    """`publish` sends one map to whoever subscribed; it must not wait."""

    def __init__(self, home: Path, log: Log, publish: Callable[[dict[str, Any]], None]) -> None:
        self._home, self._log, self._publish = home, log, publish
        self._ring: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.said = 0  # records so far
        self._unsure: set[str] = set()  # of whom a person was told that nobody knows
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
        self,
        verdict: Verdict,
        path: str,
        incarnation: int,
        now: float,
        *,
        done: str = "",
        outcome: str = "",
        warn: bool = False,
    ) -> None:
        """A verdict that changed, an action on one, or why nothing is done (`outcome`). Said once per change, so what a
        person is to hear of goes to stderr as well."""
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
            warn=warn or bool(done) or verdict.action in TOLD or verdict.kind in GRAVE,
        )

    def unsure(self, seen: Mapping[str, Seen], now: float, time_scale: float, find: Find) -> None:
        """Nobody acts on an UNSURE, so one that stands for long is said again, once, to a person."""
        stands = {
            name: one.verdict
            for name, one in seen.items()
            if one.verdict is not None
            and one.verdict.kind is VerdictKind.UNSURE
            and now - one.verdict.since >= UNSURE_S * time_scale
        }
        self._unsure &= stands.keys()
        for name in stands.keys() - self._unsure:
            self._unsure.add(name)
            verdict, view = stands[name], find(name)
            path, incarnation = (view.path, view.incarnation) if view is not None else (name, 0)
            outcome = f"so for {now - verdict.since:.0f} s now, a person is told"
            self.verdict(verdict, path, incarnation, now, outcome=outcome, warn=True)

    def flow(self, broken: Broken, over: str, view: ChildView | None, now: float) -> None:
        """A link of a declared chain was found broken, or is not any more (`over` says why)."""
        how = f"{broken.name} is no longer {broken.way}: {over}" if over else f"{broken.reason} ({broken.way})"
        self.say(
            {
                "kind": "flow",
                "id": broken.name,
                "path": view.path if view is not None else broken.name,
                "incarnation": view.incarnation if view is not None else 0,
                "at": wall(now),
                "sentence": how,
                "cause": str(broken.way),
                "detail": over or broken.reason,
                "over": bool(over),
            },
            warn=not over,
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

    def crash_report(
        self, name: str, incarnation: int, reason: ExitReason, stacks: str = "", roots: Sequence[Path] = ()
    ) -> None:
        """Write `reports/crash-<name>-<incarnation>.json` and forget the oldest beyond 200. `roots` hold our own code:
        one whose native code died says no word, but the dump of its last moment names the frame."""
        if reason.crash is None and reason.signal in NATIVE:
            path = self._home / "logs" / f"{name.replace(':', '_')}.stacks"
            reason = msgspec.structs.replace(reason, crash=crash.fatal(path, roots=roots))
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
