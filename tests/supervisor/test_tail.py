"""Reading the file of events while it is written: nothing is lost to a half-written line or to a rotation."""

from __future__ import annotations

import json
from pathlib import Path

from supervisor.runtime.tail import Tail, sentence


def record(n: int) -> str:
    return json.dumps({"n": n, "at": 0.25, "sentence": f"sentence {n}"}) + "\n"


def numbers(tail: Tail) -> list[int]:
    return [record["n"] for record in tail.read()]


def test_a_line_is_read_when_it_is_whole_and_one_that_is_no_record_is_left_out(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert numbers(tail) == []  # no file yet
    path = tmp_path / "logs" / "events.jsonl"
    path.parent.mkdir()
    with path.open("w") as file:
        file.write(record(1) + "not json\n[]\n" + record(2)[:5])
        file.flush()
        assert numbers(tail) == [1]
        file.write(record(2)[5:])
        file.flush()
        assert numbers(tail) == [2]
    tail.close()


def test_what_was_written_before_and_after_a_rotation_is_all_there(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "events.jsonl"
    path.parent.mkdir()
    path.write_text(record(1))
    tail, new = Tail(tmp_path), Tail(tmp_path, new_only=True)
    assert numbers(tail) == [1]
    with path.open("a") as file:
        file.write(record(2))
    path.rename(path.with_suffix(".jsonl.1"))
    path.write_text(record(3))
    assert numbers(tail) == [2, 3]
    assert numbers(new) == [2, 3]
    tail.close()
    new.close()


def test_a_record_is_shown_with_its_local_time_to_the_millisecond() -> None:
    assert sentence({"at": 0.25, "sentence": "a is ready"}).endswith(":00.250  a is ready")
