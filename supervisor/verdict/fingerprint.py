"""Are two deaths the same death, and whose fault does it look like?

The loose fingerprint (docs/health.md) is phase, exit, exception classes with causes, innermost own frame without line
number: an edit elsewhere in the file does not change it, another bug does. It is a readable string, because a person
compares two of them at night. `prior` is only a first guess from class names; it excuses, it never convicts.
"""

from __future__ import annotations

from enum import StrEnum

from supervisor.words import ExitReason


class Prior(StrEnum):
    """Whose fault an exception looks like."""

    CODE = "code"
    CONFIG = "config"
    CREDENTIAL = "credential"
    CONFLICT = "conflict"
    EXHAUSTION = "exhaustion"
    UPSTREAM = "upstream"
    DATA = "data"
    UNKNOWN = "unknown"


def fingerprint(reason: ExitReason, phase: str = "") -> str:
    """`init | code 1 | RuntimeError < KeyError | actors.feed:init`; `phase` counts only where no crash record tells."""
    raise NotImplementedError


def prior(exceptions: tuple[str, ...], *, message: str = "", phase: str = "") -> Prior:
    """First guess from the chain (outermost first): the innermost cause that says something decides."""
    raise NotImplementedError
