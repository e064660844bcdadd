"""Which server a verb talks about: --home, else $QT_HOME, else ./var."""

from __future__ import annotations

import os
from pathlib import Path

FALLBACK = "var"


def resolve(home: str | None, configured: str = FALLBACK) -> Path:
    """The home as an absolute path; it need not exist."""
    return Path(home or os.environ.get("QT_HOME") or configured).expanduser().absolute()
