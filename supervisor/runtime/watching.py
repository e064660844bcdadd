"""The actor's side of its monitors: which tokens still wait for their `Down`. The root's side is monitors.py.

A token waits from `monitor` until its `Down` is handed to the actor, or until `demonitor`. That alone makes "exactly
one" hold whatever is still on its way, and it bounds what the root can have to say to this actor.
"""

from __future__ import annotations

from supervisor.system import Demonitor, Down, Monitor

MOST = 1000


class TooManyMonitors(RuntimeError):
    """An actor monitors and never lets go."""


class Watching:
    """Used by the actor's own thread only."""

    def __init__(self, actor: str, after: int = 0) -> None:
        self._actor = actor
        self._tokens: dict[int, str] = {}
        self._count = after  # a later life in the same node: its tokens are none of the earlier one's

    def add(self, name: str) -> Monitor:
        """A new token for `name`.

        Raises:
            TooManyMonitors: 1,000 wait already; the text names whom most of them are for.
        """
        if len(self._tokens) >= MOST:
            names = list(self._tokens.values())
            most = max(set(names), key=names.count)
            raise TooManyMonitors(
                f"{self._actor} has {MOST} monitors that wait, {names.count(most)} of them for {most}; "
                "monitor a child once per incarnation and demonitor what is not needed any more"
            )
        self._count += 1
        self._tokens[self._count] = name
        return Monitor(actor=self._actor, token=self._count, name=name)

    def drop(self, token: int) -> Demonitor | None:
        """Forget it; None when it was not waiting."""
        return Demonitor(actor=self._actor, token=token) if self._tokens.pop(token, None) is not None else None

    def expects(self, word: Down) -> bool:
        """True once for each waiting token."""
        return self._tokens.pop(word.token, None) is not None
