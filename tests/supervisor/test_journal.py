"""The journal: durable, all or nothing, readable by others, and honest about damage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.runtime.journal import Journal, JournalError, JournalReader, Said


def test_what_was_committed_is_read_by_another_reader_while_the_writer_lives(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db")
    journal.commit([Said("Fact", 1, 10, b"one"), Said("Fact", 2, 11, b"two")], {("teller", "Word"): 7})

    reader = JournalReader(tmp_path / "a.db")

    assert [said.frame for said in reader.since("Fact", 1)] == [b"two"]
    assert reader.heard() == {("teller", "Word"): 7}


def test_a_sequence_cannot_be_written_twice_and_the_failed_commit_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db")
    journal.commit([Said("Fact", 1, 10, b"one")], {})

    with pytest.raises(JournalError, match="commit failed"):
        journal.commit([Said("Fact", 2, 11, b"two"), Said("Fact", 1, 11, b"again")], {("x", "Y"): 1})

    assert JournalReader(tmp_path / "a.db").topics() == {"Fact": (1, 1)}
    assert JournalReader(tmp_path / "a.db").heard() == {}


def test_everything_acknowledged_before_a_sigkill_is_there_after_it(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from supervisor.runtime.journal import Journal, Said
journal = Journal(Path({str(tmp_path / "a.db")!r}))
n = 0
while True:
    n += 1
    journal.commit([Said("Fact", n, n, b"x" * 200)], {{("teller", "Word"): n}})
    print(n, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = 0
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged >= 200:
            break
    os.kill(child.pid, signal.SIGKILL)
    for line in child.stdout:  # what was printed before the kill arrived
        acknowledged = int(line)
    child.wait()

    reader = JournalReader(tmp_path / "a.db")
    count, last = reader.topics()["Fact"]

    assert last >= acknowledged
    assert count == last
    assert reader.heard()[("teller", "Word")] == last
    assert reader.faults() == []


def test_a_torn_write_ahead_log_is_cut_at_the_last_whole_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    program = (
        "import os\nfrom pathlib import Path\nfrom supervisor.runtime.journal import Journal, Said\n"
        f"j = Journal(Path({str(path)!r}))\n"
        "for n in (1, 2, 3): j.commit([Said('Fact', n, n, b'x' * 3000)], {})\n"
        "os._exit(0)\n"  # no close: the log stays
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    log = path.with_name("a.db-wal")
    os.truncate(log, log.stat().st_size - 100)

    journal = Journal(path)

    assert journal.sequences == {"Fact": 2}
    assert JournalReader(path).faults() == []


def test_a_hole_in_a_sequence_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db")
    journal.commit([Said("Fact", 1, 1, b""), Said("Fact", 3, 1, b"")], {})

    assert JournalReader(tmp_path / "a.db").faults() == [
        f"{tmp_path / 'a.db'}: Fact holds 2 records for sequences 1 to 3"
    ]


def test_a_file_that_is_no_journal_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is no database" * 100)

    with pytest.raises(JournalError, match="qt journal verify"):
        Journal(tmp_path / "a.db")


def test_a_journal_that_does_not_exist_reads_as_empty(tmp_path: Path) -> None:
    assert JournalReader(tmp_path / "none.db").since("Fact", 0) == []
    assert not (tmp_path / "none.db").exists()
