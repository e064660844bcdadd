"""The log that all processes of a server share is short for ever, and nobody has to open it again."""

from __future__ import annotations

from pathlib import Path

from supervisor.runtime import log


def test_a_shared_log_above_its_bound_begins_anew_and_who_holds_it_open_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "server.log"
    path.parent.mkdir()
    with path.open("ab", buffering=0) as holder:
        holder.write(b"x" * log.MAX_BYTES)
        log.bound(tmp_path)
        assert path.stat().st_size == log.MAX_BYTES  # not above it yet
        holder.write(b"last\n")
        log.bound(tmp_path)
        holder.write(b"first\n")
    assert path.read_bytes() == b"first\n"
    assert (path.parent / "server.log.1").read_bytes().endswith(b"last\n")


def test_a_server_on_a_terminal_has_no_such_file(tmp_path: Path) -> None:
    log.bound(tmp_path)
    assert list(tmp_path.iterdir()) == []
