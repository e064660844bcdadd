"""The declared chains of a house at run time: counters of each link read every ten seconds, the first broken one named.

The picture: a meter at every joint of a pipe, read on one round. What the readings mean, verdict/flow.py says; that
a link is down or has just begun is no news of flow, so such a round says nothing of its chain. It touches nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from supervisor.plan import ChainLink
from supervisor.runtime.life import Life
from supervisor.runtime.witness import Seen
from supervisor.verdict.flow import Broken, Link, Shut, first_broken
from supervisor.words import VerdictKind

EVERY_S = 10.0
OPENS_WITHIN_S = 600.0
GOES_ON = "it passes on again what it is given"
ANOTHER = "another trouble of its chain is looked at first"
NOT_KNOWN = "whether it is is not known now: a link of its chain is down or has just begun"
WELL = frozenset({VerdictKind.HEALTHY, VerdictKind.BUSY, VerdictKind.STOPPED})


class _Reading(msgspec.Struct, frozen=True):
    incarnation: int
    taken: int
    given: int
    progressed: int


class Flowing:
    """`found`: chain by number -> its first broken link now. `wrong`: how often in a row its canary was answered so."""

    def __init__(
        self,
        chains: Sequence[tuple[ChainLink, ...]],
        seen: Mapping[str, Seen],
        time_scale: float,
        wrong: Callable[[str], int],
    ) -> None:
        self.found: dict[int, Broken] = {}
        self._chains, self._seen, self._wrong = chains, seen, wrong
        self._every_s = EVERY_S * time_scale
        self._at = 0.0
        self._before: dict[tuple[str, str], _Reading] = {}
        self._gates: dict[str, tuple[int, Shut]] = {}  # by incarnation

    def look(self, now: float, lives: Mapping[str, Life]) -> list[tuple[Broken, str]]:
        """A round, if it is time for one. What it changes: links found broken now, and those that no longer are, with
        the reason. A link that fails in the same way in several chains is one trouble."""
        if not self._chains or now - self._at < self._every_s:
            return []
        window_s, self._at = now - self._at, now
        before, self._before = self._before, {}
        known, self.found = self.found, {}
        unknown = set()
        for number, chain in enumerate(self._chains):
            links = [self._link(one, before, window_s, lives, now) for one in chain]
            if None in links:
                unknown.add(number)
            elif (broken := first_broken([link for link in links if link is not None])) is not None:
                self.found[number] = broken
        return self._changes(known, unknown)

    def _changes(self, known: Mapping[int, Broken], unknown: set[int]) -> list[tuple[Broken, str]]:
        old = {(broken.name, broken.way): number for number, broken in known.items()}
        new = {(broken.name, broken.way): number for number, broken in self.found.items()}
        changes = [(self.found[number], "") for key, number in new.items() if key not in old]
        for key, number in old.items():
            if key not in new:
                why = GOES_ON if number not in self.found else ANOTHER
                changes.append((known[number], NOT_KNOWN if number in unknown else why))
        return changes

    def about(self, name: str) -> list[str]:
        """What is known of the chains this child is a link of."""
        own = {number for number, chain in enumerate(self._chains) if any(one.child == name for one in chain)}
        return [f"{broken.way}: {broken.reason}" for number, broken in self.found.items() if number in own]

    def sentences(self) -> list[str]:
        return [f"{broken.way}: {broken.reason}" for broken in self.found.values()]

    def _link(
        self,
        one: ChainLink,
        before: Mapping[tuple[str, str], _Reading],
        window_s: float,
        lives: Mapping[str, Life],
        at: float,
    ) -> Link | None:
        """What happened in the window, None for one of which that is not known."""
        seen, life = self._seen.get(one.child), lives.get(one.child)
        if seen is None or life is None or life.ready_at is None:
            return None
        actors = seen.reader.read(life.incarnation)
        if not actors:
            return None
        given = sum(actor.out for actor in actors)
        if one.gives:
            given = _count(seen, one.gives)
        now = _Reading(
            life.incarnation, sum(actor.handled for actor in actors), given, sum(actor.progress for actor in actors)
        )
        self._before[one.child, one.gives] = now
        old = before.get((one.child, one.gives))
        if old is None or old.incarnation != now.incarnation:
            return None
        if one.refuses:
            return self._gate(one, seen, life, at)
        return Link(
            name=one.child,
            window_s=window_s,
            taken=now.taken - old.taken,
            given=now.given - old.given,
            progressed=now.progressed - old.progressed,
            sends_always=not one.sometimes,
        )

    def _gate(self, one: ChainLink, seen: Seen, life: Life, now: float) -> Link:
        """A gate since its last yes. `well`: nobody else is ill, so nothing it waits for can be missing."""
        others = (other.verdict for name, other in self._seen.items() if name != one.child)
        well = all(verdict is not None and verdict.kind in WELL for verdict in others)
        incarnation, shut = self._gates.get(one.child, (0, Shut(since=now)))
        if incarnation != life.incarnation:
            shut = Shut(since=now)
        shut = shut.after(_count(seen, one.passes), _count(seen, one.refuses), now, well=well)
        self._gates[one.child] = (life.incarnation, shut)
        return Link(
            name=one.child,
            window_s=now - shut.since,
            is_gate=True,
            passed=0,
            refused=shut.refused,
            let_through=self._wrong(one.child),
            shut_without_cause_s=shut.without_cause_s(now),
            opens_within_s=OPENS_WITHIN_S * self._every_s / EVERY_S,
            sends_always=False,
        )


def _count(seen: Seen, topic: str) -> int:
    return sum(kept.count for kept in seen.reader.promises() if kept.what.partition(" ")[0] == topic)
