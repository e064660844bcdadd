"""What the root does by the clock: the tick that looks and judges, and the second in which it keeps house.

The picture: the rounds of a night nurse. A late round is not made up for, and something reported brings the next one
forward. It decides nothing: it asks the watch, hands verdicts on, and buries strangers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from supervisor.runtime import log, process
from supervisor.runtime.loop import Timer

if TYPE_CHECKING:
    from supervisor.runtime.root import Root

PING_EVERY_S = 1.0
STATUS_PER_CHILD_S = 0.01
STATUS_CALM_S = 15.0
BUSY_S = 8.0  # after the last record; the weights of new processes are known by then
BOUND_EVERY_S = 60.0  # a shared log
INPUTS_EVERY_S = 5.0  # somebody is quarantined: has what it ran with changed?


class Rounds:
    """`begin` once; `hasten` when something was reported."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._strangers: set[int] = set()
        self._looked_at = self._offered_at = self._busy_until = self._bounded_at = 0.0
        self._said = 0
        self._next_tick: Timer | None = None

    def begin(self, now: float) -> None:
        self._at_tick(now + self._root.watch.tick_s)
        self._at_second(now + 1.0)

    def hasten(self) -> None:
        """Something was reported: what it means is judged within half a tick, not at the end of a calm pause."""
        root = self._root
        soon = time.monotonic() + root.watch.tick_s / 2
        if self._next_tick is not None and self._next_tick.due > soon:
            self._next_tick.cancel()
            self._at_tick(soon)

    def known(self) -> set[int]:
        """Processes of ours that are nobody's left-overs."""
        root = self._root
        known = {life.pid or 0 for life in root.runner.lives.values()} | root.nursery.pids() | set(root.checks.pids())
        known |= {root.nursery.spare(role) for role, _ in root.nursery.roles()}
        if root.heart is not None:
            known.add(root.heart.pid)
        return known

    def _at_tick(self, due: float) -> None:
        self._next_tick = self._root.loop.at(due, lambda: self._tick(due))

    def _tick(self, due: float) -> None:
        root = self._root
        now = time.monotonic()
        self._next_tick = None
        try:
            for answer in root.checks.drain():
                root.watch.heard(answer)
            root.on_control()
            for verdict, before in root.watch.tick(due, now, root.runner.lives):
                checks = tuple(root.watch.seen[verdict.name].checks.values())
                root.convictions.judged(verdict, before, now, checks)
                root.remedies.judged(verdict)
        finally:
            pause_s = root.watch.pause_s
            self._at_tick(max(due + pause_s, now + pause_s / 2))  # a late tick is not made up for

    def _at_second(self, due: float) -> None:
        self._root.loop.at(due, lambda: self._second(due))

    def _second(self, due: float) -> None:
        root = self._root
        now = time.monotonic()
        second_s = PING_EVERY_S * root.watch.scale
        self._at_second(max(due + second_s, now + second_s / 2))
        lives = root.runner.lives
        for id in root.watch.wants_pings():
            if id in lives:
                lives[id].ping(now)
        # The file is for the day the root is wedged: written while something happens, and rarely while nothing does.
        if root.records.said != self._said:
            self._said, self._busy_until = root.records.said, now + BUSY_S
        every_s = PING_EVERY_S if now < self._busy_until else STATUS_CALM_S
        count = len(root.watch.seen) + len(root.inside)
        if now - self._offered_at >= max(every_s, count * STATUS_PER_CHILD_S):
            self._offered_at = now
            root.side.offer(root.desk.status(), tuple(life.pid for life in lives.values() if life.pid))
        for broken, over in root.flowing.look(now, lives):
            root.records.flow(broken, over, root.runner.tree.child(broken.name), now)
        root.records.unsure(root.watch.seen, now, root.watch.scale, root.child)
        self._sweep()
        if now - self._bounded_at >= BOUND_EVERY_S:
            self._bounded_at = now
            log.bound(root.home)
        if root.intent.parked and now - self._looked_at >= INPUTS_EVERY_S and not root.stopping:
            self._looked_at = now
            root.take_up_new_inputs()
        if root.heart is not None and not root.stopping:
            root.heart.look(now)

    def _sweep(self) -> None:
        """Reap ended children nobody waits for: seen twice, so that one just born is not taken for a stranger."""
        ended = process.ended_children() - self.known() if process.ended_child() else set()
        for pid in ended & self._strangers:
            process.reap(pid)
        self._strangers = ended
