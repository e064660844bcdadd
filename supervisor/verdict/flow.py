"""Where a chain of children stops passing on what it is given: from counters alone, the first broken link by name.

The picture: a bucket brigade. Every one may be awake and busy, and still no water arrives. Whoever gets full buckets
and hands on none is the one to look at; those behind him are dry for his sake. Names of the ways to fail come from the
incidents of the predecessor (a brain that beat and did nothing, a gate that refused everything for days). It finds and
names; it convicts nobody: what a child owes as promised output is judged in function.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

ENOUGH = 20  # inputs before their fate says anything
WRONGS = 2  # canaries in a row: one may have met a restart


class Way(StrEnum):
    """How a link fails."""

    STALLED = "stalled"  # the first of the chain gives nothing, or one that is given much does not take it
    BLACK_HOLE = "black-hole"  # it takes, and nothing comes out
    HOLLOW = "hollow"  # it beats, and marks no progress on what it takes
    REJECT_ALL = "reject-all"  # a gate refuses all it is asked
    NEVER_FIRES = "gate-never-fires"  # a gate lets pass what it must refuse
    NEVER_OPENS = "gate-never-opens"  # a gate stays shut although nothing it waits for is missing


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One child of the chain, its counters over one window of `window_s` seconds. None: not known, never zero."""

    name: str
    window_s: float
    taken: int | None = None  # messages handled
    given: int | None = None  # messages published
    progressed: int | None = None  # marks of progress
    sends_always: bool = True  # False for one that may rightly be silent (a strategy without a signal)
    is_gate: bool = False
    passed: int | None = None  # of a gate: answers yes
    refused: int | None = None  # … and no
    let_through: int = 0  # of a gate: its canary, a forbidden order, was answered wrongly so often in a row
    shut_without_cause_s: float = 0.0  # how long it has been shut while all it waits for is there
    opens_within_s: float = 600.0


class Shut(msgspec.Struct, frozen=True, kw_only=True):
    """A gate since its last yes, or since it began: how often it refused, and since when without a cause."""

    since: float
    passed: int = 0  # all its answers by then
    refused_then: int = 0
    refused: int = 0  # since then
    no_cause_since: float | None = None  # it has refused since then while nothing it waits for was missing

    def after(self, passed: int, refused: int, now: float, *, well: bool) -> Shut:
        """Fold one reading of its counters. `well`: all it waits for is there."""
        if passed != self.passed:
            return Shut(since=now, passed=passed, refused_then=refused)
        since_yes = max(0, refused - self.refused_then)
        begun = self.no_cause_since
        if not well:
            begun = None
        elif begun is None and since_yes > self.refused:
            begun = now
        return Shut(
            since=self.since,
            passed=passed,
            refused_then=self.refused_then,
            refused=since_yes,
            no_cause_since=begun,
        )

    def without_cause_s(self, now: float) -> float:
        return 0.0 if self.no_cause_since is None else now - self.no_cause_since


class Broken(msgspec.Struct, frozen=True):
    """The first link that fails, and a sentence with its numbers."""

    name: str
    way: Way
    reason: str


def first_broken(chain: Sequence[Link]) -> Broken | None:
    """The first broken link of a chain, source first; None where nothing is known to be broken."""
    given_before: int | None = None
    for number, link in enumerate(chain):
        way = _way(link, given_before, first=number == 0)
        if way is not None:
            return Broken(link.name, way, _reason(link, way, chain[number - 1].name if number else ""))
        given_before = link.given
    return None


def _way(link: Link, given_before: int | None, *, first: bool) -> Way | None:
    if link.is_gate and (found := _gate(link)) is not None:
        return found
    starved = link.taken == 0 and given_before is not None and given_before >= ENOUGH
    if starved or (first and link.given == 0 and link.sends_always):
        return Way.STALLED
    if link.taken is None or link.taken < ENOUGH:
        return None
    if link.given == 0 and link.sends_always and not link.is_gate:
        return Way.BLACK_HOLE
    return Way.HOLLOW if link.progressed == 0 and link.sends_always else None


def _gate(link: Link) -> Way | None:
    if link.let_through >= WRONGS:
        return Way.NEVER_FIRES
    if link.shut_without_cause_s > link.opens_within_s:
        return Way.NEVER_OPENS
    if link.passed == 0 and link.refused is not None and link.refused >= ENOUGH:
        return Way.REJECT_ALL
    return None


def _reason(link: Link, way: Way, before: str) -> str:
    within = f"in {link.window_s:.0f} s"
    match way:
        case Way.STALLED if before:
            return f"{link.name} took nothing of what {before} gave {within}"
        case Way.STALLED:
            return f"{link.name}, the first of the chain, gave nothing {within}"
        case Way.BLACK_HOLE:
            return f"{link.name} took {link.taken} messages {within} and gave none"
        case Way.HOLLOW:
            return f"{link.name} took {link.taken} messages {within} and marked no progress"
        case Way.REJECT_ALL:
            return f"{link.name} refused all {link.refused} that it was asked {within}"
        case Way.NEVER_FIRES:
            return (
                f"{link.name} did not refuse as it must what is forbidden, asked {link.let_through} times (its canary)"
            )
        case Way.NEVER_OPENS:
            return f"{link.name} has been shut for {link.shut_without_cause_s:.0f} s, and all it waits for is there"
