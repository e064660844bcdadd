"""One unit of the tree: a child or a supervisor, its spec, where it is in its life, and what is remembered about it.

A card in a card index (`supervisor/cards.py`). The tree machine writes on it and reads it; the card itself decides
nothing. A *fate* is written on a live unit that has to go down: the state it takes once its death is confirmed. On the
card of a supervisor stand its children in start order, and what is to be done about them (`supervisor/line.py`), so
that an event about one of them costs the same whether it has ten siblings or ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from supervisor.events import Cause
from supervisor.moves import ChildView
from supervisor.policy import intensity, parking, restart
from supervisor.spec import ChildSpec, DynamicSpec, Law, SupervisorSpec
from supervisor.words import ExitReason, Restart, State

DOWN = frozenset({State.STOPPED, State.WAITING, State.RESTARTING, State.QUARANTINED})


@dataclass(slots=True, eq=False)
class Unit:
    """Mutable, owned by one `Tree`."""

    spec: ChildSpec | SupervisorSpec
    path: str
    parent: Unit | None
    position: int  # grows in start order among siblings; gaps mean nothing
    children: dict[str, Unit] = field(default_factory=dict)  # in start order
    next_position: int = 0  # of a child to be added
    added: bool = False  # at run time; False: it stands in the spec of the tree

    state: State = State.STOPPED
    since: float = 0.0
    incarnation: int = 0
    started_at: float = 0.0
    pid: int | None = None
    ready_at: float | None = None  # of the current or the last incarnation
    due_at: float | None = None  # RESTARTING: the retry; STARTING and RUNNING: the start timeout

    cause: Cause = Cause.BOOT  # of the present or the next move
    why: str = ""
    fate: State | None = None
    alone: bool = False  # with a fate: goes down on its own, not in its place in a group
    told: bool = False  # the stop or kill of this incarnation went out
    sentence: ExitReason | None = None  # we are killing it for this (HUNG, START_TIMEOUT)
    failing: ExitReason | None = None  # a supervisor that goes down in order to fail upward
    in_line: bool = True  # takes its turn in start order
    held: bool = False  # an operator's word: stays down
    ended: bool = False  # for good, as its restart type says
    ordered: bool = False  # a person ordered the start that is under way
    fresh: bool = False  # added and not yet ready for the first time
    leaving: bool = False  # its card goes when it is down

    last_exit: ExitReason | None = None
    failures: int = 0
    streak: parking.Streak = parking.NONE
    window: intensity.Window = ()  # a child's own restarts; the restarts a supervisor granted
    restarts_total: int = 0
    safety: bool = field(init=False)  # is a safety child, or holds one

    # of a supervisor, kept by the line
    alive: int = 0  # children that are live
    loners: dict[Unit, None] = field(default_factory=dict)  # going down on their own account, still to be told
    early: dict[Unit, None] = field(default_factory=dict)  # waiting to come up out of line
    _falling: list[tuple[int, Unit]] = field(default_factory=list)  # going down in order: a heap, the last one first
    _rising: list[tuple[int, Unit]] = field(default_factory=list)  # on the way to ready: a heap, the first one first
    in_falling: bool = False  # of this unit, in the heaps of its parent
    in_rising: bool = False
    seen: ChildView | None = None  # the view of it, until something changes

    def __post_init__(self) -> None:
        self.safety = isinstance(self.spec, ChildSpec) and self.spec.safety

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def live(self) -> bool:
        """It may have a process; for a supervisor: it is up or on its way down."""
        return self.state not in DOWN

    @property
    def going(self) -> bool:
        """Live, and has to be down before anything in its place may start."""
        return self.fate is not None

    @property
    def comes_back(self) -> bool:
        """On its way down, and will be started again without an order."""
        return self.failing is not None or self.fate in (None, State.WAITING)

    @property
    def was_ready(self) -> bool:
        return self.ready_at is not None

    @property
    def dynamic(self) -> bool:
        """A supervisor whose children come and go: they have no order among each other."""
        return isinstance(self.spec, DynamicSpec)

    @property
    def remembers(self) -> bool:
        return isinstance(self.spec, DynamicSpec) and self.spec.remembers

    @property
    def passing(self) -> bool:
        """Its card goes when it has ended: a dynamic child's always, an added one's if it is temporary (34)."""
        if not self.added or self.parent is None:
            return False
        return self.parent.dynamic or self.spec.restart is Restart.TEMPORARY

    @property
    def tries_again(self) -> bool:
        """Down after a failed start, and with its next attempt its group is tried again (the law of OTP)."""
        return self.state is State.RESTARTING and not self.was_ready and not self.law.failed_start_is_alone

    @property
    def law(self) -> Law:
        """The law it lives under: its supervisor's; the root lives under its own."""
        above = self.parent.spec if self.parent is not None else self.spec
        assert isinstance(above, SupervisorSpec)
        return above.law

    @property
    def limit(self) -> tuple[int, float]:
        """(intensity, period_s) of its window."""
        if isinstance(self.spec, ChildSpec):
            return self.spec.budget.intensity, self.spec.budget.period_s
        return self.spec.intensity, self.spec.period_s

    @property
    def required(self) -> bool:
        if isinstance(self.spec, ChildSpec):
            return self.spec.required
        return any(child.required for child in self.children.values())

    @property
    def serves(self) -> bool:
        """Ready; for a supervisor: all that is required below it is ready, or ended as it should."""
        return self.state is State.READY and all(
            child.serves or child.ended for child in self.children.values() if child.required
        )

    def forget(self) -> None:
        """A clean record: an operator, or a change, starts it anew."""
        self.failures, self.streak, self.window = 0, parking.NONE, ()

    def falls_next(self) -> Unit | None:
        """Of the children that go down in order, the one whose turn it is: the last in start order."""
        while self._falling:
            unit = self._falling[0][1]
            if unit.going and not unit.alone:
                return unit
            heappop(self._falling)
            unit.in_falling = False
        return None

    def rises_next(self) -> Unit | None:
        """Of the children on their way to ready, the first in start order: all later ones in line wait for it."""
        while self._rising:
            unit = self._rising[0][1]
            if unit.holds_back:
                return unit
            heappop(self._rising)
            unit.in_rising = False
        return None

    @property
    def holds_back(self) -> bool:
        return restart.holds_back(self.state, in_line=self.in_line, comes_back=self.comes_back)

    def note(self, child: Unit) -> None:
        """Something about a child has changed: keep it where the line will look for it."""
        if child.going:
            if child.alone:
                self.loners[child] = None
            elif not child.in_falling:
                child.in_falling = True
                heappush(self._falling, (-child.position, child))
        if child.state is State.WAITING and not child.in_line:
            self.early[child] = None
        if not child.in_rising and child.holds_back:
            child.in_rising = True
            heappush(self._rising, (child.position, child))

    def overlook(self, child: Unit) -> None:
        """A child leaves, or all positions are given anew: look for it no more."""
        self.loners.pop(child, None)
        self.early.pop(child, None)
        if child.in_falling:
            self._falling = [entry for entry in self._falling if entry[1] is not child]
            heapify(self._falling)
        if child.in_rising:
            self._rising = [entry for entry in self._rising if entry[1] is not child]
            heapify(self._rising)
        child.in_falling = child.in_rising = False

    def view(self, now: float) -> ChildView:
        """What can be seen of it at `now`. Kept until something changes, unless it changes with time by itself."""
        if self.seen is not None:
            return self.seen
        view = self._view(now)
        if isinstance(self.spec, ChildSpec) and not view.restarts_in_window:
            self.seen = view
        return view

    def _view(self, now: float) -> ChildView:
        limit, period_s = self.limit
        return ChildView(
            path=self.path,
            id=self.id,
            kind="worker" if isinstance(self.spec, ChildSpec) else "supervisor",
            state=self.state,
            incarnation=self.incarnation,
            pid=self.pid,
            since=self.since,
            restarts_in_window=len(intensity.within(self.window, period_s, now)),
            restart_limit=limit,
            restarts_total=self.restarts_total,
            next_retry_at=self.due_at if self.state is State.RESTARTING else None,
            last_exit=self.last_exit,
            ready=self.serves,
            required=self.required,
        )
