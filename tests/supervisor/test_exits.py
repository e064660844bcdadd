"""How ends are named: a table, because each line was once somebody's wrong conclusion."""

from __future__ import annotations

import pytest

from supervisor.policy import exits
from supervisor.words import CrashRecord, ExitKind

CRASH = CrashRecord(phase="steady", exceptions=("KeyError",), message="x", frame="a:b", location="a.py:1", traceback="")


@pytest.mark.parametrize(
    ("code", "signal", "crash", "asked", "convicted", "kind"),
    [
        (0, None, None, "", "", ExitKind.NORMAL),
        (7, None, None, "", "", ExitKind.CRASHED),
        (1, None, CRASH, "", "", ExitKind.CRASHED),
        (0, None, CRASH, "", "", ExitKind.CRASHED),  # it said so itself, whatever code it left with
        (None, 9, None, "", "", ExitKind.KILLED),  # from outside: says nothing about the child
        (None, 15, None, "", "", ExitKind.KILLED),
        (None, 11, None, "", "", ExitKind.CRASHED),  # a SIGSEGV is always its own
        (None, 6, None, "", "", ExitKind.CRASHED),
        (None, None, None, "", "", ExitKind.KILLED),  # adopted, its status went to another parent
        (0, None, None, "an order", "", ExitKind.SHUTDOWN),
        (1, None, CRASH, "an order", "", ExitKind.SHUTDOWN),  # it broke while it was ending
        (None, 9, None, "an order", "", ExitKind.SHUTDOWN),  # by our own ladder
        (None, 9, None, "", "no progress", ExitKind.HUNG),
        (0, None, None, "an order", "no progress", ExitKind.HUNG),
    ],
)
def test_an_end_is_named_by_who_asked_for_it(
    code: int | None, signal: int | None, crash: CrashRecord | None, asked: str, convicted: str, kind: ExitKind
) -> None:
    reason = exits.reason(code=code, signal=signal, crash=crash, asked=asked, convicted=convicted)
    assert reason.kind is kind
    assert reason.sentence()


def test_a_stop_that_needed_a_kill_says_so() -> None:
    reason = exits.reason(code=None, signal=9, crash=None, asked="an operator's order")
    assert reason.detail == "an operator's order; it had to be killed"
