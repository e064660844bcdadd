"""One unit of the tree: a child or a supervisor, its spec, where it is in its life, and what is remembered about it.

A card in a card index. The tree machine writes on it and reads it; the card itself decides nothing and knows no
siblings. A *fate* is written on a live unit that has to go down: the state it takes once its death is confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.events import Cause
from supervisor.moves import ChildView
from supervisor.policy import intensity, parking
from supervisor.spec import ChildSpec, Law, SupervisorSpec
from supervisor.words import ExitReason, State

DOWN = frozenset({State.STOPPED, State.WAITING, State.RESTARTING, State.QUARANTINED})


@dataclass(slots=True, eq=False)
class Unit:
    """Mutable, owned by one `Tree`."""

    spec: ChildSpec | SupervisorSpec
    path: str
    parent: Unit | None
    position: int  # among its siblings, in start order
    children: tuple[Unit, ...] = ()

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

    last_exit: ExitReason | None = None
    failures: int = 0
    streak: parking.Streak = parking.NONE
    window: intensity.Window = ()  # a child's own restarts; the restarts a supervisor granted
    restarts_total: int = 0
    safety: bool = field(init=False)  # is a safety child, or holds one

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
        return any(child.required for child in self.children)

    @property
    def serves(self) -> bool:
        """Ready; for a supervisor: all that is required below it is ready, or ended as it should."""
        return self.state is State.READY and all(c.serves or c.ended for c in self.children if c.required)

    def forget(self) -> None:
        """A clean record: an operator, or a change, starts it anew."""
        self.failures, self.streak, self.window = 0, parking.NONE, ()

    def view(self, now: float) -> ChildView:
        """What can be seen of it at `now`."""
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


def plant(spec: ChildSpec | SupervisorSpec, parent: Unit | None = None, position: int = 0) -> Unit:
    """The unit of a spec with all units below it."""
    unit = Unit(spec, f"{parent.path}/{spec.id}" if parent else spec.id, parent, position)
    if isinstance(spec, SupervisorSpec):
        unit.children = tuple(plant(item, unit, place) for place, item in enumerate(spec.children))
        unit.safety = any(child.safety for child in unit.children)
    return unit
