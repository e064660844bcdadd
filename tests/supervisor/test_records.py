"""What supervision said, kept and told: which records a person is to see at once."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.evidence import crash
from supervisor.runtime.records import Records
from supervisor.runtime.witness import Seen
from supervisor.verdict import Action, Verdict
from supervisor.verdict.flow import Broken, Way
from supervisor.words import ExitKind, ExitReason, VerdictKind

Say = tuple[str, str]


class Heard:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.said: list[Say] = []

    def warning(self, sentence: str, **_: Any) -> None:
        self.said.append(("warning", sentence))

    def info(self, sentence: str, **_: Any) -> None:
        self.said.append(("info", sentence))


@pytest.fixture
def log() -> Heard:
    return Heard()


@pytest.fixture
def records(tmp_path: Path, log: Heard) -> Records:
    return Records(tmp_path, cast("Any", log), lambda _: None)


def verdict(kind: VerdictKind, action: Action = Action.NONE, since: float = 90.0) -> Verdict:
    return Verdict(name="a", kind=kind, reason="so", since=since, cause_since=since, action=action, next_review=101.0)


@pytest.mark.parametrize(
    ("told", "level"),
    [
        (verdict(VerdictKind.DEGRADED, Action.ALERT), "warning"),
        (verdict(VerdictKind.CHECK_FAULT, Action.STRIP_CHECK), "warning"),
        (verdict(VerdictKind.CRASHED, Action.PARK), "warning"),
        (verdict(VerdictKind.HUNG), "warning"),
        (verdict(VerdictKind.CRASH_LOOP), "warning"),
        (verdict(VerdictKind.UPSTREAM, Action.GATE), "info"),
        (verdict(VerdictKind.BUSY), "info"),
        (verdict(VerdictKind.HEALTHY), "info"),
        (verdict(VerdictKind.UNSURE), "info"),
    ],
)
def test_where_a_person_is_told_that_is_what_happens(records: Records, log: Heard, told: Verdict, level: str) -> None:
    records.verdict(told, "root/a", 1, 100.0)

    assert [one for one, _ in log.said] == [level]


def test_an_unsure_that_stands_is_said_again_once_to_a_person(records: Records, log: Heard) -> None:
    def look(now: float, *verdicts: Verdict) -> list[Say]:
        log.said.clear()
        seen = {str(number): cast("Seen", SimpleNamespace(verdict=one)) for number, one in enumerate(verdicts)}
        records.unsure(seen, now, 0.5, lambda _: None)
        return log.said

    doubt = verdict(VerdictKind.UNSURE, since=100.0)
    assert look(129.0, doubt, verdict(VerdictKind.HUNG, since=0.0)) == []
    assert look(130.0, doubt) == [("warning", "a is UNSURE: so; so for 30 s now, a person is told")]
    assert look(131.0, doubt) == []
    assert look(132.0, verdict(VerdictKind.HEALTHY)) == []
    assert look(170.0, verdict(VerdictKind.UNSURE, since=133.0))[0][0] == "warning"  # another one


def test_a_broken_flow_and_its_end_are_records_with_way_and_reason(records: Records, log: Heard) -> None:
    hole = Broken("brain", Way.BLACK_HOLE, "brain took 90 messages in 10 s and gave none")

    records.flow(hole, "", None, 100.0)
    records.flow(hole, "it passes on again what it is given", None, 110.0)

    begun, over = records.about("brain")
    assert (begun["kind"], begun["cause"], begun["detail"], begun["over"]) == (
        "flow",
        "black-hole",
        "brain took 90 messages in 10 s and gave none",
        False,
    )
    assert (over["cause"], over["over"]) == ("black-hole", True)
    assert log.said == [
        ("warning", "brain took 90 messages in 10 s and gave none (black-hole)"),
        ("info", "brain is no longer black-hole: it passes on again what it is given"),
    ]


@pytest.mark.parametrize("signal", [6, 11])
def test_the_report_on_a_death_in_native_code_tells_its_stacks(records: Records, tmp_path: Path, signal: int) -> None:
    stacks = f'{crash.FATAL}Aborted\n\nCurrent thread 0x1 (most recent call first):\n  File "/x/a.py", line 7 in f\n'
    (tmp_path / "logs" / "feed_x.stacks").write_text(stacks)

    records.crash_report("feed:x", 3, ExitReason(kind=ExitKind.CRASHED, signal=signal))

    report = json.loads((tmp_path / "reports" / "crash-feed_x-3.json").read_text())
    assert report["signal"] == signal
    assert (report["crash"]["frame"], report["crash"]["location"]) == ("a:f", "a.py:7")
    assert report["crash"]["traceback"] == stacks


def test_a_death_from_outside_has_no_last_words_whatever_an_old_dump_says(records: Records, tmp_path: Path) -> None:
    (tmp_path / "logs" / "feed.stacks").write_text(f"{crash.FATAL}Aborted\n")

    records.crash_report("feed", 3, ExitReason(kind=ExitKind.KILLED, signal=9))

    assert not (tmp_path / "reports").exists()
