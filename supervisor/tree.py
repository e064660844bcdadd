"""The tree machine: what happened goes in, what to do comes out. The law of supervision, with no process in sight.

Picture a stationmaster with a card per train (`supervisor/unit.py`), one railway line (`supervisor/line.py`) and a rule
book (`supervisor/policy`). A telegram arrives; by the rule book he writes on the cards what has to go down and what
waits to come up; then he walks the line and gives the signals that are due. He never waits: what is not due now becomes
due with a later telegram.

After an exit nobody asked for there is one ladder: end, park, restart; then the budget, and who answers when it is
spent. An escalation is a message with a cause that climbs, not a death that spreads.

It knows no clock, process, thread or logger, and it never raises for what it is told: an echo of an older incarnation
or of an unknown child is ignored, an impossible order is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from random import Random
from typing import Any

from supervisor import spec as specs
from supervisor.admin import Admin
from supervisor.cards import Cards
from supervisor.events import Cause, SupervisionKind
from supervisor.line import Line
from supervisor.moves import (
    Action,
    AddChild,
    Answer,
    Boot,
    ChildView,
    Convicted,
    Due,
    Ended,
    Event,
    Exited,
    GiveUp,
    Kept,
    Kill,
    Order,
    Ready,
    Remember,
    RemoveChild,
    Report,
    Shutdown,
    Start,
    Started,
    Stop,
    Verb,
    Wake,
)
from supervisor.policy import backoff, intensity, parking, restart, shutdown
from supervisor.spec import ChildSpec, InvalidSpec, SupervisorSpec
from supervisor.unit import Unit
from supervisor.words import ExitKind, ExitReason, OnExhausted, State

__all__ = [
    "Action",
    "AddChild",
    "Answer",
    "Boot",
    "ChildView",
    "Convicted",
    "Due",
    "Ended",
    "Event",
    "Exited",
    "GiveUp",
    "Kill",
    "Order",
    "Ready",
    "Remember",
    "RemoveChild",
    "Report",
    "Shutdown",
    "Start",
    "Started",
    "Stop",
    "Tree",
    "Verb",
    "Wake",
]


class Tree:
    """One whole tree. `handle` is all there is to it; `children` is what people look at.

    `incarnations` lets a root that was itself restarted go on counting, `intent` keeps down what was kept down,
    `remembered` brings back the children of dynamic supervisors that remember (`Remember`). `patience`: times its
    `start_timeout_s` a child may take to its ready; more than 1 where a judge watches starts and tells one that moves
    from one that hangs, so that the timer is the last resort. Raises `InvalidSpec` with every fault of the spec.
    """

    def __init__(
        self,
        spec: SupervisorSpec,
        rng: Random,
        incarnations: Mapping[str, int] | None = None,
        intent: Mapping[str, Kept] | None = None,
        remembered: Mapping[str, tuple[ChildSpec, ...]] | None = None,
        patience: float = 1.0,
    ) -> None:
        if faults := specs.check(spec):
            raise InvalidSpec("; ".join(faults))
        self._line = line = Line(Cards(spec, incarnations or {}, remembered or {}), intent or {}, patience)
        self._rng = rng
        self._seen: tuple[ChildView, ...] | None = None  # the view of all, until the next event
        admin = Admin(line)
        self._on: dict[type[Event], Callable[[Any], None]] = {
            Boot: self._boot,
            Started: self._started,
            Ready: self._ready,
            Exited: self._exited,
            Due: self._due,
            Order: admin.order,
            AddChild: admin.add,
            RemoveChild: admin.remove,
            Convicted: self._convicted,
            Shutdown: self._shutdown,
        }

    def handle(self, event: Event, now: float) -> list[Action]:
        """What to do about `event`, to be done in this order. `now` is monotonic, in seconds."""
        line = self._line
        line.now, line.out, self._seen = now, [], None
        self._on[type(event)](event)
        while (fallen := line.settle()) is not None:
            reason, fallen.failing = fallen.failing, None
            assert reason is not None
            self._fell(fallen, reason)
        return line.out

    def children(self) -> tuple[ChildView, ...]:
        """Every unit, supervisors and root included, in start order, parents first, as of the last event."""
        if self._seen is None:
            self._seen = tuple(unit.view(self._line.now) for unit in self._line)
        return self._seen

    def child(self, id: str) -> ChildView | None:
        """One unit as of the last event."""
        unit = self._line.units.get(id)
        return unit.view(self._line.now) if unit is not None else None

    # -- what is told ---------------------------------------------------------------------------------------------

    def _boot(self, event: Boot) -> None:
        line = self._line
        if line.root.live or line.closing:
            return
        for unit in line:
            unit.since = line.now
            if unit.state is State.QUARANTINED:
                line.report(SupervisionKind.QUARANTINED, unit, unit.why)
        for at, why in line.cards.refused:
            line.report(SupervisionKind.FORGOTTEN, at, why)
        line.start(line.root)

    def _started(self, event: Started) -> None:
        if (unit := self._current(event)) is None:
            return
        unit.pid = event.pid
        if unit.state is State.STARTING:
            self._line.move(unit, State.RUNNING)
            self._line.report(SupervisionKind.STARTED, unit, f"pid {event.pid}")
        self._line.mark(unit)

    def _ready(self, event: Ready) -> None:
        unit = self._current(event)
        if unit is not None and unit.state in (State.STARTING, State.RUNNING):
            self._line.ready(unit)

    def _exited(self, event: Exited) -> None:
        if (unit := self._current(event)) is None:
            return
        reason = restart.classify(
            event.reason, was_ready=unit.was_ready, asked=unit.going, sentence=unit.sentence, law=unit.law
        )
        unit.last_exit, unit.pid, unit.due_at = reason, None, None
        if unit.going:
            self._line.rest(unit)
        else:
            self._fell(unit, reason, worked=event.worked, inputs=event.inputs)

    def _convicted(self, event: Convicted) -> None:
        unit = self._current(event)
        if unit is not None and unit.sentence is None:  # one that hangs in its stop is killed too
            self._line.convict(unit, ExitKind.HUNG, event.detail)

    def _due(self, event: Due) -> None:
        line, unit = self._line, self._line.units.get(event.id)
        if unit is None or (due_at := line.deadline if unit is line.root else unit.due_at) is None:
            return
        if line.now < due_at:  # a timer that came early, or an older wake
            if due_at < inf:
                line.out.append(Wake(unit.id, due_at))
        elif unit is line.root:
            for late in line:
                if late.state is State.STOPPING and isinstance(late.spec, ChildSpec):
                    line.kill(late, Cause.SHUTDOWN, "the deadline of the whole shutdown has passed")
        elif unit.tries_again:
            unit.due_at = None
            assert unit.last_exit is not None
            if self._afford(unit, unit.last_exit):
                self._bring_back(unit)
        elif unit.state is State.RESTARTING:
            unit.due_at = None
            line.move(unit, State.WAITING)
        elif isinstance(unit.spec, ChildSpec):
            within_s = unit.spec.start_timeout_s * line.patience
            line.convict(unit, ExitKind.START_TIMEOUT, f"not ready within {within_s:g} s")

    def _shutdown(self, event: Shutdown) -> None:
        line = self._line
        line.deadline = shutdown.deadline(event.within_s, line.now, line.deadline)
        if line.closing and not line.root.live:
            return  # it has ended already
        if line.deadline < inf:
            line.out.append(Wake(line.root.id, line.deadline))
        if line.closing:
            return
        line.closing = event.reason or "asked to"
        line.report(SupervisionKind.SHUTDOWN, line.root, line.closing, cause=Cause.SHUTDOWN)
        line.doom(line.root, State.STOPPED, Cause.SHUTDOWN, line.closing)
        if not line.root.live:  # nothing ever ran
            line.out.append(Ended(line.closing))

    # -- the ladder after an exit nobody asked for ------------------------------------------------------------------

    def _fell(self, unit: Unit, reason: ExitReason, *, worked: bool = False, inputs: str = "") -> None:
        line = self._line
        line.move(unit, State.STOPPED)
        unit.cause, unit.why = Cause.HUNG if reason.kind is ExitKind.HUNG else Cause.EXIT, reason.sentence()
        line.report(SupervisionKind.EXITED, unit, unit.why, exit=reason)
        soon = self._ready_for_s(unit) < unit.spec.backoff.reset_after_s
        unit.streak = parking.follow(unit.streak, reason, worked=worked, inputs=inputs, soon=soon)
        looping = isinstance(unit.spec, ChildSpec) and parking.is_loop(unit.streak)
        if not unit.was_ready and self._start_is_over(unit, reason):
            return
        match restart.after_exit(unit.spec.restart, reason, safety=unit.safety, looping=looping, law=unit.law):
            case restart.Next.END:
                self._ended(unit, reason)
            case restart.Next.REFUSED:
                line.park(unit, Cause.REFUSED, f"trying again cannot help, {unit.why}")
            case restart.Next.CRASH_LOOP:
                line.park(unit, Cause.CRASH_LOOP, f"{parking.times(unit.streak)} times in a row {unit.why}")
            case restart.Next.RESTART:
                if not self._tries_later(unit) and self._afford(unit, reason):
                    self._bring_back(unit, self._pace_s(unit, worked=worked))

    def _ended(self, unit: Unit, reason: ExitReason) -> None:
        """For good, by its restart type. A significant one may take its supervisor with it (statements 91-95)."""
        line, above = self._line, unit.parent
        assert above is not None
        assert isinstance(above.spec, SupervisorSpec)
        unit.ended = True
        line.report(SupervisionKind.ENDED, unit, f"it is {unit.spec.restart}; {unit.why}", exit=reason)
        if unit.passing:
            line.forget(unit, "it has ended for good")
        if not unit.spec.significant:
            return
        significant = (child.state for child in above.children.values() if child.spec.significant)
        if restart.shuts_down(above.spec.auto_shutdown, significant):
            why = f"its significant child {unit.id} ended for good, {unit.why}"
            line.report(SupervisionKind.AUTO_SHUTDOWN, above, why, cause=Cause.SIGNIFICANT, exit=reason)
            if above is line.root:
                self._shutdown(Shutdown(f"{above.id}: {why}"))
            else:
                self._leave(above, ExitReason(kind=ExitKind.SHUTDOWN, detail=why), Cause.SIGNIFICANT)

    def _start_is_over(self, unit: Unit, reason: ExitReason) -> bool:
        """A start failed. True where the law asks no further: it was ordered, or part of its supervisor's own start."""
        above, ordered = unit.parent, unit.ordered
        unit.ordered = False
        assert above is not None
        if reason.kind is ExitKind.SHUTDOWN:
            return False  # an orderly end, however early
        if ordered and not unit.law.orders_retry:
            if unit.fresh:
                self._line.forget(unit, f"its first start failed, {unit.why}")
                return True
            unit.held = True
            self._line.report(SupervisionKind.STOPPED, unit, f"the ordered start failed, {unit.why}", exit=reason)
            return True
        booting = above.state is State.RUNNING and not ordered and not above.dynamic
        if booting and restart.aborts_boot(required=unit.required, safety=above.safety, law=unit.law):
            failure = ExitReason(kind=ExitKind.START_FAILED, detail=f"failed to start child {unit.id}: {unit.why}")
            self._fail_up(above, failure, Cause.EXIT)
            return True
        return False

    def _afford(self, unit: Unit, reason: ExitReason) -> bool:
        """Pay one restart, from the child's budget and from its supervisor's intensity; False when not granted."""
        assert unit.parent is not None
        if not intensity.costs(reason, unit.law):
            return True
        purses = [unit, unit.parent] if isinstance(unit.spec, ChildSpec) else [unit.parent]
        paid = [intensity.grant(purse.window, *purse.limit, self._line.now) for purse in purses]
        for purse, window in zip(purses, paid, strict=True):
            if window is None and not self._spent(purse, purse.spec.on_exhausted, unit, reason):
                return False
        for purse, window in zip(purses, paid, strict=True):
            purse.window = window or intensity.overdraw(purse.window, *purse.limit, self._line.now)
        return True

    def _spent(self, at: Unit, answer: OnExhausted, fallen: Unit, reason: ExitReason) -> bool:
        """`fallen` wanted one more restart than a window allows, and `at` answers. True when it gets it anyway."""
        line, up = self._line, at.parent
        cause = Cause.BUDGET if at is fallen else Cause.INTENSITY
        count, period_s = at.limit
        why = f"more than {count} restarts in {period_s:g} s, the last for {fallen.id}: {fallen.why}"
        line.report(SupervisionKind.EXHAUSTED, at, why, cause=cause, exit=reason)
        if answer is OnExhausted.HALT:
            line.report(SupervisionKind.HALT, at, why, cause=cause, exit=reason)
        is_supervisor = isinstance(at.spec, SupervisorSpec)
        match intensity.when_spent(answer, supervisor=is_supervisor, root=up is None, safety=at.safety):
            case intensity.Spent.PARK:
                line.park(at, cause, why)
            case intensity.Spent.ASK_UP if up is not None:
                line.report(SupervisionKind.ESCALATED, at, why, cause=cause, exit=reason)
                return self._spent(up, intensity.asked_up(answer, up.spec.on_exhausted), fallen, reason)
            case intensity.Spent.FAIL_UP:
                self._fail_up(at, ExitReason(kind=ExitKind.MAX_RESTARTS, detail=why), cause)
            case intensity.Spent.LEAVE:
                self._fail_up(at, ExitReason(kind=ExitKind.SHUTDOWN, detail=why), cause)
            case intensity.Spent.GIVE_UP:
                self._fail_up(at, reason, cause, why)
            case _:  # carry on: restart what must not be parked, park what may
                if fallen.safety:
                    return True
                line.park(fallen, cause, why)
        return False

    def _fail_up(self, at: Unit, reason: ExitReason, cause: Cause, why: str = "") -> None:
        """A supervisor ends like a crashing child: first all below it, then `_fell` decides at its parent. The root has
        nobody above it: it gives up, and the tree ends."""
        line, why = self._line, why or reason.detail
        if at is line.root:
            line.report(SupervisionKind.GAVE_UP, at, why, cause=cause, exit=reason)
            line.out.append(GiveUp(why))
            self._shutdown(Shutdown(f"{at.id} gave up, {why}"))
            return
        line.report(SupervisionKind.ESCALATED, at, why, cause=cause, exit=reason)
        self._leave(at, reason, cause)

    def _leave(self, at: Unit, reason: ExitReason, cause: Cause) -> None:
        """A supervisor goes down by itself, all below it first; when it is down, `_fell` decides at its parent."""
        self._line.doom(at, State.STOPPED, cause, reason.detail, alone=True)
        at.failing = reason
        self._line.mark(at)

    def _tries_later(self, unit: Unit) -> bool:
        """A start that failed, where that is its group's affair: the group stays as it is until the next attempt is
        due; only then is it paid for and begun, as with the message that OTP's supervisor sends to itself (46, 57)."""
        if unit.was_ready or unit.law.failed_start_is_alone or not (delay_s := self._pace_s(unit, worked=False)):
            return False
        assert unit.parent is not None
        assert isinstance(unit.parent.spec, SupervisorSpec)
        strategy = unit.parent.spec.strategy
        unit.in_line = restart.stands_in_line(strategy, shares_fate=True)
        for sibling in reversed(unit.parent.children.values()) if unit.in_line else ():
            if sibling is unit:
                break
            self._line.strand(sibling)
        self._line.back_off(unit, delay_s)
        return True

    def _ready_for_s(self, unit: Unit) -> float:
        return self._line.now - unit.ready_at if unit.ready_at is not None else 0.0

    def _pace_s(self, unit: Unit, *, worked: bool) -> float:
        """How long its restart waits, and one more failure on its card."""
        pace = unit.spec.backoff
        unit.failures = backoff.failures_after(unit.failures, pace, worked=worked, ready_for_s=self._ready_for_s(unit))
        return backoff.delay_s(pace, unit.failures, worked=worked, safety=unit.safety, rng=self._rng)

    def _bring_back(self, unit: Unit, delay_s: float = 0.0) -> None:
        """Take down those who share its fate, and put the replacement where the walk will start it."""
        assert unit.parent is not None
        assert isinstance(unit.parent.spec, SupervisorSpec)
        line, siblings, strategy = self._line, unit.parent.children, unit.parent.spec.strategy
        shares_fate = restart.shares_fate(was_ready=unit.was_ready, law=unit.law)
        group: list[Unit] = []
        for sibling in reversed(siblings.values()) if shares_fate else ():
            if not restart.falls_with(strategy, unit.position, sibling.position):
                break  # nor does any before it
            if sibling is not unit:
                group.append(sibling)
        group.reverse()
        if falling := [sibling for sibling in group if sibling.live]:
            line.report(SupervisionKind.GROUP, unit, ", ".join(sibling.id for sibling in falling))
        for sibling in falling:
            line.doom(sibling, restart.after_group_stop(sibling.spec.restart), Cause.GROUP, f"{unit.id} {unit.why}")
        for sibling in group:
            if not unit.law.stopped_stays or not (sibling.held or sibling.ended):
                line.revive(sibling)
        unit.in_line = restart.stands_in_line(strategy, shares_fate=shares_fate)
        unit.restarts_total += 1
        unit.parent.restarts_total += 1
        if delay_s > 0:
            line.back_off(unit, delay_s)
        else:
            line.move(unit, State.WAITING)
            line.report(SupervisionKind.RESTARTING, unit, "at once")

    # -- who is meant -------------------------------------------------------------------------------------------------

    def _current(self, event: Started | Ready | Exited | Convicted) -> Unit | None:
        """The child an event is about; None for an echo: unknown, an older incarnation, or already dead."""
        unit = self._line.units.get(event.id)
        if unit is None or isinstance(unit.spec, SupervisorSpec):
            return None
        return unit if unit.live and unit.incarnation == event.incarnation else None
