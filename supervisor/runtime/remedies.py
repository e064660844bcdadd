"""What helps without a conviction: an orphan is ended, a waiting child is tried now, a leaking one recycled in order.

The picture: the nurse beside the bailiff (convictions.py). The judge writes the prescription (`Verdict.action`), this
carries it out, once per incarnation, and says what was done. Lives that work are ended only in order and by the tree.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable

from supervisor.events import Cause, SupervisionKind, supervision
from supervisor.moves import Order, Verb
from supervisor.policy import parking
from supervisor.runtime.life import GRACE_S
from supervisor.runtime.loop import Loop
from supervisor.runtime.poison import Poison
from supervisor.runtime.process import Process, state_of
from supervisor.runtime.records import Records
from supervisor.runtime.runner import Runner
from supervisor.runtime.watch import Watch
from supervisor.verdict import Action, CheckResult, Verdict
from supervisor.words import State

ORPHANS_AT_ONCE = 32
STAGGER_S = 1.0  # between two starts of those that waited for a dependency
LOOK_S = 0.1  # whether an orphan has ended


class Remedies:
    """One per root."""

    def __init__(
        self,
        loop: Loop,
        runner: Runner,
        watch: Watch,
        poison: Poison,
        records: Records,
        restarted: Callable[[str, int, str, Iterable[CheckResult]], None],
    ) -> None:
        self._loop, self._runner, self._watch, self._poison, self._records = loop, runner, watch, poison, records
        self._restarted = restarted  # the book of restarts (convictions.py)
        self._done: dict[str, tuple[Action, int]] = {}  # the last remedy of each child, and for which incarnation
        self._next_start_at = 0.0  # monotonic, of one whose dependency is back
        self._ending: set[int] = set()  # orphans that were asked to end

    def judged(self, verdict: Verdict) -> None:
        """Carry out what was prescribed, unless that was done for this incarnation already."""
        if verdict.action not in (Action.CLEAN, Action.DRAIN, Action.RESTART):
            return
        view = self._runner.tree.child(verdict.name)
        if view is None or self._done.get(view.id) == (verdict.action, view.incarnation):
            return
        if verdict.action is Action.CLEAN:
            self._done[view.id] = verdict.action, view.incarnation
            self._clean(view.id)
        elif verdict.action is Action.DRAIN and view.state is State.READY:
            self._done[view.id] = verdict.action, view.incarnation
            self._say(view.id, f"is recycled in order: {verdict.reason}")
            if self._order(view.id, f"{verdict.cause}: {verdict.reason}"):
                checks = self._watch.seen[view.id].checks.values() if view.id in self._watch.seen else ()
                self._restarted(view.id, view.incarnation, verdict.cause, checks)
        elif verdict.action is Action.RESTART and view.state is State.RESTARTING:
            self._done[view.id] = verdict.action, view.incarnation
            now = time.monotonic()
            due = max(now, self._next_start_at)  # many wait for one dependency: it is not to be met by all of them
            self._next_start_at = due + STAGGER_S * self._watch.scale
            self._loop.at(due, lambda: self._try_now(verdict, view.incarnation))

    def _try_now(self, verdict: Verdict, incarnation: int) -> None:
        view = self._runner.tree.child(verdict.name)
        if view is not None and view.state is State.RESTARTING and view.incarnation == incarnation:
            self._say(view.id, f"is tried now: {verdict.reason}")
            self._order(view.id, f"{verdict.cause}: {verdict.reason}")

    def died(self, id: str) -> None:
        """Before it is born again: was it the message? A full disk is said; for this root it holds all the same."""
        seen = self._watch.seen.get(id)
        deaths = [(death.fingerprint, death.in_hand) for death in seen.deaths] if seen is not None else []
        message = parking.poison(deaths)
        if not message:
            return
        why = f"in hand at each of the last {parking.POISONED} deaths: {deaths[-1][0]}"
        try:
            if not self._poison.set_aside(id, message, why):
                return
        except OSError as error:
            self._say(id, f"the poison {message} is not remembered on disk: {error}")
        self._say(id, f"gets the message {message} no more, it was {why}")

    def forget(self, id: str) -> None:
        """This child is no more."""
        self._done.pop(id, None)
        self._poison.forget(id)

    def _clean(self, id: str) -> None:
        """End what its earlier incarnations left behind, then start it. Only processes that bear its mark."""
        leftovers = self._watch.witness.leftovers
        pids = {holder.pid for holder in leftovers.holders(id) if holder.ours and holder.pid is not None}
        pids = {*list(pids | set(leftovers.orphans(id)))[:ORPHANS_AT_ONCE]} - self._ending
        found = []
        for pid in sorted(pids):
            try:
                orphan = Process(pid)
            except ProcessLookupError:
                continue
            if leftovers.is_still(id, pid):  # asked after it is held: from now on the number cannot become another's
                found.append(orphan)
            else:
                orphan.close()
        for orphan in found:
            self._ending.add(orphan.pid)
            orphan.send(signal.SIGTERM)
            orphan.send(signal.SIGCONT)
        self._say(id, f"its left-over {', '.join(f'pid {orphan.pid}' for orphan in found) or 'is gone'} is ended")
        self._loop.at(time.monotonic() + LOOK_S, lambda: self._buried(id, found, time.monotonic() + GRACE_S))

    def _buried(self, id: str, found: list[Process], kill_at: float) -> None:
        now = time.monotonic()
        alive = [orphan for orphan in found if not _is_gone(orphan)]
        for orphan in alive:
            if now >= kill_at:
                orphan.send(signal.SIGKILL)
        if alive:
            self._loop.at(now + LOOK_S, lambda: self._buried(id, found, kill_at))
            return
        for orphan in found:
            self._ending.discard(orphan.pid)
            orphan.bury()
        view = self._runner.tree.child(id)
        if view is not None and view.state in (State.RESTARTING, State.QUARANTINED):
            self._order(id, "own-orphan: what it had left behind is ended")

    def _order(self, id: str, why: str) -> bool:
        answer = self._runner.order(Order("remedy", Verb.RESTART, id, why), "remedy")
        if answer is not None and not answer.ok:
            self._say(id, f"cannot be restarted yet: {answer.text}")
        return answer is not None and answer.ok

    def _say(self, id: str, sentence: str) -> None:
        view = self._runner.tree.child(id)
        if view is None:
            return
        at, cause = time.monotonic(), Cause.REMEDY
        self._records.supervision(
            supervision(
                SupervisionKind.REMEDY,
                id=id,
                path=view.path,
                incarnation=view.incarnation,
                at=at,
                cause=cause,
                detail=sentence,
            )
        )


def _is_gone(orphan: Process) -> bool:
    """Reaped by whoever is its parent, or a zombie of ours that `bury` takes away."""
    return orphan.ended() is not None or state_of(orphan.pid) in ("", "Z", "X")
