"""The vitals page: written by an actor, read by anybody, one life at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.evidence import vitals


def test_a_reader_sees_what_the_writer_wrote_last(tmp_path: Path) -> None:
    page = vitals.Page(tmp_path / "n.page", 3, ("risk_gate:main", "ledger"))
    page.slots["ledger"].words[vitals.HANDLED] = 42

    gate, ledger = vitals.read(tmp_path / "n.page")

    assert (gate.actor, gate.handled) == ("risk_gate:main", 0)
    assert (ledger.actor, ledger.handled, ledger.incarnation, ledger.pid) == ("ledger", 42, 3, os.getpid())


def test_the_dials_of_a_previous_life_do_not_shine_through(tmp_path: Path) -> None:
    first = vitals.Page(tmp_path / "n.page", 1, ("a",))
    first.slots["a"].words[vitals.HANDLED] = 7
    reader = vitals.Reader(tmp_path / "n.page")
    assert reader.read(1)[0].handled == 7

    vitals.Page(tmp_path / "n.page", 2, ("a",))

    assert reader.read(2)[0].handled == 0
    assert reader.read(1) == []


def test_no_page_reads_as_nothing(tmp_path: Path) -> None:
    assert vitals.read(tmp_path / "none.page") == []


def test_a_file_that_is_no_page_reads_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "n.page").write_bytes(b"\1" * 3000)

    assert vitals.read(tmp_path / "n.page") == []


def test_too_many_actors_are_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1025 actors"):
        vitals.Page(tmp_path / "n.page", 1, tuple(str(n) for n in range(1025)))
