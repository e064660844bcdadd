"""The shutdown phases at work: who takes part is told over its link, what it answers is told to `supervisor/phases.py`.

A participant that is down when its phase begins, or dies in it, has failed it: unknown is never done. One that comes up
while an end is under way, or after one was aborted, is told the phases that have begun, so that a restarted strategy
does not go on as if nothing were the matter.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from supervisor import phases
from supervisor.phases import Abort, Begin, Done, Due, Failed, Over, Phase, Phases, StopTree, Tell, Wake
from supervisor.runtime import link
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.spec import ChildSpec, NodeStart, members
from supervisor.system import PhaseBegun, PhaseDone

Say = Callable[[str, bool], None]  # (detail, aborted)


class Phasing:
    """`specs` are the children as they are now (they come and go); `stop_tree` and `say` are the root's."""

    def __init__(
        self,
        loop: Loop,
        specs: Callable[[], Sequence[ChildSpec]],
        lives: Mapping[str, Life],
        say: Say,
        stop_tree: Callable[[float], None],
        aborted: Callable[[], None],
        changes: Sequence[Phase] = (),
    ) -> None:
        self.machine = Phases(changed(phases.PHASES, changes))
        self._loop, self._specs, self._lives = loop, specs, lives
        self._say, self._stop_tree, self._aborted = say, stop_tree, aborted
        self._begun: list[PhaseBegun] = []
        self._hosts: dict[str, str] = {}  # actor -> the child that hosts it
        self._told: dict[str, tuple[str, int]] = {}  # actor -> (phase, incarnation of its host)
        self._reason = ""
        self._events: deque[phases.Event] = deque()
        self._busy = False

    def begin(self, reason: str, within_s: float, *, abortable: bool, force: bool = False) -> None:
        """Run them once; asked again while they run, it only becomes stricter."""
        self._reason = self._reason or reason
        self._hosts = {actor: host for host, actor, _ in participants(self._specs())}
        tasks: dict[str, list[str]] = {}
        for _, actor, taken in participants(self._specs()):
            for phase in taken:
                tasks.setdefault(phase, []).append(actor)
        self._tell(Begin(reason=reason, tasks=tasks, within_s=within_s, abortable=abortable, force=force))

    def heard(self, word: PhaseDone) -> None:
        """An actor says that it has done its part."""
        self._tell(Done(word.phase, word.actor))

    def ready(self, life: Life, inside: str = "") -> None:
        """A new incarnation serves, of a child or of the actor `inside` it: what it takes part in and has begun, it is
        told now."""
        for _, actor, taken in participants([life.spec]):
            for word in self._begun:
                if word.phase in taken and inside in ("", actor):
                    life.tell(_tell(actor, word))

    def gone(self, id: str, incarnation: int, sentence: str, inside: str = "") -> None:
        """A life has ended, of a child or only of the actor `inside` it: its tasks in the current phase have failed."""
        for actor, (phase, told) in list(self._told.items()):
            if self._hosts.get(actor) == id and told == incarnation and inside in ("", actor):
                self._tell(Failed(phase, actor, f"it ended in the phase, {sentence}"))

    def document(self) -> dict[str, Any] | None:
        """For the status and for `run/exit.json`; None while no end was ever asked for."""
        if not self._reason:
            return None
        outcomes = [msgspec.to_builtins(one) | {"sentence": one.sentence()} for one in self.machine.outcomes]
        machine = self.machine
        return {
            "reason": self._reason,
            "try": machine.tries,  # another one after an aborted one starts from the first phase
            "phase": machine.current,
            "aborted": machine.aborted,
            "phases": outcomes,
        }

    def _tell(self, event: phases.Event) -> None:
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                for action in self.machine.handle(self._events.popleft(), time.monotonic()):
                    self._do(action)
        finally:
            self._busy = False

    def _do(self, action: phases.Action) -> None:
        match action:
            case Tell(phase=phase, tasks=tasks, within_s=within_s):
                self._say(f"{phase} begins: {', '.join(tasks)} within {within_s:.3g} s", False)
                word = PhaseBegun(phase=phase, reason=self._reason, within_s=within_s)
                self._begun = [one for one in self._begun if one.phase != phase] + [word]
                self._told = {}
                for actor in tasks:
                    self._tell_actor(actor, word)
            case Wake(at=at):
                self._loop.at(at, lambda: self._tell(Due()))
            case Over(outcome=outcome):
                self._say(outcome.sentence(), False)
            case Abort(why=why):
                self._say(why, True)
                self._aborted()
            case StopTree(within_s=within_s):
                self._stop_tree(within_s)

    def _tell_actor(self, actor: str, word: PhaseBegun) -> None:
        life = self._lives.get(self._hosts[actor])
        if life is None or life.ready_at is None or life.stopped_for:
            self._tell(Failed(word.phase, actor, "it is not up"))
            return
        self._told[actor] = (word.phase, life.incarnation)
        life.tell(_tell(actor, word))


def participants(children: Sequence[ChildSpec]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(child, actor, phases) of every actor that takes part in some phase, also those inside a node."""
    found = []
    for child in children:
        if child.phases and isinstance(child.start, NodeStart):
            found += [(child.id, actor.name, child.phases) for actor in child.start.actors]
        for _, member in members(child):
            if member.phases or child.phases:
                found.append((child.id, member.id, (*child.phases, *member.phases)))
    return found


def changed(phases_: Sequence[Phase], changes: Sequence[Phase]) -> tuple[Phase, ...]:
    """The phases with those of `changes` in their places."""
    by_name = {phase.name: phase for phase in changes}
    return tuple(by_name.get(phase.name, phase) for phase in phases_)


def _tell(actor: str, word: PhaseBegun) -> link.Tell:
    return link.Tell(actor=actor, payload=msgspec.msgpack.encode(word))
