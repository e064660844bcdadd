"""The evidence log: what comes out is what went in, and folding it again gives what the judge saw."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.evidence import record
from supervisor.verdict import ActorSample, Evidence, History, Look, Observer, judge
from supervisor.words import ExitKind, ExitReason, State


def story(ticks: list[float], path: Path) -> list[tuple[Evidence, object]]:
    """A root's life as a log: a look and a judgement per tick, each so much later than the last one."""
    recorder = record.Recorder(path, ("a",))
    observer, history, due, told = Observer(), History(), 100.0, []
    for n, late_s in enumerate(ticks):
        now = due + late_s
        observer = observer.tick(due, now)
        look = Look(at=now, incarnation=1, actors=(ActorSample(name="a", loops=n // 3, handled=n // 5),))
        history = history.add(look)
        evidence = Evidence(name="a", state=State.READY, incarnation=1, history=history, observer=observer)
        verdict = judge(evidence, now)
        recorder.write(record.Tick(due=due, now=now))
        recorder.write(record.Looked(name="a", look=look))
        recorder.judged(now, evidence, verdict)
        told.append((evidence, verdict))
        due = now + 0.1
    recorder.close()
    return told


@given(st.lists(st.floats(0, 2), min_size=1, max_size=30))
@settings(max_examples=30)
def test_folded_again_the_log_is_what_the_judge_saw(
    tmp_path_factory: pytest.TempPathFactory, late: list[float]
) -> None:
    path = tmp_path_factory.mktemp("log") / "evidence"
    told = story(late, path)

    moments = list(record.rebuild(record.read(path)))

    assert [(moment.evidence, moment.verdict) for moment in moments] == told
    assert [moment.tick for moment in moments] == list(range(1, len(late) + 1))
    assert all(judge(moment.evidence, moment.at) == moment.verdict for moment in moments)


def test_a_log_cut_off_by_a_kill_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    story([0.0, 0.0, 0.0], tmp_path / "log")
    whole = (tmp_path / "log").read_bytes()

    for end in range(4, len(whole), 97):
        (tmp_path / "cut").write_bytes(whole[:end])
        frames = list(record.read(tmp_path / "cut"))
        assert all(isinstance(frame, record.Frame) for frame in frames)
    assert len(list(record.read(tmp_path / "log"))) == 10


@pytest.mark.parametrize("content", [b"plain text, and more of it", b"\3\0\0\0abc", b"\1\0\0\0\x80"])
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)

    with pytest.raises(ValueError, match="no evidence log"):
        list(record.read(tmp_path / "log"))


def test_a_log_ends_at_its_bound_and_says_so(tmp_path: Path) -> None:
    recorder = record.Recorder(tmp_path / "log", (), most=2000)
    reason = ExitReason(kind=ExitKind.CRASHED, code=1)
    for n in range(100):
        recorder.write(record.Exited(at=float(n), name="a", incarnation=n, reason=reason))
    recorder.close()

    frames = list(record.read(tmp_path / "log"))

    assert isinstance(frames[-1], record.Full)
    assert (tmp_path / "log").stat().st_size <= 2000
    assert "bound" in recorder.fault
    assert msgspec.structs.asdict(frames[1])["name"] == "a"  # type: ignore[arg-type]
