"""Logging: every process writes JSON lines to a file of its own, and says WARNING and worse on stderr in one line.

structlog puts the fields together, the standard library's rotating file bounds the disk (20 MB a process). A server
that has left the terminal shares one stderr, `logs/server.log`, which `bound` keeps short. Nothing is logged per
message or per tick; facts of supervision go to `logs/events.jsonl` (records.py), not here.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

# structlog imports rich for its coloured tracebacks when it finds it: 5 MiB in the root and in each zygote for nothing.
_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402

if _hidden:
    del sys.modules["rich"]

MAX_BYTES = 5_000_000
KEPT = 3

Log = structlog.stdlib.BoundLogger
get_logger = structlog.get_logger  # for everybody: who imports structlog by himself imports rich as well
_PLACES = ("node", "incarnation", "level", "timestamp", "event")


def bound(home: Path) -> None:
    """Begin `logs/server.log` anew above 5 MB, and keep the old one beside it (logrotate's copytruncate).

    All processes hold it open, for appending, so it cannot be renamed; what is said during the copying is lost.
    """
    path = home / "logs" / "server.log"
    try:
        if path.stat().st_size > MAX_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)
    except FileNotFoundError:  # the terminal has it
        return


def configure(home: Path, name: str, incarnation: int = 0) -> Log:
    """The logger of this process; call it once, after the fork. `execution:main` writes `logs/execution_main.jsonl`."""
    folder = home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    file = RotatingFileHandler(folder / f"{name.replace(':', '_')}.jsonl", maxBytes=MAX_BYTES, backupCount=KEPT)
    file.setFormatter(_formatter(structlog.processors.JSONRenderer(default=str), shared))
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.WARNING)
    console.setFormatter(_formatter(_line, shared))
    top = logging.getLogger()
    for old in top.handlers[:]:
        top.removeHandler(old)
        old.close()
    top.setLevel(logging.INFO)
    top.addHandler(file)
    top.addHandler(console)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    log: Log = structlog.get_logger(name).bind(node=name, incarnation=incarnation)
    return log


def _formatter(renderer: Any, shared: list[Any]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
    )


def _line(_: Any, level: str, entry: Any) -> str:
    """`05:12:01 warning feed:binance#3 the book is stale  age_s=4.1`; a traceback stays in the file."""
    life = f"#{entry['incarnation']}" if entry.get("incarnation") else ""
    fields = "  ".join(
        f"{key}={value}" for key, value in entry.items() if key not in (*_PLACES, "traceback", "exception")
    )
    clock = str(entry.get("timestamp", ""))[11:19]
    return f"{clock} {level} {entry.get('node', '')}{life} {entry.get('event', '')}  {fields}".rstrip()
