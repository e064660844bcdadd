"""Who watches whom: the root's side of `ctx.monitor`. One `Down` per token, when the incarnation is confirmed dead.

Two card boxes: requests by the incarnation they are about, and by the one that asked. A request leaves both when it is
answered, taken back, or when its watcher has died; so nothing is answered twice and nothing is kept for the dead.
Watchers bound their own requests (watching.py).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from supervisor.events import Supervision, SupervisionKind
from supervisor.moves import ChildView
from supervisor.system import Down
from supervisor.words import ExitKind, State

Life = tuple[str, int]  # (name, incarnation)
DEATHS = frozenset({SupervisionKind.EXITED, SupervisionKind.STOPPED, SupervisionKind.QUARANTINED})
UP = frozenset({State.STARTING, State.RUNNING, State.READY, State.STOPPING})


class Watcher(msgspec.Struct, frozen=True):
    """Who asked: one actor in one life of one node, under a token of its own."""

    node: str
    incarnation: int
    actor: str
    token: int


class Monitors:
    """`find` gives the present view of a name; `tell` must not lose a word while its watcher lives."""

    def __init__(self, find: Callable[[str], ChildView | None], tell: Callable[[Watcher, Down], None]) -> None:
        self._find, self._tell = find, tell
        self._of: dict[Life, dict[Watcher, None]] = {}  # who watches this one, in the order of asking
        self._by: dict[Life, dict[Watcher, Life]] = {}  # what this one watches

    def add(self, watcher: Watcher, name: str) -> None:
        """Watch the incarnation that `name` has now; without one the answer is given at once."""
        view = self._find(name)
        if view is None:
            self._answer(watcher, (name, 0), "not_found", f"no child is called {name!r}")
        elif view.state not in UP:
            last = f"; it ended {view.last_exit.sentence()}" if view.last_exit is not None else ""
            self._answer(watcher, (view.id, view.incarnation), "noproc", f"{view.id} is {view.state}{last}")
        else:
            watched = (view.id, view.incarnation)
            self._of.setdefault(watched, {})[watcher] = None
            self._by.setdefault((watcher.node, watcher.incarnation), {})[watcher] = watched

    def drop(self, watcher: Watcher) -> None:
        """Taken back; one that was answered meanwhile is nothing to take back."""
        asked = self._by.get((watcher.node, watcher.incarnation), {})
        watched = asked.pop(watcher, None)
        if watched is not None:
            self._of[watched].pop(watcher)
            self._tidy(watched)

    def reported(self, record: Supervision) -> None:
        """A record of supervision: deaths are told to those who wait for them."""
        if record.kind in DEATHS:
            reason = record.exit.kind if record.exit is not None else ExitKind.SHUTDOWN
            self.ended(record.id, record.incarnation, str(reason), record.sentence)

    def ended(self, name: str, incarnation: int, reason: str, sentence: str) -> None:
        """This incarnation is confirmed dead: tell each of its watchers, and forget what it watched itself."""
        life = (name, incarnation)
        for watcher, watched in self._by.pop(life, {}).items():
            self._of[watched].pop(watcher)
            self._tidy(watched)
        for watcher in self._of.pop(life, {}):
            by = (watcher.node, watcher.incarnation)
            self._by[by].pop(watcher)
            if not self._by[by]:
                del self._by[by]
            self._answer(watcher, life, reason, sentence)

    def left(self, node: str, incarnation: int, actor: str) -> None:
        """This actor's life inside a node has ended, and the node lives on: forget what it watched."""
        asked = self._by.get((node, incarnation), {})
        for watcher in [one for one in asked if one.actor == actor]:
            self.drop(watcher)

    def __len__(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._of.values()))

    def _answer(self, watcher: Watcher, life: Life, reason: str, sentence: str) -> None:
        name, incarnation = life
        down = Down(token=watcher.token, name=name, incarnation=incarnation, reason=reason, sentence=sentence[:1000])
        self._tell(watcher, down)

    def _tidy(self, watched: Life) -> None:
        if not self._of[watched]:
            del self._of[watched]
