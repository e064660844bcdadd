"""The alert log: one line per cause and minute, nothing uncounted, a bounded file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from actors.alerts import MAX_BYTES, MAX_SUBJECTS, MAX_TEXT, QUIET_S, Alerts
from actors.messages.control import Alert, SecondPassed
from tests.actors.recorded import RecordedContext, give, start


def alert(text: str = "it broke", subject: str = "feed", severity: str = "warning") -> Alert:
    return Alert(severity=severity, subject=subject, text=text, at_ns=1_700_000_000_000_000_000)


def started(home: Path) -> tuple[Alerts, RecordedContext]:
    actor, ctx = Alerts(), RecordedContext("alerts")
    ctx.stopped_at = 1000.0
    start(actor, ctx, home=str(home))
    return actor, ctx


def lines(home: Path) -> list[dict[str, Any]]:
    path = home / "logs" / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def test_an_alert_is_a_line_that_a_person_and_a_script_can_read(tmp_path: Path) -> None:
    actor, ctx = started(tmp_path)
    give(actor, ctx, alert("größer\nals"))
    assert lines(tmp_path) == [
        {"at": "2023-11-14T22:13:20.000+00:00", "severity": "warning", "subject": "feed", "text": "größer\nals"}
    ]


def test_the_same_cause_is_one_line_a_minute_and_the_next_line_counts_the_others(tmp_path: Path) -> None:
    actor, ctx = started(tmp_path)
    give(actor, ctx, *[alert(f"number {n}") for n in range(5)])
    give(actor, ctx, alert(subject="gate"), alert(severity="critical"))
    assert [line["text"] for line in lines(tmp_path)] == ["number 0", "it broke", "it broke"]
    ctx.offset_s = QUIET_S
    give(actor, ctx, alert("again"))
    assert lines(tmp_path)[-1] | {"at": ""} == {
        "at": "", "severity": "warning", "subject": "feed", "text": "again", "suppressed": 4,
    }  # fmt: skip


def test_what_was_left_out_is_told_when_the_minute_passes_without_another_one(tmp_path: Path) -> None:
    actor, ctx = started(tmp_path)
    give(actor, ctx, alert("first"), alert("second"), SecondPassed())
    assert len(lines(tmp_path)) == 1
    ctx.offset_s = QUIET_S
    give(actor, ctx, SecondPassed())
    assert [(line["text"], line.get("suppressed")) for line in lines(tmp_path)] == [("first", None), ("second", 1)]
    ctx.offset_s = 2 * QUIET_S
    give(actor, ctx, SecondPassed())
    assert len(lines(tmp_path)) == 2


def test_a_stop_tells_what_was_left_out(tmp_path: Path) -> None:
    actor, ctx = started(tmp_path)
    give(actor, ctx, alert("first"), alert("second"))
    actor.terminate("asked")
    assert lines(tmp_path)[-1]["suppressed"] == 1


def test_a_full_file_turns_over_once_and_no_line_is_torn(tmp_path: Path) -> None:
    actor, ctx = started(tmp_path)
    path = tmp_path / "logs" / "alerts.jsonl"
    path.write_bytes(b'{"old": true}\n' * (MAX_BYTES // 14))
    (tmp_path / "logs" / "alerts.jsonl.1").write_text("older")
    give(actor, ctx, alert("new"))
    assert [line["text"] for line in lines(tmp_path)] == ["new"]
    assert (tmp_path / "logs" / "alerts.jsonl.1").read_text().startswith('{"old": true}\n')


def test_a_flood_of_subjects_and_a_text_without_end_stay_within_bounds(tmp_path: Path) -> None:
    actor, ctx = started(tmp_path)
    give(actor, ctx, alert("x" * 100_000))
    assert len(lines(tmp_path)[0]["text"]) <= MAX_TEXT + 2
    give(actor, ctx, *[alert(subject=f"s{n}") for n in range(MAX_SUBJECTS + 10)])
    assert len(actor._subjects) == MAX_SUBJECTS
    assert len(lines(tmp_path)) == MAX_SUBJECTS + 11
