"""The phases of an orderly end, before the tree is stopped: the one place where it is decided what comes next.

Picture a captain's list for leaving ship. Each line names who has to report, and how long he waits. Those of one line
work at the same time; the next line is read when all have reported or the time is over. A line that may not fail stops
the leaving (`recover` off): then the ship stays manned, and what was ordered so far stays in force. A line without
names takes no time. The list is read once; the last line, stop-tree, is the supervisor's own.

Pure: events in, actions out, `now` passed in. Who the tasks are and how they are told is the runtime's affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from supervisor.words import ShutdownPhase

TREE_S = 10.0  # of the total is kept for stopping the tree, at most half of it


class Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`recover`: a failed or late task is recorded and the end goes on. Off: the whole shutdown is aborted."""

    name: ShutdownPhase
    timeout_s: float
    recover: bool = True


PHASES: tuple[Phase, ...] = (
    Phase(name=ShutdownPhase.STOP_INTAKE, timeout_s=2.0),
    Phase(name=ShutdownPhase.STOP_STRATEGIES, timeout_s=2.0),
    Phase(name=ShutdownPhase.CANCEL_WORKING_ORDERS, timeout_s=5.0, recover=False),
    Phase(name=ShutdownPhase.AWAIT_FILLS, timeout_s=5.0),
    Phase(name=ShutdownPhase.FLATTEN, timeout_s=10.0, recover=False),
    Phase(name=ShutdownPhase.PERSIST, timeout_s=3.0),
    Phase(name=ShutdownPhase.CLOSE_SESSIONS, timeout_s=3.0),
)
"""In this order; stop-tree follows."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One phase that is over. `faults` holds a sentence for each task that failed or was late."""

    phase: str
    tasks: int
    took_s: float
    faults: tuple[str, ...] = ()

    def sentence(self) -> str:
        what = "; ".join(self.faults) if self.faults else f"{self.tasks} done"
        return f"{self.phase} after {self.took_s:.2g} s: {what}"


# -- told ---------------------------------------------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """End the server. `tasks`: phase -> who takes part; `within_s`: the one deadline over phases and tree.

    Who cannot be refused (a signal: somebody will kill us anyway) says `abortable=False`: then every phase recovers.
    `force` gives up the phases, also one under way.
    """

    reason: str
    tasks: Mapping[str, Sequence[str]]
    within_s: float
    abortable: bool = True
    force: bool = False


class Done(msgspec.Struct, frozen=True):
    """A task reported. Too late, twice, or never asked for: nothing."""

    phase: str
    task: str


class Failed(msgspec.Struct, frozen=True):
    """A task cannot do its part."""

    phase: str
    task: str
    why: str


class Due(msgspec.Struct, frozen=True):
    """A `Wake` came due."""


Event: TypeAlias = Begin | Done | Failed | Due


# -- wants done ---------------------------------------------------------------------------------------------------


class Tell(msgspec.Struct, frozen=True):
    """Tell these that the phase has begun; each is answered by `Done` or `Failed`, or is late."""

    phase: str
    tasks: tuple[str, ...]
    within_s: float


class Wake(msgspec.Struct, frozen=True):
    at: float


class Over(msgspec.Struct, frozen=True):
    """Record this."""

    outcome: Outcome


class Abort(msgspec.Struct, frozen=True):
    """The server stays up; what the phases so far have ordered stays in force."""

    why: str


class StopTree(msgspec.Struct, frozen=True):
    """The last phase: stop the tree, within what is left."""

    within_s: float


Action: TypeAlias = Tell | Wake | Over | Abort | StopTree


class Phases:
    """One per server. `aborted` says why the last try was aborted; another `Begin` is another try, from the start."""

    def __init__(self, phases: Sequence[Phase] = PHASES) -> None:
        self.outcomes: list[Outcome] = []
        self.aborted = ""
        self.tries = 0
        self._phases = tuple(phases)
        self._next = 0  # index of the phase that comes after the current one
        self._begin: Begin | None = None
        self._waiting: set[str] = set()
        self._faults: list[str] = []
        self._since = self._due = self._deadline = 0.0
        self._stopping = False

    @property
    def current(self) -> str:
        """The phase under way, "" for none."""
        if self._stopping:
            return ShutdownPhase.STOP_TREE
        return self._phases[self._next - 1].name if self._waiting else ""

    def handle(self, event: Event, now: float) -> list[Action]:
        """What to do about it, in this order."""
        out: list[Action] = []
        match event:
            case Begin():
                if self._begin is None:
                    self._begin, self.aborted, self.outcomes, self._next = event, "", [], 0
                    self.tries += 1
                    self._deadline = now + event.within_s
                    self._go_on(now, out)
                elif not self._stopping:  # once, with the reason it began with; it may only become stricter
                    abortable = self._begin.abortable and event.abortable
                    self._begin = msgspec.structs.replace(self._begin, abortable=abortable, force=event.force)
                    if event.force:
                        self._give_up_waiting("given up by force", now, out)
            case Done(phase=phase, task=task):
                self._report(phase, task, "", now, out)
            case Failed(phase=phase, task=task, why=why):
                self._report(phase, task, f"{task}: {why}", now, out)
            case Due():
                if self._waiting and now >= self._due:
                    self._give_up_waiting(f"not done within {self._due - self._since:.3g} s", now, out)
        return out

    def _give_up_waiting(self, why: str, now: float, out: list[Action]) -> None:
        self._faults += [f"{task}: {why}" for task in sorted(self._waiting)]
        self._waiting.clear()
        self._close(now, out)

    def _report(self, phase: str, task: str, fault: str, now: float, out: list[Action]) -> None:
        if phase != self.current or task not in self._waiting:
            return
        self._faults += [fault] if fault else []
        last = self._waiting == {task}
        self._waiting.discard(task)
        if last:
            self._close(now, out)

    def _close(self, now: float, out: list[Action]) -> None:
        """All of the current phase have reported, or are late."""
        assert self._begin is not None
        phase, faults = self._phases[self._next - 1], tuple(self._faults)
        tasks = len(self._begin.tasks.get(phase.name, ()))
        outcome = Outcome(phase=phase.name, tasks=tasks, took_s=now - self._since, faults=faults)
        self.outcomes.append(outcome)
        out.append(Over(outcome))
        if faults and not phase.recover and self._begin.abortable and not self._begin.force:
            self.aborted = f"{self._begin.reason}: {outcome.sentence()}"
            self._begin = None
            out.append(Abort(self.aborted))
        else:
            self._go_on(now, out)

    def _go_on(self, now: float, out: list[Action]) -> None:
        assert self._begin is not None
        reserve_s = min(TREE_S, self._begin.within_s / 2)
        while self._next < len(self._phases) and not self._begin.force:
            phase = self._phases[self._next]
            self._next += 1
            tasks = tuple(self._begin.tasks.get(phase.name, ()))
            if not tasks:
                continue
            self._since, self._faults = now, []
            left_s = self._deadline - reserve_s - now
            self._due = now + min(phase.timeout_s, max(0.0, left_s))
            self._waiting = set(tasks)
            out += [Tell(phase.name, tasks, self._due - now), Wake(self._due)]
            return
        self._stopping = True
        out.append(StopTree(max(0.0, self._deadline - now)))
