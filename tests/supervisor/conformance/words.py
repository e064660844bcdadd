"""What all conformance tests say: small trees, ways to end, and one supervisor that follows OTP to the letter.

Each test carries the number and the sentence of one statement about OTP's supervisor (docs/supervision.md has the
table). Most run the pure machine under the judge of `tree_world`, where time is a number and order is a list;
`test_real.py` runs the same bodies over processes and threads.
"""

from __future__ import annotations

from random import Random
from typing import Any

from supervisor.moves import (
    AddChild,
    Answer,
    Boot,
    Due,
    Event,
    Exited,
    Order,
    Ready,
    Remember,
    RemoveChild,
    Start,
    Started,
    Stop,
    Verb,
)
from supervisor.spec import OTP, Backoff, Budget, ChildSpec, DynamicSpec, SupervisorSpec, make, supervise
from supervisor.tree import Tree
from supervisor.words import ExitKind, ExitReason, OnExhausted, Strategy
from tests.supervisor.tree_world import World, leaf

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
NORMAL = ExitReason(kind=ExitKind.NORMAL, code=0)
SHUTDOWN = ExitReason(kind=ExitKind.SHUTDOWN, code=0)
KILLED = ExitReason(kind=ExitKind.KILLED, signal=9)
REFUSED = ExitReason(kind=ExitKind.REFUSED, detail="bad credentials")
NOW = Backoff(initial_s=0.0, cap_s=0.0)
PATIENT = Budget(intensity=10_000)


def crash(n: int = 0) -> ExitReason:
    """A crash unlike any with another number, so that nothing is parked for repeating itself."""
    return ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint=f"boom {n}")


def kid(name: str, **fields: Any) -> ChildSpec:
    """A child that restarts at once and whose own budget never speaks: what is left is OTP's."""
    return leaf(name, **{"backoff": NOW, "budget": PATIENT, **fields})


def otp(name: str, strategy: Strategy, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    """A supervisor that departs from OTP nowhere: spent means shutdown, and the law has no exceptions."""
    chosen = {"intensity": 1, "period_s": 5.0, "on_exhausted": OnExhausted.SHUTDOWN, "law": OTP, **fields}
    return supervise(name, strategy, list(children), **chosen)


def ours(name: str, strategy: Strategy, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    """A supervisor with the house's defaults."""
    return supervise(name, strategy, list(children), **fields)


def abc(strategy: Strategy = ONE, *, under: Any = otp, b: dict[str, Any] | None = None, **fields: Any) -> World:
    """A booted root over a, b, c."""
    children = [kid("a"), kid("b", **(b or {})), kid("c")]
    return World(under("root", strategy, *children, **{"intensity": 100, **fields})).boot()


def moves(world: World, act: Any) -> list[str]:
    """Starts and stops that an act leads to, with everybody doing as told."""
    mark = len(world.actions)
    act()
    world.flow()
    return world.since(mark)


class Dynamic:
    """A tree whose children come and go, with processes that do as told: no judge, no timers, only what is asked."""

    def __init__(self, spec: SupervisorSpec, remembered: dict[str, tuple[ChildSpec, ...]] | None = None) -> None:
        self.tree = Tree(spec, Random(0), remembered=remembered)
        self.now = 100.0
        self.alive: dict[str, Start] = {}
        self.told: list[Stop] = []
        self.stored: list[tuple[str, bool]] = []
        self.story: list[str] = []
        self.failing: dict[str, int] = {}
        self._orders = 0
        self.tell(Boot())

    def tell(self, event: Event) -> str:
        """Returns the code of the answer, if there is one."""
        code = ""
        for action in self.tree.handle(event, self.now):
            match action:
                case Start(id=id):
                    self.alive[id] = action
                    self.story.append(f"start {id} {action.incarnation}")
                    if self.failing.get(id, 0) > 0:
                        self.failing[id] -= 1
                        self.die(id)
                    else:
                        self.tell(Started(id, action.incarnation, 1))
                        self.tell(Ready(id, action.incarnation))
                case Stop(id=id):
                    self.told.append(action)
                    self.story.append(f"stop {id} {action.incarnation}")
                case Remember(id=id, spec=spec):
                    self.stored.append((id, spec is not None))
                case Answer(code=code):
                    pass
        return code

    def die(self, name: str, reason: ExitReason | None = None) -> None:
        start = self.alive.pop(name)
        self.tell(Exited(name, start.incarnation, reason or crash(len(self.story)), worked=False))

    def obey(self) -> None:
        """Whoever was told to stop does."""
        while self.told:
            stop = self.told.pop(0)
            if stop.id in self.alive:
                self.die(stop.id, SHUTDOWN)

    def add(self, above: str, child: ChildSpec | str) -> str:
        self._orders += 1
        spec, name = (None, child) if isinstance(child, str) else (child, "")
        return self.tell(AddChild(f"o{self._orders}", above, spec, name))

    def remove(self, name: str) -> str:
        self._orders += 1
        return self.tell(RemoveChild(f"o{self._orders}", name))

    def order(self, verb: str, name: str) -> str:
        self._orders += 1
        return self.tell(Order(f"o{self._orders}", Verb(verb), name))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for view in self.tree.children():
            self.tell(Due(view.id))

    def state(self, name: str) -> str:
        view = self.tree.child(name)
        return str(view.state) if view is not None else "gone"


def pool(name: str, **fields: Any) -> DynamicSpec:
    """A dynamic supervisor under OTP's law, with a template."""
    given = {"template": kid("template"), "intensity": 100, "on_exhausted": OnExhausted.SHUTDOWN, "law": OTP, **fields}
    return make(DynamicSpec, id=name, **given)
