"""A parked child is tried out again after half an hour, then ever more rarely: the world may have mended itself.

The picture: a parole board with a calendar. It knows when each case comes up again and lets it out to try; what
comes of that, the tree sees. How long is `policy.parking.unpark_after_s`. One that says itself that trying again cannot
help (a typed refusal: each try may cost a login) waits for a person, or for what it runs with to change.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from supervisor.events import Cause
from supervisor.policy.parking import UNPARK_FIRST_S, unpark_after_s
from supervisor.runtime.loop import Loop, Timer


class TryOuts:
    """One per root. `let_out` is called when a case comes up; after it the child is started, or is parked again."""

    def __init__(self, loop: Loop, rng: Random, time_scale: float, let_out: Callable[[str], None]) -> None:
        self._loop, self._rng, self._scale, self._let_out = loop, rng, time_scale, let_out
        self._waiting: dict[str, Timer] = {}
        self._tries: dict[str, tuple[int, float]] = {}  # child -> tries in vain so far, when the last one began

    def parked(self, id: str, cause: Cause, now: float) -> None:
        """The tree has parked it. Soon after a try, that was one in vain."""
        self.cancel(id)
        if cause is Cause.REFUSED:
            return
        tries, began = self._tries.get(id, (0, now))
        if now - began > UNPARK_FIRST_S * self._scale:
            self._tries.pop(id)
            tries = 0
        due = now + unpark_after_s(tries, self._rng.random()) * self._scale
        self._waiting[id] = self._loop.at(due, lambda: self._try(id, due))

    def cancel(self, id: str) -> None:
        """It is not parked any more."""
        timer = self._waiting.pop(id, None)
        if timer is not None:
            timer.cancel()

    def forget(self, id: str) -> None:
        """This child is no more."""
        self.cancel(id)
        self._tries.pop(id, None)

    def due_s(self, id: str, now: float) -> float | None:
        """Seconds until it is tried out; None for one that waits for no such thing."""
        timer = self._waiting.get(id)
        return None if timer is None else max(0.0, timer.due - now)

    def _try(self, id: str, due: float) -> None:
        del self._waiting[id]
        self._tries[id] = self._tries.get(id, (0, 0.0))[0] + 1, due
        self._let_out(id)
