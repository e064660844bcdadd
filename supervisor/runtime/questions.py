"""Canaries: questions with a known answer, put to actors in their declared rhythm. Here is who is asked when.

The picture: somebody goes round the benches and asks each worker what two and two is. A question waits for its answer
before the next one is put, so a worker who does not answer is not buried in questions; and one who visibly sleeps is
not asked at all, because that he does not answer is known. A question that nobody can answer any more (its actor was
started again over it) is put once more, and the silence is counted from the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from supervisor.runtime import link
from supervisor.runtime.life import Life
from supervisor.spec import Canary, ChildSpec, NodeStart, members
from supervisor.verdict.evidence import CanarySample

LOST_AFTER = 2.0  # times its timeout: the question is put again


class _Asked(msgspec.Struct, kw_only=True):
    canary: Canary
    actor: str
    n: int = 0
    asked_at: float = 0.0
    silent_since: float = 0.0  # the first question since the last answer
    answered_at: float | None = None
    ok: bool | None = None
    answer: str = ""
    failures: int = 0

    @property
    def waits(self) -> bool:
        return self.n > 0 and self.answered_at is None


class Questions:
    """Of one root. All questions ever put are counted, so that a late answer is never taken for a newer one's."""

    def __init__(self) -> None:
        self._of: dict[str, list[_Asked]] = {}
        self._lives: dict[str, int] = {}
        self._count = 0

    def know(self, id: str, spec: ChildSpec) -> None:
        """A new life begins."""
        found = [_Asked(canary=canary, actor=actor) for actor, canary in _declared(spec)]
        if found:
            self._of[id] = found
        else:
            self._of.pop(id, None)
        self._lives.pop(id, None)

    def forget(self, id: str) -> None:
        self._of.pop(id, None)
        self._lives.pop(id, None)

    def ask(self, now: float, life: Callable[[str], Life | None]) -> None:
        """Put what is due to whoever `life` says can be asked now."""
        for id, questions in self._of.items():
            due = [one for one in questions if now - one.asked_at >= _pause_s(one)]
            asked = life(id) if due else None
            if asked is None:
                continue
            self._lives[id] = asked.incarnation
            for one in due:
                self._count += 1
                if asked.said(link.AskCanary(actor=one.actor, name=one.canary.name, n=self._count), now):
                    if not one.waits:
                        one.silent_since = now
                    one.n, one.asked_at, one.answered_at, one.ok = self._count, now, None, None

    def answered(self, id: str, word: link.CanaryAnswered, now: float) -> bool:
        """Whether this answer is a wrong one, and so worth a look at its actor."""
        for one in self._of.get(id, ()):
            if one.n == word.n and one.answered_at is None:
                one.answered_at, one.answer = now, word.error or word.answer
                one.ok = not word.error and word.answer == one.canary.expect
                one.failures = 0 if one.ok else one.failures + 1
                return not one.ok
        return False

    def late(self, now: float) -> Iterator[str]:
        """Whose answer is overdue."""
        for id, questions in self._of.items():
            if any(one.waits and now - one.silent_since > one.canary.timeout_s for one in questions):
                yield id

    def wrong(self, id: str) -> int:
        """How many answers of this child to one question were wrong in a row, at the most."""
        return max((one.failures for one in self._of.get(id, ())), default=0)

    def samples(self, id: str) -> tuple[CanarySample, ...]:
        """What this life has been asked."""
        return tuple(
            CanarySample(
                name=one.canary.name,
                asked_at=one.silent_since if one.waits else one.asked_at,
                answered_at=one.answered_at,
                ok=one.ok,
                answer=one.answer,
                expect=one.canary.expect,
                failures=one.failures,
                actor=one.actor,
                timeout_s=one.canary.timeout_s,
            )
            for one in self._of.get(id, ())
            if one.n
        )


def _pause_s(one: _Asked) -> float:
    return max(one.canary.every_s, LOST_AFTER * one.canary.timeout_s) if one.waits else one.canary.every_s


def _declared(spec: ChildSpec) -> Iterator[tuple[str, Canary]]:
    """(actor, canary): of a child of one actor or several the one of its name, else the first, answers."""
    if isinstance(spec.start, NodeStart) and spec.canaries and spec.start.actors:
        names = [start.name for start in spec.start.actors]
        actor = spec.id if spec.id in names else names[0]
        yield from ((actor, canary) for canary in spec.canaries)
    for _, member in members(spec):
        yield from ((member.id, canary) for canary in member.canaries)
