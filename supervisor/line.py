"""The order of stops and starts: what has to go down and what waits to come up, turned into signals when due.

Picture a single railway line and a walk along it. Cards (`supervisor/unit.py`) say what has to go down (`doom`) and
what waits. The walk (`settle`) tells units to stop in reverse start order, each confirmed dead before the next is told,
and starts units in start order, each ready before the next is started; never up while something of the same group is
still going down. The children of a dynamic supervisor have no order: they come and go side by side. What is not due now
becomes due with a later event: nothing here waits, and nothing here decides who has to go; that is
`supervisor/tree.py`, by the rules in `supervisor/policy`.

Whoever changes a card says so (`mark`), and the walk visits only supervisors with a marked child: a restart costs the
same in a small tree and in a large one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from supervisor.cards import Cards
from supervisor.events import Cause, SupervisionKind, supervision
from supervisor.moves import Action, Ended, Kept, Kill, Remember, Report, Start, Stop, Wake
from supervisor.policy import shutdown
from supervisor.spec import ChildSpec, SupervisorSpec
from supervisor.unit import Unit
from supervisor.words import ExitKind, ExitReason, Restart, State


class Line:
    """All units of one tree, the present moment, and the actions of this turn (`out`)."""

    def __init__(self, cards: Cards, intent: Mapping[str, Kept], patience: float) -> None:
        self.patience = patience
        self.cards, self.root, self.units = cards, cards.root, cards.units
        for name in intent.keys() & (self.units.keys() - {self.root.id}):
            unit, kept = self.units[name], intent[name]
            unit.held = kept.state is State.STOPPED
            unit.state, unit.cause, unit.why = kept.state, kept.cause, kept.why
        self.now = 0.0
        self.out: list[Action] = []
        self.closing = ""  # the reason of the shutdown under way
        self.deadline = inf  # of that shutdown
        self._marked: dict[Unit, None] = {}  # supervisors to visit, in the order they were marked

    def __iter__(self) -> Iterator[Unit]:
        """Every unit in start order, parents first."""
        return iter(self.cards)

    def settle(self) -> Unit | None:
        """Give every signal that is due now. Returns a supervisor that is down in order to fail upward, if there is
        one: what becomes of it is to be decided before the walk goes on."""
        while self._marked:  # each visit only brings units nearer to rest, so this ends
            at = next(iter(self._marked))
            del self._marked[at]
            if (fallen := self._visit(at)) is not None:
                return fallen
        return None

    def mark(self, unit: Unit) -> None:
        """Something on its card has changed that the walk goes by."""
        unit.seen = None
        if unit.parent is not None:
            unit.parent.note(unit)
            self._marked[unit.parent] = None
        if isinstance(unit.spec, SupervisorSpec):
            self._marked[unit] = None

    def doom(self, unit: Unit, fate: State, cause: Cause, why: str, *, alone: bool = False) -> None:
        """Write on the card that it has to go down, and what then; the walk tells it when its turn has come.

        `alone`: on its own account, so it neither waits for siblings nor keeps them waiting.
        """
        if not unit.live:
            cancelled = unit.state in (State.WAITING, State.RESTARTING) or cause is Cause.ORDER
            if cancelled and fate is not State.WAITING:
                unit.due_at = None
                self.move(unit, fate)
            return
        unit.alone = alone and (unit.alone or not unit.going)
        if cause is Cause.GROUP and unit.going:
            self.mark(unit)
            return  # it goes down on an account of its own; the group only waits for it
        if not (unit.fate is State.QUARANTINED and cause in (Cause.PARENT, Cause.SHUTDOWN)):
            unit.fate, unit.cause, unit.why = fate, cause, why
        self.mark(unit)
        if isinstance(unit.spec, SupervisorSpec):
            unit.failing = None
            if unit.state is not State.STOPPING:
                self.move(unit, State.STOPPING)
                self.report(SupervisionKind.STOPPING, unit, why)
            below = Cause.SHUTDOWN if cause is Cause.SHUTDOWN else Cause.PARENT
            for child in unit.children.values():
                self.doom(child, State.STOPPED, below, why, alone=unit.dynamic)

    def revive(self, unit: Unit) -> None:
        """Down, it comes up with its group all the same, as in OTP; what is temporary is gone."""
        if unit.tries_again or (unit.state is State.STOPPED and unit.spec.restart is not Restart.TEMPORARY):
            unit.held, unit.in_line, unit.cause, unit.due_at = False, True, Cause.GROUP, None
            self.move(unit, State.WAITING)

    def strand(self, unit: Unit) -> None:
        """Down until its group is tried again: an earlier sibling's start failed. What is temporary just waits."""
        if unit.state is State.WAITING and unit.in_line and unit.spec.restart is not Restart.TEMPORARY:
            self.move(unit, State.STOPPED)

    def back_off(self, unit: Unit, delay_s: float) -> None:
        """Down, and tried again in so many seconds."""
        unit.due_at = self.now + delay_s
        self.move(unit, State.RESTARTING)
        self.out.append(Wake(unit.id, unit.due_at))
        self.report(SupervisionKind.RESTARTING, unit, f"in {delay_s:.3g} s", retry_at=unit.due_at)

    def park(self, unit: Unit, cause: Cause, why: str) -> None:
        """Quarantine: not coming until released. Touches no sibling."""
        if unit.live:
            self.doom(unit, State.QUARANTINED, cause, why, alone=True)
            return
        unit.cause, unit.why = cause, why
        self.move(unit, State.QUARANTINED)
        self.report(SupervisionKind.QUARANTINED, unit, why, exit=unit.last_exit)

    def start(self, unit: Unit) -> None:
        """The next incarnation; for a supervisor: its children take their places in line, except those kept down."""
        unit.incarnation += 1
        unit.pid = unit.ready_at = unit.due_at = unit.sentence = None
        unit.told = unit.ended = False
        unit.started_at = self.now
        if isinstance(unit.spec, ChildSpec):
            self.move(unit, State.STARTING)
            unit.due_at = self.now + unit.spec.start_timeout_s * self.patience
            self.report(SupervisionKind.STARTING, unit)
            self.out += [Start(unit.id, unit.path, unit.incarnation, unit.spec), Wake(unit.id, unit.due_at)]
            return
        self.move(unit, State.RUNNING)
        self.report(SupervisionKind.STARTING, unit)
        self.cards.restock(unit)
        unit.window = ()  # a new supervisor has a new record, as in OTP; so have its children's budgets
        stays = unit.spec.law.stopped_stays or unit.cause is Cause.BOOT
        for child in unit.children.values():
            child.window = ()
            child.held = child.held and stays
            if not child.held and child.state is not State.QUARANTINED:
                child.in_line = not unit.dynamic
                child.cause = Cause.BOOT if unit.cause is Cause.BOOT else Cause.PARENT
                self.move(child, State.WAITING)

    def ready(self, unit: Unit) -> None:
        """It serves: later siblings in line may start."""
        unit.ready_at, unit.due_at, unit.ordered, unit.fresh = self.now, None, False, False
        self.move(unit, State.READY)
        self.report(SupervisionKind.READY, unit, f"after {self.now - unit.started_at:.3g} s")

    def rest(self, unit: Unit) -> None:
        """Confirmed dead, as it was meant to be."""
        assert unit.fate is not None
        fate, unit.fate = unit.fate, None
        unit.in_line = unit.cause is Cause.GROUP
        self.move(unit, State.STOPPED)
        if fate is State.QUARANTINED:
            self.park(unit, unit.cause, unit.why)
            return
        unit.ended = unit.cause is Cause.GROUP and fate is State.STOPPED
        self.move(unit, fate)
        ending = unit.last_exit if isinstance(unit.spec, ChildSpec) else None
        detail = f"{unit.why}; it ended {ending.sentence()}" if ending else unit.why
        self.report(SupervisionKind.STOPPED, unit, detail, exit=ending)
        if unit.leaving or (unit.ended and unit.passing):
            self.forget(unit, unit.why)

    def convict(self, unit: Unit, kind: ExitKind, detail: str) -> None:
        """Kill it for a reason of ours, which its exit will be counted under."""
        unit.sentence = ExitReason(kind=kind, detail=detail)
        self.move(unit, State.STOPPING)
        self.kill(unit, Cause(kind.value), detail)

    def kill(self, unit: Unit, cause: Cause, why: str) -> None:
        """No polite request, or no more."""
        unit.told, unit.due_at = True, None
        self.report(SupervisionKind.KILLING, unit, why, cause=cause)
        self.out.append(Kill(unit.id, unit.incarnation, why))

    def forget(self, unit: Unit, why: str) -> None:
        """Its card leaves, with all below it; it is down."""
        assert unit.parent is not None
        self.report(SupervisionKind.REMOVED, unit, why)
        if unit.added and unit.parent.remembers and unit.spec.restart is not Restart.TEMPORARY:
            self.out.append(Remember(unit.parent.id, unit.id, None))
        self.cards.drop(unit)
        self._marked.pop(unit, None)
        self._marked[unit.parent] = None

    def move(self, unit: Unit, state: State) -> None:
        """The one place where a state changes."""
        if unit.state is not state:
            was_live = unit.live
            unit.state, unit.since = state, self.now
            if unit.parent is not None:
                unit.parent.alive += unit.live - was_live
        self.mark(unit)

    def report(
        self,
        kind: SupervisionKind,
        unit: Unit,
        detail: str = "",
        *,
        cause: Cause | None = None,
        exit: ExitReason | None = None,
        retry_at: float | None = None,
    ) -> None:
        """A record of what just happened to a unit; the cause is the unit's present one unless said otherwise."""
        record = supervision(
            kind,
            id=unit.id,
            path=unit.path,
            incarnation=unit.incarnation,
            at=self.now,
            cause=cause or unit.cause,
            detail=detail,
            exit=exit,
            retry_at=retry_at,
        )
        self.out.append(Report(record))

    # -- the walk: down before up -------------------------------------------------------------------------------------

    def _visit(self, at: Unit) -> Unit | None:
        """Do what is due among the children of this supervisor."""
        if not at.live or (at.going and not _its_turn(at)):
            return None
        while at.loners:
            unit, _ = at.loners.popitem()
            if unit.going and (fallen := self._take_down(unit)) is not None:
                self._marked[at] = None
                return fallen
        last = at.falls_next()
        if last is not None and (fallen := self._take_down(last)) is not None:
            self._marked[at] = None
            return fallen
        if at.going:
            return self._down(at) if not at.alive else None
        if last is None:
            self._bring_up(at)
        return None

    def _take_down(self, unit: Unit) -> Unit | None:
        """Tell a child, once; visit a supervisor until nothing below it lives."""
        if isinstance(unit.spec, SupervisorSpec):
            return self._visit(unit)
        if not unit.told:
            unit.told, unit.due_at = True, None
            self.move(unit, State.STOPPING)
            patience_s = shutdown.patience_s(unit.spec.shutdown_s, self.deadline, self.now)
            self.report(SupervisionKind.STOPPING, unit, f"{unit.why}, within {patience_s:g} s")
            self.out.append(Stop(unit.id, unit.incarnation, patience_s, unit.why))
        return None

    def _down(self, at: Unit) -> Unit | None:
        """Nothing below this supervisor lives any more."""
        if at is self.root:
            self.rest(at)
            self.report(SupervisionKind.ALL_DOWN, at, self.closing, cause=Cause.SHUTDOWN)
            self.out.append(Ended(self.closing))
            return None
        if not self.closing and not at.remembers:  # what was added leaves with its supervisor (statement 60)
            for child in [child for child in at.children.values() if child.added]:
                self.forget(child, f"it was added, and {at.id} is down")
        if at.failing is not None:
            at.fate, at.last_exit = None, at.failing
            return at
        self.rest(at)
        return None

    def _bring_up(self, at: Unit) -> None:
        while at.early:
            unit = next(iter(at.early))
            del at.early[unit]
            if unit.state is State.WAITING and not unit.in_line:
                self.start(unit)
        first = at.rises_next()
        if first is None:
            if at.state is State.RUNNING:
                self.ready(at)
        elif first.state is State.WAITING:
            self.start(first)


def _its_turn(at: Unit) -> bool:
    """Whether a supervisor that goes down may tell its children: nothing that goes before it still lives."""
    while at.going and at.parent is not None:
        if not at.alone and at.parent.falls_next() is not at:
            return False
        at = at.parent
    return True
