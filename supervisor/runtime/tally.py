"""What restarts and faults of checks have cost so far, counted for status and Prometheus. Bounded; never resets.

The picture: the book at the gate. It notes who came back and for what cause, which check was found at fault and for
which reason, and which restarts turned out to have been for nothing. It decides nothing; the audit (audit.py) does.
"""

from __future__ import annotations

from typing import Any

from supervisor.events import Supervision, SupervisionKind
from supervisor.words import ExitKind, ExitReason

MOST = 2000  # pairs of (unit, cause) or (unit, reason); the rest is counted under OTHER
MOST_LETTERS = 40
OTHER = ("other", "other")


class Tally:
    """`restarts` by (unit, cause), `check_faults` by (unit, reason), `false_restarts` in all."""

    def __init__(self) -> None:
        self.restarts: dict[tuple[str, str], int] = {}
        self.check_faults: dict[tuple[str, str], int] = {}
        self.false_restarts = 0

    def happened(self, record: Supervision, exit: ExitReason | None) -> None:
        """A record of supervision and the last end of its unit; only `restarting` counts, a person's order does not."""
        if record.kind is SupervisionKind.RESTARTING:
            _count(self.restarts, (record.id, cause_of(record, exit)))

    def ordered(self, unit: str, cause: str) -> None:
        """The judge has had it restarted in order; the tree has no record of its own for that."""
        _count(self.restarts, (unit, cause))

    def check_fault(self, unit: str, reason: str) -> None:
        """A declared check of this unit was found at fault (once each time it is found out, not at every look)."""
        _count(self.check_faults, (unit, reason or "unknown"))

    def document(self) -> dict[str, Any]:
        """As the status shows it: rows of label, label, count."""
        return {
            "restarts": [[unit, cause, count] for (unit, cause), count in self.restarts.items()],
            "check_faults": [[unit, reason, count] for (unit, reason), count in self.check_faults.items()],
            "false_restarts": self.false_restarts,
        }


def cause_of(record: Supervision, exit: ExitReason | None) -> str:
    """Why it is restarted, in a word: of a convicted one the judge's cause, of others how they ended."""
    if exit is None:
        return str(record.cause)
    if exit.kind is ExitKind.HUNG:
        named = exit.detail.partition(":")[0]
        return named if named and len(named) <= MOST_LETTERS else str(ExitKind.HUNG)
    return str(exit.kind)


def _count(slots: dict[tuple[str, str], int], key: tuple[str, str]) -> None:
    if key not in slots and len(slots) >= MOST:
        key = OTHER
    slots[key] = slots.get(key, 0) + 1
