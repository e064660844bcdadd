"""The order of stops and starts: what has to go down and what waits to come up, turned into signals when due.

Picture a single railway line and a walk along it. Cards (`supervisor/unit.py`) say what has to go down (`doom`) and
what waits. The walk (`settle`) tells units to stop in reverse start order, each confirmed dead before the next is told,
and starts units in start order, each ready before the next is started; never up while something of the same group is
still going down. What is not due now becomes due with a later event: nothing here waits, and nothing here decides who
has to go; that is `supervisor/tree.py`, by the rules in `supervisor/policy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from supervisor.events import Cause, SupervisionKind, supervision
from supervisor.moves import Action, Ended, Kept, Kill, Report, Start, Stop, Wake
from supervisor.policy import restart, shutdown
from supervisor.spec import ChildSpec, InvalidSpec, SupervisorSpec
from supervisor.unit import Unit, plant
from supervisor.words import ExitKind, ExitReason, Restart, State


class Line:
    """All units of one tree, the present moment, and the actions of this turn (`out`)."""

    def __init__(self, spec: SupervisorSpec, incarnations: Mapping[str, int], intent: Mapping[str, Kept]) -> None:
        self.root = plant(spec)
        self.units = {unit.id: unit for unit in self}
        if len(self.units) < sum(1 for _ in self):
            raise InvalidSpec(f"{spec.id}: this name of the root is used again below it; names are unique in the tree")
        for name in incarnations.keys() & self.units.keys():
            self.units[name].incarnation = incarnations[name]
        for name in intent.keys() & (self.units.keys() - {spec.id}):
            unit, kept = self.units[name], intent[name]
            unit.held = kept.state is State.STOPPED
            unit.state, unit.cause, unit.why = kept.state, kept.cause, kept.why
        self.now = 0.0
        self.out: list[Action] = []
        self.closing = ""  # the reason of the shutdown under way
        self.deadline = inf  # of that shutdown
        self._moved = False

    def __iter__(self) -> Iterator[Unit]:
        """Every unit in start order, parents first."""
        return _below(self.root)

    def settle(self) -> Unit | None:
        """Give every signal that is due now. Returns a supervisor that is down in order to fail upward, if there is
        one: what becomes of it is to be decided before the walk goes on."""
        self._moved = True
        while self._moved:  # each walk only brings units nearer to rest, so this ends
            self._moved = False
            if (fallen := self._walk(self.root)) is not None:
                return fallen
        return None

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
            return  # it goes down on an account of its own; the group only waits for it
        self._moved = True
        if not (unit.fate is State.QUARANTINED and cause in (Cause.PARENT, Cause.SHUTDOWN)):
            unit.fate, unit.cause, unit.why = fate, cause, why
        if isinstance(unit.spec, SupervisorSpec):
            unit.failing = None
            if unit.state is not State.STOPPING:
                self.move(unit, State.STOPPING)
                self.report(SupervisionKind.STOPPING, unit, why)
            below = Cause.SHUTDOWN if cause is Cause.SHUTDOWN else Cause.PARENT
            for child in unit.children:
                self.doom(child, State.STOPPED, below, why)

    def revive(self, unit: Unit) -> None:
        """Stopped or ended, it comes up with its group all the same, as in OTP; what is temporary is gone."""
        if unit.state is State.STOPPED and unit.spec.restart is not Restart.TEMPORARY:
            unit.held, unit.in_line, unit.cause = False, True, Cause.GROUP
            self.move(unit, State.WAITING)

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
            unit.due_at = self.now + unit.spec.start_timeout_s
            self.report(SupervisionKind.STARTING, unit)
            self.out += [Start(unit.id, unit.path, unit.incarnation, unit.spec), Wake(unit.id, unit.due_at)]
            return
        self.move(unit, State.RUNNING)
        self.report(SupervisionKind.STARTING, unit)
        unit.window = ()  # a new supervisor has a new record, as in OTP; so have its children's budgets
        stays = unit.spec.law.stopped_stays or unit.cause is Cause.BOOT
        for child in unit.children:
            child.window = ()
            child.held = child.held and stays
            if not child.held and child.state is not State.QUARANTINED:
                child.in_line, child.cause = True, Cause.BOOT if unit.cause is Cause.BOOT else Cause.PARENT
                self.move(child, State.WAITING)

    def ready(self, unit: Unit) -> None:
        """It serves: later siblings in line may start."""
        unit.ready_at, unit.due_at, unit.ordered = self.now, None, False
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

    def move(self, unit: Unit, state: State) -> None:
        """The one place where a state changes."""
        if unit.state is not state:
            unit.state, unit.since, self._moved = state, self.now, True

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

    def _walk(self, at: Unit) -> Unit | None:
        """Below this supervisor, deepest first."""
        waits = False  # for a confirmed death, before the next of the group is told
        for unit in reversed(at.children):
            fallen = None
            if unit.going and (unit.alone or not waits):
                fallen = self._take_down(unit)
            elif unit.live and not unit.going and isinstance(unit.spec, SupervisorSpec):
                fallen = self._walk(unit)
            if fallen is not None:
                return fallen
            waits = waits or (unit.going and not unit.alone)
        if at.going:
            if at is self.root and not any(unit.live for unit in at.children):
                self.rest(at)
                self.report(SupervisionKind.ALL_DOWN, at, self.closing, cause=Cause.SHUTDOWN)
                self.out.append(Ended(self.closing))
        elif at.live and not waits:
            self._bring_up(at)
        return None

    def _take_down(self, unit: Unit) -> Unit | None:
        """Tell a child, once; walk a supervisor until nothing below it lives."""
        if isinstance(unit.spec, ChildSpec):
            if not unit.told:
                unit.told, unit.due_at = True, None
                self.move(unit, State.STOPPING)
                patience_s = shutdown.patience_s(unit.spec.shutdown_s, self.deadline, self.now)
                self.report(SupervisionKind.STOPPING, unit, f"{unit.why}, within {patience_s:g} s")
                self.out.append(Stop(unit.id, unit.incarnation, patience_s, unit.why))
            return None
        if (fallen := self._walk(unit)) is not None:
            return fallen
        if any(child.live for child in unit.children):
            return None
        if unit.failing is not None:
            unit.fate, unit.last_exit = None, unit.failing
            return unit
        self.rest(unit)
        return None

    def _bring_up(self, at: Unit) -> None:
        held_back = False
        for unit in at.children:
            if unit.state is State.WAITING and not (held_back and unit.in_line):
                self.start(unit)
            held_back = held_back or restart.holds_back(unit.state, in_line=unit.in_line, comes_back=unit.comes_back)
        if at.state is State.RUNNING and not held_back:
            self.ready(at)


def _below(unit: Unit) -> Iterator[Unit]:
    yield unit
    for child in unit.children:
        yield from _below(child)
