"""Was the restart worth it? Asked afterwards: what complaint stood before it, and which stands when it works again.

The picture: the doctor's second visit. If a check was red when a child was restarted, and the same check is red in the
same way while the new life does its work, then the restart healed nothing: it was false. Only a check can be found
out so; a hang that comes back is no false restart.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from supervisor.verdict import CheckResult
from supervisor.words import VerdictKind

WORKS = frozenset({VerdictKind.HEALTHY, VerdictKind.BUSY, VerdictKind.CHECK_FAULT, VerdictKind.DEGRADED})

Complaint = tuple[str, str, str]  # kind, target and reason class of a check that failed


class Opened(msgspec.Struct, frozen=True):
    """A restart whose worth is not known yet."""

    incarnation: int  # the one that was ended
    complaints: frozenset[Complaint]


class Audit:
    """One open case per unit, until it is decided or the unit forgotten."""

    def __init__(self) -> None:
        self._open: dict[str, Opened] = {}

    def ended(self, name: str, incarnation: int, checks: Iterable[CheckResult]) -> None:
        """This incarnation is ended for a verdict of ours, while these were the answers of its checks."""
        complaints = failing(checks)
        if complaints:
            self._open[name] = Opened(incarnation, complaints)

    def review(
        self, name: str, incarnation: int, kind: VerdictKind, checks: Iterable[CheckResult]
    ) -> frozenset[Complaint]:
        """The complaints that make the last restart a false one, once; empty while nothing is known."""
        opened = self._open.get(name)
        if opened is None or incarnation <= opened.incarnation or kind not in WORKS:
            return frozenset()
        told = list(checks)
        if not told:
            return frozenset()  # not asked yet in this life
        del self._open[name]
        return failing(told) & opened.complaints

    def forget(self, name: str) -> None:
        """This child is no more."""
        self._open.pop(name, None)


def failing(checks: Iterable[CheckResult]) -> frozenset[Complaint]:
    """What the checks that fail complain about."""
    return frozenset((check.kind, check.target, check.reason) for check in checks if not check.ok)
