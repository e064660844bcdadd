"""A world for the tree machine: processes, timers and a clock, all fake, and a judge who watches every turn.

The judge knows nothing of how the tree is built. After every event it compares the actions and the view with what it
sees from outside: which processes live, who was told to stop, when restarts happened. Any test that drives a `World`
is therefore also a test of the laws in `_watch` and `look`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from supervisor.cards import from_template
from supervisor.events import Cause, Supervision, SupervisionKind
from supervisor.spec import ChildSpec, DynamicSpec, SupervisorSpec, child, make, supervise
from supervisor.tree import (
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
    Tree,
    Verb,
    Wake,
)
from supervisor.words import ExitKind, ExitReason, State, Strategy

CRASH = ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint="boom")
ASKED = ExitReason(kind=ExitKind.SHUTDOWN)
DOWN = (SupervisionKind.STOPPED, SupervisionKind.EXITED, SupervisionKind.QUARANTINED)


def leaf(name: str, **fields: Any) -> ChildSpec:
    return child(name, "actors.feed:Feed", spec=fields)


def root(strategy: Strategy, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    return supervise("root", strategy, list(children), **{"intensity": 1000, **fields})


def pool(name: str, **fields: Any) -> DynamicSpec:
    return make(DynamicSpec, **{"id": name, "intensity": 1000, **fields})


@dataclass
class Process:
    incarnation: int
    pid: int
    started: bool = False
    ready: bool = False
    told: Cause | None = None  # why it was told to stop


class World:
    def __init__(
        self,
        spec: SupervisorSpec,
        *,
        seed: int = 0,
        incarnations: dict[str, int] | None = None,
        remembered: dict[str, tuple[ChildSpec, ...]] | None = None,
        patience: float = 1.0,
    ) -> None:
        self.tree = Tree(spec, Random(seed), incarnations or {}, remembered=remembered, patience=patience)
        self.now = 100.0
        self.processes: dict[str, Process] = {}
        self.failing: dict[str, float] = {}  # how many of the next starts of a child fail; infinity: all
        self.timers: dict[str, float] = {}
        self.counted: dict[str, int] = dict(incarnations or {})
        self.turn: list[Action] = []
        self.actions: list[Action] = []
        self.records: list[Supervision] = []
        self.ended = 0
        self.closing = False
        self._falling: dict[str, Cause] = {}
        self._pids = 1000
        self._orders = 0
        self._paid: dict[str, list[float]] = {}
        self._was_ready: set[str] = set()  # in its present or last incarnation
        self.leaves: dict[str, ChildSpec] = {}
        self.supervisors: dict[str, SupervisorSpec] = {}
        self.parent: dict[str, str] = {}
        self.kids: dict[str, list[str]] = {}
        self.root = spec.id
        self.stored: dict[str, dict[str, ChildSpec]] = {
            name: {s.id: s for s in kept} for name, kept in (remembered or {}).items()
        }
        self._survey(spec)
        for name in self.supervisors.keys() & self.stored.keys():
            for kept in self.stored[name].values():
                if self.tree.child(kept.id) is not None and kept.id not in self.parent:
                    self._enter(name, kept)

    def _survey(self, spec: ChildSpec | SupervisorSpec) -> None:
        if isinstance(spec, ChildSpec):
            self.leaves[spec.id] = spec
            return
        self.supervisors[spec.id] = spec
        self.kids[spec.id] = []
        for item in spec.children:
            self._enter(spec.id, item)

    def _enter(self, above: str, spec: ChildSpec | SupervisorSpec) -> None:
        self.kids[above].append(spec.id)
        self.parent[spec.id] = above
        self._survey(spec)

    def _leave(self, name: str) -> None:
        for item in self.kids.pop(name, []):
            self._leave(item)
        if above := self.parent.pop(name, None):
            self.kids.get(above, [name]).remove(name)
        self.leaves.pop(name, None)
        self.supervisors.pop(name, None)
        self._paid.pop(name, None)

    @property
    def order(self) -> list[str]:
        """Every unit in start order, parents first."""

        def from_(name: str) -> Iterator[str]:
            yield name
            for item in self.kids.get(name, []):
                yield from from_(item)

        return list(from_(self.root))

    # -- what a test does -----------------------------------------------------------------------------------------

    def tell(self, event: Event) -> list[Action]:
        self.turn = self.tree.handle(event, self.now)
        self._watch(event)
        self.look()
        return self.turn

    def boot(self, *ready: str) -> World:
        """Boot, and let these (all, when none are named) become ready as they are started."""
        self.tell(Boot())
        self.flow(*ready)
        return self

    def flow(self, *names: str) -> None:
        """Let starts become ready and stops be confirmed, until nothing moves without time passing."""
        while moving := [n for n in self.processes if (not names or n in names) and self._can_move(n)]:
            name = moving[0]
            if self.processes[name].told is not None:
                self.die(name, ASKED)
            elif self.failing.get(name, 0) > 0:
                self.failing[name] -= 1
                self.die(name)
            else:
                self.up(name)

    def _can_move(self, name: str) -> bool:
        return self.processes[name].told is not None or not self.processes[name].ready

    def up(self, name: str) -> list[Action]:
        process = self.processes[name]
        if not process.started:
            process.started = True
            self._pids += 1
            process.pid = self._pids
            self.tell(Started(name, process.incarnation, process.pid))
        if name not in self.processes or self.processes[name] is not process or process.ready:
            return self.turn
        process.ready = True
        return self.tell(Ready(name, process.incarnation))

    def die(self, name: str, reason: ExitReason = CRASH, *, worked: bool = False, inputs: str = "") -> list[Action]:
        process = self.processes.pop(name)
        return self.tell(Exited(name, process.incarnation, reason, worked, inputs))

    def crash_and_return(self, name: str, reason: ExitReason = CRASH, *, worked: bool = True, inputs: str = "") -> None:
        """One whole round: it ends, waits its backoff, and everything that comes back is ready again."""
        self.die(name, reason, worked=worked, inputs=inputs)
        self.flow()
        if self.state(name) is State.RESTARTING:
            self.wait_until(self.view(name).next_retry_at or 0.0)
            self.flow()

    def convict(self, name: str) -> list[Action]:
        return self.tell(Convicted(name, self.processes[name].incarnation, "no progress for 9 s, two keys"))

    def order_(self, verb: str, name: str) -> Answer:
        return self._ask(Order(self._order_id(), Verb(verb), name))

    def add(self, above: str, spec: ChildSpec | str) -> Answer:
        """Add a child; a name alone: from the template."""
        if isinstance(spec, str):
            return self._ask(AddChild(self._order_id(), above, None, spec))
        return self._ask(AddChild(self._order_id(), above, spec))

    def remove(self, name: str) -> Answer:
        return self._ask(RemoveChild(self._order_id(), name))

    def _order_id(self) -> str:
        self._orders += 1
        return f"o{self._orders}"

    def _ask(self, event: Order | AddChild | RemoveChild) -> Answer:
        answers = [action for action in self.tell(event) if isinstance(action, Answer)]
        assert [answer.order_id for answer in answers] == [event.order_id], "exactly one answer, in the same turn"
        return answers[0]

    def wait(self, seconds: float) -> None:
        self.wait_until(self.now + seconds)

    def wait_until(self, at: float) -> None:
        while due := [n for n, due_at in self.timers.items() if due_at <= at]:
            name = min(due, key=lambda n: self.timers[n])
            self.now = max(self.now, self.timers.pop(name))
            self.tell(Due(name))
        self.now = max(self.now, at)

    # -- what a test sees -------------------------------------------------------------------------------------------

    def view(self, name: str) -> ChildView:
        return next(view for view in self.tree.children() if view.id == name)

    def state(self, name: str) -> State:
        return self.view(name).state

    def states(self) -> dict[str, str]:
        return {view.id: str(view.state) for view in self.tree.children() if view.id in self.leaves}

    def since(self, mark: int) -> list[str]:
        """Starts and stops after this many actions, as "start a 2", "stop b 1", "kill c 1"."""
        words = {Start: "start", Stop: "stop", Kill: "kill"}
        return [
            f"{words[type(action)]} {action.id} {action.incarnation}"
            for action in self.actions[mark:]
            if isinstance(action, Start | Stop | Kill)
        ]

    def said(self, kind: SupervisionKind) -> list[Supervision]:
        return [record for record in self.records if record.kind is kind]

    def below(self, name: str) -> Iterator[str]:
        """The leaves of a unit."""
        if name in self.leaves:
            yield name
            return
        for item in self.kids[name]:
            yield from self.below(item)

    def siblings(self, name: str) -> list[str]:
        return self.kids[self.parent[name]]

    def is_dynamic(self, name: str) -> bool:
        return isinstance(self.supervisors[self.parent[name]], DynamicSpec)

    # -- the laws -----------------------------------------------------------------------------------------------------

    def _watch(self, event: Event) -> None:
        cause: dict[str, Cause] = {}
        parked: list[str] = []
        for action in self.turn:
            match action:
                case Start():
                    assert action.id not in self.processes, f"{action.id} starts while its predecessor lives"
                    assert action.incarnation == self.counted.get(action.id, 0) + 1, "incarnations count by one"
                    assert action.spec == self.leaves[action.id]
                    assert not self.closing, "nothing starts during shutdown"
                    self._no_start_into_a_falling_group(action.id)
                    self.counted[action.id] = action.incarnation
                    self.processes[action.id] = Process(action.incarnation, 0)
                case Stop():
                    process = self.processes[action.id]
                    assert process.incarnation == action.incarnation
                    assert process.told is None, f"{action.id} is told twice"
                    process.told = cause[action.id]
                    if process.told is not Cause.ORDER:
                        self._later_siblings_are_dead(action.id)
                case Kill():
                    assert self.processes[action.id].incarnation == action.incarnation
                    self.processes[action.id].told = cause[action.id]
                case Wake():
                    self.timers[action.id] = action.at
                case Remember():
                    stored = self.stored.setdefault(action.supervisor_id, {})
                    if action.spec is None:
                        del stored[action.id]
                    else:
                        stored[action.id] = action.spec
                case Report():
                    record = action.record
                    assert record.at == self.now
                    assert "{" not in record.sentence
                    self.records.append(record)
                    cause[record.id] = record.cause
                    if record.kind is SupervisionKind.STOPPING:
                        self._falling[record.id] = record.cause
                    elif record.kind in DOWN:
                        self._falling.pop(record.id, None)
                    if record.kind is SupervisionKind.READY:
                        self._was_ready.add(record.id)
                    elif record.kind is SupervisionKind.STARTING:
                        self._was_ready.discard(record.id)
                    self._comings_and_goings(event, record)
                    self._budget(record)
                    if record.kind is SupervisionKind.QUARANTINED:
                        parked.append(record.id)
                        assert record.id not in self.leaves or not self.leaves[record.id].safety
                case Ended():
                    assert not self.processes, "ended means that nothing lives"
                    self.ended += 1
                case _:
                    pass
        self.closing = self.closing or isinstance(event, Shutdown) or bool(self.said(SupervisionKind.SHUTDOWN))
        if isinstance(event, Exited) and parked == [event.id]:
            touched = [action for action in self.turn if isinstance(action, Stop | Kill)]
            assert not touched, f"{event.id} is quarantined and touches {touched}"
        self.actions += self.turn

    def _comings_and_goings(self, event: Event, record: Supervision) -> None:
        if record.kind is SupervisionKind.ADDED:
            assert isinstance(event, AddChild)
            above = self.supervisors[event.supervisor_id]
            spec = event.spec
            if spec is None:
                assert isinstance(above, DynamicSpec)
                assert above.template is not None
                spec = from_template(above.template, event.name)
            self._enter(above.id, spec)
            assert not isinstance(above, DynamicSpec) or len(self.kids[above.id]) <= above.max_children
        elif record.kind is SupervisionKind.REMOVED:
            alive = [member for member in self.below(record.id) if member in self.processes]
            assert not alive, f"the card of {record.id} leaves while {alive} live"
            self._leave(record.id)
        elif record.kind is SupervisionKind.STARTING and record.id in self.supervisors:
            spec_ = self.supervisors[record.id]
            for item in spec_.children:
                if item.id not in self.parent:
                    self._enter(record.id, item)
            places = [item.id for item in spec_.children]
            self.kids[record.id].sort(key=lambda name: places.index(name) if name in places else len(places))

    def _no_start_into_a_falling_group(self, name: str) -> None:
        """Nor below a member of one; what stands before it under rest_for_one, and is up, goes on with its own life."""
        started = name
        while name in self.parent:
            siblings = self.siblings(name)
            rest = self.supervisors[self.parent[name]].strategy is Strategy.REST_FOR_ONE
            apart = rest and name != started and name in self._was_ready
            for sibling in siblings[: siblings.index(name)] if apart else siblings:
                falls_with_the_group = self._falling.get(sibling) is Cause.GROUP
                assert not falls_with_the_group, f"{started} starts while {sibling} still goes down"
            name = self.parent[name]

    def _later_siblings_are_dead(self, name: str) -> None:
        dynamic = self.is_dynamic(name)
        siblings = self.siblings(name)
        for sibling in siblings[siblings.index(name) + 1 :] if not dynamic else ():
            for member in self.below(sibling):
                assert member not in self.processes, f"{name} is told before {member} is confirmed dead"
        if self.closing:
            order = self.order
            for later in order[order.index(name) + 1 :]:
                beside = dynamic and later in siblings
                assert beside or later not in self.processes, f"{name} is told before {later} is confirmed dead"

    def _budget(self, record: Supervision) -> None:
        """Recount from outside what a child and its supervisor were granted, and hold it against their limits."""
        if record.kind is SupervisionKind.STARTING and record.id in self.supervisors:
            for name in (record.id, *self.kids[record.id]):
                if name in self.leaves or name == record.id:
                    self._paid[name] = []
        if record.kind is SupervisionKind.ORDERED:
            there = self.tree.child(record.id)
            if there is None or there.state is not State.STOPPING:
                self._paid[record.id] = []
        if record.kind is not SupervisionKind.RESTARTING:
            return
        last = self.view(record.id).last_exit
        assert last is not None
        law = self.supervisors[self.parent[record.id]].law
        if (last.kind is ExitKind.KILLED and law.kills_are_free) or (last.prior == "upstream" and law.upstream_is_free):
            return
        if record.retry_at is not None and record.id not in self._was_ready and not law.failed_start_is_alone:
            return  # it is paid for when the attempt is due
        for name in (record.id, self.parent[record.id]):
            if name in self.supervisors and name == record.id:
                continue  # what a supervisor pays for itself is in its parent's purse
            paid = self._paid.setdefault(name, [])
            paid.append(self.now)
            spec = self.leaves.get(name) or self.supervisors[name]
            if self.is_safety(name):
                continue
            count, period_s = (
                (spec.budget.intensity, spec.budget.period_s)
                if isinstance(spec, ChildSpec)
                else (spec.intensity, spec.period_s)
            )
            assert len([at for at in paid if at >= self.now - period_s]) <= count, f"{name} restarts beyond its budget"

    def is_safety(self, name: str) -> bool:
        return any(self.leaves[member].safety for member in self.below(name))

    def look(self) -> None:
        """The view and the world tell the same story."""
        views = {view.id: view for view in self.tree.children()}
        assert list(views) == self.order
        for name, view in views.items():
            assert view.path.endswith(name)
            up = view.state in (State.STARTING, State.RUNNING, State.READY, State.STOPPING)
            if name in self.parent:
                assert view.path == f"{views[self.parent[name]].path}/{name}"
            if name in self.supervisors:
                if not up:
                    alive = [member for member in self.below(name) if member in self.processes]
                    assert not alive, f"{name} is {view.state}, yet {alive} live"
                continue
            assert up == (name in self.processes), f"{name} is {view.state}, process: {self.processes.get(name)}"
            assert view.incarnation == self.counted.get(name, 0)
            if up:
                process = self.processes[name]
                assert (view.state is State.STOPPING) == (process.told is not None)
                assert view.pid == (process.pid or None)
            else:
                assert view.pid is None
                assert not view.ready
            assert (view.next_retry_at is not None) == (view.state is State.RESTARTING)
            if view.state is State.RESTARTING:
                assert self.timers[name] == view.next_retry_at, "somebody will wake it"
                assert not self.leaves[name].safety or (view.next_retry_at or 0) - view.since <= 2.0
            if view.state in (State.STARTING, State.RUNNING):
                assert name in self.timers, "a start has a timeout"
