"""Writes down what a person should know: `logs/alerts.jsonl`, one JSON object per line, newest last.

One line per severity and subject and minute; what is left out in between is counted in the next line ("suppressed"), or
in a line of its own when the minute passes without one. The file turns over to `alerts.jsonl.1` at 5 MB. It sends
nothing anywhere.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from actors.messages.control import Alert, SecondPassed
from supervisor.actor import Actor
from supervisor.message import Message

QUIET_S = 60.0
MAX_BYTES = 5_000_000
MAX_SUBJECTS = 1_000
MAX_TEXT = 2_000


class _Subject:
    """What was said about one severity and subject within its minute."""

    def __init__(self, until: float, alert: Alert) -> None:
        self.until = until
        self.alert = alert
        self.suppressed = 0


class Alerts(Actor):
    """Child `alerts`."""

    subscribes = (Alert,)

    def init(self, home: str) -> None:
        self._path = Path(home) / "logs" / "alerts.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._subjects: OrderedDict[tuple[str, str], _Subject] = OrderedDict()
        self.ctx.after(1.0, SecondPassed())

    def handle(self, message: Message) -> None:
        match message:
            case Alert():
                self._take(message)
                self.ctx.progress("alert")
            case SecondPassed():
                self.ctx.after(1.0, SecondPassed())
                self._let_pass()

    def terminate(self, reason: str) -> None:
        for subject in self._subjects.values():
            if subject.suppressed:
                self._append(_line(subject.alert, subject.suppressed))

    def _take(self, alert: Alert) -> None:
        key = (alert.severity, alert.subject)
        now = self.ctx.monotonic()
        known = self._subjects.get(key)
        if known is not None and now < known.until:
            known.suppressed += 1
            known.alert = alert
            return
        suppressed = known.suppressed if known is not None else 0
        self._subjects[key] = _Subject(now + QUIET_S, alert)
        self._subjects.move_to_end(key)
        self.ctx.call(self._append, _line(alert, suppressed))
        if len(self._subjects) > MAX_SUBJECTS:
            self._forget(*self._subjects.popitem(last=False))

    def _let_pass(self) -> None:
        now = self.ctx.monotonic()
        while self._subjects:
            key = next(iter(self._subjects))
            if now < self._subjects[key].until:
                return
            self._forget(key, self._subjects.pop(key))

    def _forget(self, key: tuple[str, str], subject: _Subject) -> None:
        if subject.suppressed:
            self.ctx.call(self._append, _line(subject.alert, subject.suppressed))

    def _append(self, line: bytes) -> None:
        """After the commit. A log that cannot be written ends the actor, which the tree then shows."""
        if self._path.exists() and self._path.stat().st_size + len(line) > MAX_BYTES:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        with self._path.open("ab") as file:
            file.write(line)


def _line(alert: Alert, suppressed: int) -> bytes:
    text = alert.text if len(alert.text) <= MAX_TEXT else alert.text[:MAX_TEXT] + " …"
    document: dict[str, Any] = {
        "at": datetime.fromtimestamp(alert.at_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        "severity": alert.severity,
        "subject": alert.subject,
        "text": text,
    }
    if suppressed:
        document["suppressed"] = suppressed
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"
