"""A script for both worlds: a tree, and events one after the other. Data, its Erlang term, and our spec of the same.

What is drawn here is what is compared; what is *not* drawn, and why, stands in `tests/oracle/differences.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from supervisor.spec import OTP, Budget, ChildSpec, DynamicSpec, Law, ProgramStart, SupervisorSpec
from supervisor.words import AutoShutdown, OnExhausted, Restart, Strategy

AMPLE = Budget(intensity=10**6, period_s=1.0)  # OTP has no budget per child
START = ProgramStart(argv=("obedient",))
PATIENCE_S = {"brutal_kill": 0.0, "infinity": inf}


@dataclass(frozen=True)
class Worker:
    """`shutdown`: "brutal_kill", "infinity" or milliseconds. `leaves`: how it ends when told to: "shutdown" as asked,
    "normal" or "crash" as it pleases, "never" (it has to be killed)."""

    id: str
    restart: Restart = Restart.PERMANENT
    significant: bool = False
    shutdown: str = "5000"
    leaves: str = "shutdown"

    def term(self) -> str:
        return f"{{{self.id}, worker, {_flags(self, shutdown=self.shutdown)}, {self.leaves}}}"

    def spec(self, law: Law) -> ChildSpec:
        shutdown_s = PATIENCE_S[self.shutdown] if self.shutdown in PATIENCE_S else int(self.shutdown) / 1000
        return ChildSpec(
            id=self.id,
            start=START,
            restart=self.restart,
            significant=self.significant,
            shutdown_s=shutdown_s,
            budget=AMPLE,
            on_exhausted=OnExhausted.SHUTDOWN,
        )


@dataclass(frozen=True)
class Sup:
    """A static supervisor."""

    id: str
    strategy: Strategy
    children: tuple[Worker | Sup | Pool, ...]
    intensity: int = 1
    period_s: int = 5
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    restart: Restart = Restart.PERMANENT
    significant: bool = False

    def term(self) -> str:
        return (
            f"{{{self.id}, supervisor, {_flags(self)}, {self.flags()}, [{', '.join(c.term() for c in self.children)}]}}"
        )

    def root(self) -> str:
        return f"{{{self.id}, {self.flags()}, [{', '.join(c.term() for c in self.children)}]}}"

    def flags(self) -> str:
        return (
            f"#{{strategy => {self.strategy}, intensity => {self.intensity}, period => {self.period_s}, "
            f"auto_shutdown => {self.auto_shutdown}}}"
        )

    def spec(self, law: Law = OTP, *, longer_s: float = 0.0) -> SupervisorSpec:
        """`longer_s`: see `ours.Patience`."""
        return SupervisorSpec(
            id=self.id,
            strategy=self.strategy,
            children=tuple(
                c.spec(law) if isinstance(c, Worker) else c.spec(law, longer_s=longer_s) for c in self.children
            ),
            intensity=self.intensity,
            period_s=self.period_s + longer_s,
            restart=self.restart,
            significant=self.significant,
            auto_shutdown=self.auto_shutdown,
            on_exhausted=OnExhausted.SHUTDOWN,
            law=law,
        )


@dataclass(frozen=True)
class Pool:
    """A dynamic supervisor: OTP's simple_one_for_one against our `DynamicSpec` with a template."""

    id: str
    template: Worker
    intensity: int = 1
    period_s: int = 5
    restart: Restart = Restart.PERMANENT
    significant: bool = False

    def term(self) -> str:
        flags = f"#{{strategy => simple_one_for_one, intensity => {self.intensity}, period => {self.period_s}}}"
        shutdown = _flags(self.template, shutdown=self.template.shutdown)
        template = f"{{template, {shutdown}, {self.template.leaves}}}"
        return f"{{{self.id}, supervisor, {_flags(self)}, {flags}, [{template}]}}"

    def spec(self, law: Law = OTP, *, longer_s: float = 0.0) -> DynamicSpec:
        return DynamicSpec(
            id=self.id,
            template=self.template.spec(law),
            intensity=self.intensity,
            period_s=self.period_s + longer_s,
            restart=self.restart,
            significant=self.significant,
            on_exhausted=OnExhausted.SHUTDOWN,
            law=law,
        )


def _flags(child: Worker | Sup | Pool, **more: str) -> str:
    flags = {"restart": str(child.restart), "significant": str(child.significant).lower(), **more}
    return f"#{{{', '.join(f'{key} => {value}' for key, value in flags.items())}}}"


# -- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exit:
    """It ends by itself: "normal", "shutdown", "detail" (shutdown with a detail), "crash", "upstream" (a crash
    that looks like the fault of what it leans on); or "kill" from outside."""

    id: str
    how: str

    def term(self, up: dict[str, str]) -> str:
        return f"{{exit, {self.id}, {self.how}}}"


@dataclass(frozen=True)
class Both:
    """Two siblings end, and both are dead before their supervisor hears of the first."""

    first: Exit
    second: Exit

    def term(self, up: dict[str, str]) -> str:
        ends = ", ".join(f"{{{end.id}, {end.how}}}" for end in (self.first, self.second))
        return f"{{both, {up.get(self.first.id, 'root')}, {ends}}}"


@dataclass(frozen=True)
class Fail:
    """Its next starts fail: the start function returns an `error`, has a `throw` or an `exit`, returns `garbage`, or
    leaves a `stillborn` process behind."""

    id: str
    times: int
    mode: str = "error"

    def term(self, up: dict[str, str]) -> str:
        return f"{{fail, {self.id}, {self.times}, {self.mode}}}"


@dataclass(frozen=True)
class Admin:
    """`terminate`, `restart` or `delete` a child by id."""

    verb: str
    id: str

    def term(self, up: dict[str, str]) -> str:
        return f"{{{self.verb}, {up.get(self.id, 'root')}, {self.id}}}"


@dataclass(frozen=True)
class Add:
    """start_child of a static supervisor: a new child, or one whose id is known already."""

    sup: str
    worker: Worker

    def term(self, up: dict[str, str]) -> str:
        return f"{{start, {self.sup}, {self.worker.term()}}}"


@dataclass(frozen=True)
class Member:
    """`add` one to a pool, or `remove` it."""

    verb: str
    pool: str
    id: str

    def term(self, up: dict[str, str]) -> str:
        return f"{{{self.verb}, {self.pool}, {self.id}}}"


@dataclass(frozen=True)
class Clock:
    """Whole seconds pass."""

    seconds: int

    def term(self, up: dict[str, str]) -> str:
        return f"{{clock, {self.seconds}}}"


@dataclass(frozen=True)
class Held:
    """It ends, its next starts fail, and while its supervisor is busy with the first of them something else arrives:
    an admin call, or the end of a sibling. It is served in state `restarting`."""

    id: str
    how: str
    times: int
    meanwhile: Admin | Exit | Member

    def term(self, up: dict[str, str]) -> str:
        return f"{{held, {self.id}, {up.get(self.id, 'root')}, {self.how}, {self.times}, {self.meanwhile.term(up)}}}"


Happening: TypeAlias = Exit | Both | Fail | Admin | Add | Member | Clock | Held


@dataclass(frozen=True)
class Script:
    tree: Sup
    events: tuple[Happening, ...]
    at_boot: tuple[Fail, ...] = ()  # starts that fail while the tree comes up

    @property
    def turns_clock(self) -> bool:
        return any(isinstance(event, Clock) for event in self.events)

    @property
    def holds(self) -> bool:
        return any(isinstance(event, Held | Both) for event in self.events)

    def term(self, module: str = "") -> str:
        """For `otp.Otp.run`. What turns no clock runs on the untouched `supervisor`, unless told otherwise."""
        up = parents(self.tree)
        up |= {event.worker.id: event.sup for event in self.events if isinstance(event, Add)}
        up |= {event.id: event.pool for event in self.events if isinstance(event, Member)}
        module = module or ("oracle_supervisor" if self.turns_clock else "supervisor")
        events = ", ".join(event.term(up) for event in self.events)
        at_boot = ", ".join(fail.term(up) for fail in self.at_boot)
        return f"{{script, {module}, {self.tree.root()}, [{at_boot}], [{events}]}}."


def units(tree: Sup) -> Iterator[Worker | Sup | Pool]:
    """Everything below, parents first."""
    for item in tree.children:
        yield item
        if isinstance(item, Sup):
            yield from units(item)


def parents(tree: Sup) -> dict[str, str]:
    """The supervisor of every id."""
    found = {item.id: tree.id for item in tree.children}
    for item in tree.children:
        if isinstance(item, Sup):
            found |= parents(item)
    return found
