"""`qt journal`: verify what was recorded, or read its end. Reads only; safe beside a running server."""

from __future__ import annotations

import json
import time
from pathlib import Path

from supervisor.runtime.journal import JournalReader, file_name
from supervisor.terminal import CANNOT_TELL, NO_INPUT, OK, REFUSED, Refusal


def files(home: Path, name: str | None) -> list[Path]:
    """The journals of this home, or of one actor. Raises Refusal when there is none."""
    found = sorted((home / "journal").glob("*.db"))
    if not found:
        raise Refusal(NO_INPUT, f"no journal in {home / 'journal'}; nothing was ever recorded there")
    if name is not None:
        found = [file for file in found if file.name == file_name(name)]
        if not found:
            known = ", ".join(file.stem for file in sorted((home / "journal").glob("*.db")))
            raise Refusal(CANNOT_TELL, f"no journal of {name!r}; there are {known}")
    return found


def verify(home: Path, name: str | None) -> int:
    """SQLite's own check and the sequences of every topic; exit 1 when something is wrong."""
    wrong = 0
    for file in files(home, name):
        faults = JournalReader(file).faults()
        wrong += bool(faults)
        topics = JournalReader(file).topics()
        records = ", ".join(f"{topic} {count}" for topic, (count, _) in sorted(topics.items())) or "no records"
        print(f"{'FAULTY' if faults else 'sound '} {file.stem}: {records}")
        for fault in faults:
            print(f"  {fault}")
    return REFUSED if wrong else OK


def tail(home: Path, name: str | None, count: int, output: str) -> int:
    """The newest records, oldest first, of one actor or of all."""
    from ops.tail import as_json, line
    from supervisor.runtime.client import decode

    said = [(record.at_ns, record) for file in files(home, name) for record in JournalReader(file).tail(count)]
    for at_ns, record in sorted(said, key=lambda item: item[0])[-count:]:
        heard = decode(record.frame)
        if heard is not None:
            print(as_json(heard) if output == "json" else line(heard))
        else:
            clock = time.strftime("%H:%M:%S", time.localtime(at_ns / 1e9))
            unreadable = {"schema": 1, "topic": record.topic, "seq": record.seq, "error": "frame cannot be read"}
            print(
                json.dumps(unreadable) if output == "json" else f"{clock} {record.topic} #{record.seq} cannot be read"
            )
    return OK
