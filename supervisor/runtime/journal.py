"""One actor's journal: what it has said (EVERY messages) and how far it has heard, in one SQLite file with one writer.

`commit` is the point of no return: outputs and input positions go to disk together (WAL, synchronous=FULL), and only
then is anything sent. A crash before it leaves nothing; a crash after it repeats only the sending. Other actors read
this file (never write it) to refill what a socket lost, which is why a dead sender's words can still be heard.

A torn tail is SQLite's business: the WAL is cut at the last whole commit. On a full disk the commit fails, nothing is
released, the actor dies with `JournalFull`, and its consumers see silence, which is never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import apsw

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS said (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, seq INTEGER NOT NULL, at_ns INTEGER NOT NULL, frame BLOB NOT NULL,
    UNIQUE (topic, seq)
);
CREATE TABLE IF NOT EXISTS heard (sender TEXT NOT NULL, topic TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (sender, topic)) WITHOUT ROWID;
"""


class JournalError(RuntimeError):
    """A journal that cannot be used. The text names the file and what to do."""


class JournalFull(JournalError):
    """The disk is full: nothing was committed, nothing was sent."""


class Said(NamedTuple):
    """One recorded EVERY message: `seq` counts per topic (class name) from 1, over restarts."""

    topic: str
    seq: int
    at_ns: int
    frame: bytes


class Journal:
    """The writer. Exactly one per actor; its node holds the lock that says so."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        try:
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(2000)
            version = self._db.pragma("user_version")
            if version not in (0, SCHEMA_VERSION):
                raise JournalError(
                    f"{path} has journal layout {version}, this version writes {SCHEMA_VERSION}; move it away"
                )
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", "full")
            if version == 0:
                self._db.execute(_SCHEMA)
                self._db.pragma("user_version", SCHEMA_VERSION)
        except apsw.Error as error:
            raise JournalError(
                f"{path} cannot be opened as a journal: {error}; check it with: qt journal verify"
            ) from error
        self.sequences: dict[str, int] = dict(self._db.execute("SELECT topic, MAX(seq) FROM said GROUP BY topic"))
        self.positions: dict[tuple[str, str], int] = {
            (sender, topic): seq for sender, topic, seq in self._db.execute("SELECT sender, topic, seq FROM heard")
        }

    def commit(self, said: list[Said], heard: dict[tuple[str, str], int]) -> None:
        """Record outputs and input positions, durably, all or nothing.

        Raises:
            JournalFull: no space left; nothing was recorded.
            JournalError: the file or disk failed.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                if said:
                    db.executemany("INSERT INTO said (topic, seq, at_ns, frame) VALUES (?, ?, ?, ?)", said)
                if heard:
                    db.executemany(
                        "INSERT OR REPLACE INTO heard (sender, topic, seq) VALUES (?, ?, ?)",
                        [(sender, topic, seq) for (sender, topic), seq in heard.items()],
                    )
                db.execute("COMMIT")
            except apsw.Error:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except apsw.FullError as error:
            raise JournalFull(
                f"{self.path}: no space left on the device; free some, the actor restarts by itself"
            ) from error
        except apsw.Error as error:
            raise JournalError(
                f"{self.path}: commit failed: {error}; check the disk, then: qt journal verify"
            ) from error
        for topic, seq, _, _ in said:
            self.sequences[topic] = seq
        self.positions.update(heard)

    def close(self) -> None:
        self._db.close()


class JournalReader:
    """A reader of somebody else's journal, dead or alive. Never creates, never writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: apsw.Connection | None = None

    def _open(self) -> apsw.Connection | None:
        if self._db is None and self.path.exists():
            try:
                db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
                db.set_busy_timeout(500)
                if db.pragma("user_version") != SCHEMA_VERSION:  # being created right now
                    db.close()
                    return None
                self._db = db
            except apsw.Error:
                return None  # not there yet, or unreadable: the caller sees "nothing recorded" and asks again
        return self._db

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def since(self, topic: str, seq: int, limit: int = 10_000) -> list[Said]:
        """At most `limit` records of the topic after `seq`, in order."""
        db = self._open()
        if db is None:
            return []
        rows = db.execute(
            "SELECT topic, seq, at_ns, frame FROM said WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?",
            (topic, seq, limit),
        )
        return [Said(*row) for row in rows]

    def until(self, topic: str, seq: int | None) -> Iterator[Said]:
        """All records of the topic up to and with `seq` (`None`: all), in order."""
        db = self._open()
        if db is None:
            return
        top = seq if seq is not None else 2**62
        for row in db.execute(
            "SELECT topic, seq, at_ns, frame FROM said WHERE topic = ? AND seq <= ? ORDER BY seq", (topic, top)
        ):
            yield Said(*row)

    def topics(self) -> dict[str, tuple[int, int]]:
        """topic -> (count, last sequence)."""
        db = self._open()
        if db is None:
            return {}
        return {t: (n, last) for t, n, last in db.execute("SELECT topic, COUNT(*), MAX(seq) FROM said GROUP BY topic")}

    def heard(self) -> dict[tuple[str, str], int]:
        """(sender, topic) -> last sequence its owner has handled."""
        db = self._open()
        if db is None:
            return {}
        return {(s, t): seq for s, t, seq in db.execute("SELECT sender, topic, seq FROM heard")}

    def tail(self, count: int) -> list[Said]:
        """The newest `count` records, oldest first."""
        db = self._open()
        if db is None:
            return []
        rows = db.execute("SELECT topic, seq, at_ns, frame FROM said ORDER BY id DESC LIMIT ?", (count,))
        return [Said(*row) for row in reversed(list(rows))]

    def faults(self) -> list[str]:
        """What is wrong with the file, `[]` if nothing: SQLite's own check, then holes in the sequences."""
        if not self.path.exists():
            return [f"{self.path}: no such journal"]
        try:
            db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
            found = [f"{self.path}: {row[0]}" for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
            for topic, count, first, last in db.execute(
                "SELECT topic, COUNT(*), MIN(seq), MAX(seq) FROM said GROUP BY topic"
            ):
                if last - first + 1 != count:
                    found.append(f"{self.path}: {topic} holds {count} records for sequences {first} to {last}")
            db.close()
        except apsw.Error as error:
            return [f"{self.path}: {error}"]
        return found


def file_name(actor: str) -> str:
    """`risk_gate:main` writes `risk_gate_main.db`."""
    return actor.replace(":", "_") + ".db"
