"""What a supervisor is told about its children: specs, and the sentences that refuse a bad one.

A spec is data. It names what to start as an import path ("actors.feed:Feed") and never imports it, so the root can
hold the whole tree without running, or even loading, one line of what it supervises. Defaults follow OTP where OTP has
one; what is ours (backoff, budget per child, readiness) has its reason in docs/supervision.md.
"""

from __future__ import annotations

import difflib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from supervisor.words import AutoShutdown, OnExhausted, Restart, ShutdownPhase, Strategy

T = TypeVar("T", bound=msgspec.Struct)
PHASES = tuple(str(phase) for phase in ShutdownPhase if phase is not ShutdownPhase.STOP_TREE)


class InvalidSpec(ValueError):
    """A child or supervisor spec that cannot be started. The text names the child, the field, the value, the rule."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Full jitter: the n-th wait is random(0, min(cap, initial * factor**(n-1))). AWS builders' library, M. Brooker.

    The first restart after useful work waits nothing. The counter goes back only after `reset_after_s` of stable time
    *with* useful work.
    """

    initial_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 60.0
    reset_after_s: float = 60.0


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `intensity` restarts within a sliding `period_s`; the next one exhausts it."""

    intensity: int = 5
    period_s: float = 300.0


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declared check: a question, never an answer. It may start an investigation; it never restarts anything."""

    kind: str = "http"  # "http" | "tcp" | "exec"
    target: str = ""  # URL, "host:port", or a command line
    every_s: float = 2.0
    timeout_s: float = 2.0
    expect: str = ""  # http: text the body must hold


class Promise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a child must produce and how often: the function witness. `topic` is a message class name.

    `key`: of this instrument or channel only. `when`: the class name of an input; while none of it comes in, nothing is
    due. `changing`: an output that is always the same again counts as none (a frozen book).
    """

    topic: str
    at_least_every_s: float
    key: str = ""
    when: str = ""
    changing: bool = False


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question with a known answer, put to `Actor.canary` through the inbox. It must have no side effect."""

    name: str
    expect: str
    every_s: float = 10.0
    timeout_s: float = 5.0


class Dependency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a child cannot work without. `check`: how the root asks it; `child`: the one of ours that provides it.

    The child tells the outcome of its real calls by `ctx.outcome(name, error)`.
    """

    name: str
    check: Check | None = None
    child: str = ""


class ActorStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="actor"):
    """Start form 3, inside a node: one actor, its class by import path and the keyword arguments of its `init`,
    pickled by `actor()`."""

    name: str
    path: str  # "package.module:Class"
    arguments: bytes = b""  # pickle of a dict; opened only in the node


class NodeStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="node"):
    """Start form 1: an OS process of ours, forked by the zygote of `role`, hosting these actors. With a `group` it
    hosts that tree of actors instead and supervises them itself: one that fails is restarted inside the process."""

    actors: tuple[ActorStart, ...] = ()
    role: str = "core"
    group: SupervisorSpec | None = None


class ProgramStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="program"):
    """Start form 2: a command line. It is ready when it says so on its ready pipe, or at once if `speaks` is false."""

    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    speaks: bool = False
    own_session: bool = False


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="child"):
    """One child. `shutdown_s`: 0 is brutal kill, infinity waits for ever (under the one total deadline)."""

    id: str
    start: NodeStart | ProgramStart | ActorStart
    restart: Restart = Restart.PERMANENT
    shutdown_s: float = 5.0
    significant: bool = False
    backoff: Backoff = Backoff()
    budget: Budget = Budget()
    on_exhausted: OnExhausted = OnExhausted.QUARANTINE
    start_timeout_s: float = 60.0
    required: bool = True  # a required child that is down makes the server not ready
    safety: bool = False  # never parked; backoff capped at 2 s
    hang_after_s: float = 5.0  # no progress with work in hand for this long starts the conviction
    checks: tuple[Check, ...] = ()
    promises: tuple[Promise, ...] = ()
    canaries: tuple[Canary, ...] = ()
    depends: tuple[Dependency, ...] = ()
    memory_limit_mib: float = 0.0  # recycled in order before it gets there; 0: the limit of the kernel, if any
    phases: tuple[str, ...] = ()  # of the shutdown, in which its actors have a part (words.ShutdownPhase)


class Law(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a supervisor departs from OTP beyond what the fields of its specs say; each has its reason in
    docs/supervision.md. `OTP` departs nowhere: the oracle tests compare it with the real one, event for event."""

    kills_are_free: bool = True  # a kill from outside spends no budget (statement 31: it counts like any crash)
    upstream_is_free: bool = True  # nor does a crash that looks like a dependency's fault (31)
    boot_carries_on: bool = True  # a failed start at boot is retried (3, 4: the supervisor's own start fails)
    failed_start_is_alone: bool = True  # it touches no sibling and they come up without it (44, 45)
    parks: bool = True  # a deterministic crash or a typed refusal is parked (28: restarted until the budget is spent)
    orders_retry: bool = True  # a start that was ordered and fails is retried like any other (77, 81: it stays down)
    stopped_stays: bool = True  # what was stopped or has ended stays down when its group, or its supervisor, restarts


OTP = Law(
    kills_are_free=False,
    upstream_is_free=False,
    boot_carries_on=False,
    failed_start_is_alone=False,
    parks=False,
    orders_retry=False,
    stopped_stays=False,
)


class SupervisorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="supervisor"):
    """An inner node of the tree: children in start order. A supervisor is a node of the machine, not a process."""

    id: str
    strategy: Strategy = Strategy.ONE_FOR_ONE
    children: tuple[ChildSpec | SupervisorSpec | DynamicSpec, ...] = ()
    intensity: int = 10
    period_s: float = 60.0
    restart: Restart = Restart.PERMANENT
    significant: bool = False
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    on_exhausted: OnExhausted = OnExhausted.QUARANTINE
    backoff: Backoff = Backoff(initial_s=1.0, cap_s=30.0)  # how its supervisor brings it back
    law: Law = Law()


class DynamicSpec(SupervisorSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="dynamic"):
    """A supervisor whose children come and go at run time (Elixir's DynamicSupervisor): one_for_one, stopped in
    parallel, at most `max_children`. With a `template` a child is added by its name alone. `remembers`: its children's
    specs are stored, and a restarted supervisor brings them back (OTP forgets them, statement 60)."""

    template: ChildSpec | None = None
    max_children: int = 1000
    remembers: bool = False


class ZygoteSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One zygote: what it imports before it forks, and a function it calls once (1-thread model sessions)."""

    role: str
    imports: tuple[str, ...] = ()
    prepare: str = ""  # "package.module:function", no arguments


def actor(name: str, path: str, **arguments: Any) -> ActorStart:
    """An actor to host in a node: `actor("risk_brain", "actors.risk_brain:RiskBrain", limits=limits)`."""
    import pickle

    return ActorStart(name=name, path=path, arguments=pickle.dumps(arguments, protocol=5))


def child(
    name: str, path: str, *, role: str = "core", spec: Mapping[str, Any] | None = None, **arguments: Any
) -> ChildSpec:
    """A child that is one node hosting one actor of the same name. `spec` overrides fields of `ChildSpec`."""
    return make(
        ChildSpec, id=name, start=NodeStart(actors=(actor(name, path, **arguments),), role=role), **(spec or {})
    )


def member(name: str, path: str, *, spec: Mapping[str, Any] | None = None, **arguments: Any) -> ChildSpec:
    """One actor of a `node`, with a child spec of its own. `spec` overrides fields of `ChildSpec`."""
    return make(ChildSpec, id=name, start=actor(name, path, **arguments), **(spec or {}))


def node(
    name: str,
    strategy: Strategy,
    members: Iterable[ChildSpec | SupervisorSpec],
    *,
    role: str = "core",
    spec: Mapping[str, Any] | None = None,
    **group: Any,
) -> ChildSpec:
    """A child that is one node hosting many light actors under a supervisor of its own: `members` are made by `member`
    (or are supervisors over such), `spec` overrides fields of the node's `ChildSpec`, `group` those of its supervisor.

    Restarting one of them costs a thread, not a process; what a thread cannot do is be killed, so one that will not
    end costs the whole node. Put in one what can be lost together, and no actor with a port: the threads of a port live
    on in the process when its actor has crashed.
    """
    inner = make(SupervisorSpec, id=name, strategy=strategy, children=tuple(members), **group)
    return make(ChildSpec, id=name, start=NodeStart(role=role, group=inner), **(spec or {}))


def supervise(
    name: str, strategy: Strategy, children: list[ChildSpec | SupervisorSpec], **fields: Any
) -> SupervisorSpec:
    """An inner supervisor over these children, started top to bottom, stopped bottom to top."""
    return make(SupervisorSpec, id=name, strategy=strategy, children=tuple(children), **fields)


def partitions(name: str, count: int, each: Callable[[str, int], ChildSpec], **fields: Any) -> SupervisorSpec:
    """A partition supervisor (Elixir's): `count` equal children, `name:0` and so on, made by `each(id, number)`; work
    is routed to `f"{name}:{partition_of(key, count)}"`. None of them matters to another, so it is one_for_one."""
    if count < 1:
        raise InvalidSpec(f"{name}: count is {count}; it must be 1 or more")
    return supervise(name, Strategy.ONE_FOR_ONE, [each(f"{name}:{n}", n) for n in range(count)], **fields)


def partition_of(key: str, count: int) -> int:
    """Which of `count` partitions a key belongs to: the same one in every process and every run."""
    return zlib.crc32(key.encode()) % count


def make(kind: type[T], **fields: Any) -> T:
    """Build a spec; an unknown field is refused with the nearest valid name (OTP ignores it, statement 20), a value of
    the wrong kind with the field's name (17)."""
    known = kind.__struct_fields__
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise InvalidSpec(f"{kind.__name__} {fields.get('id', '')}: unknown field {name}{hint}")
    made = kind(**fields)
    try:
        return msgspec.convert(msgspec.structs.asdict(made), kind)
    except msgspec.ValidationError as error:
        raise InvalidSpec(f"{kind.__name__} {fields.get('id', '')}: {error}") from error


def walk(spec: SupervisorSpec) -> Iterator[tuple[str, ChildSpec]]:
    """Every leaf child with its path ("root/safety/ledger"), in start order."""

    def inner(prefix: str, node: SupervisorSpec) -> Iterator[tuple[str, ChildSpec]]:
        for item in node.children:
            path = f"{prefix}/{item.id}"
            if isinstance(item, SupervisorSpec):
                yield from inner(path, item)
            else:
                yield path, item

    return inner(spec.id, spec)


def units(spec: SupervisorSpec) -> Iterator[tuple[str, ChildSpec | SupervisorSpec]]:
    """Every unit of one machine with its path, itself first, parents before children."""

    def inner(path: str, item: ChildSpec | SupervisorSpec) -> Iterator[tuple[str, ChildSpec | SupervisorSpec]]:
        yield path, item
        if isinstance(item, SupervisorSpec):
            for below in item.children:
                yield from inner(f"{path}/{below.id}", below)

    return inner(spec.id, spec)


def templates(spec: SupervisorSpec) -> Iterator[tuple[str, ChildSpec]]:
    """The template of every dynamic supervisor that has one, with the path its children have but for their names."""
    for path, item in units(spec):
        if isinstance(item, DynamicSpec) and item.template is not None:
            yield f"{path}/{item.template.id}", item.template


def members(child: ChildSpec) -> Iterator[tuple[str, ChildSpec]]:
    """The actors inside a node with a group, with their paths from the node on, in start order."""
    if isinstance(child.start, NodeStart) and child.start.group is not None:
        yield from walk(child.start.group)


def check(spec: SupervisorSpec) -> list[str]:
    """Every fault of the tree as one sentence each, `[]` when it can be started. No side effects (OTP statement 26)."""
    faults: list[str] = []
    seen: dict[str, str] = {}

    def fault(path: str, field: str, value: object, rule: str) -> None:
        faults.append(f"{path}: {field} is {value!r}; {rule}")

    def inner(path: str, node: SupervisorSpec) -> None:
        if node.intensity < 0:
            fault(path, "intensity", node.intensity, "it must be 0 or more")
        if not node.period_s > 0:
            fault(path, "period_s", node.period_s, "it must be more than 0")
        if isinstance(node, DynamicSpec):
            faults.extend(_check_dynamic(path, node))
        for item in node.children:
            where = f"{path}/{item.id}"
            if not item.id or "/" in item.id or any(c.isspace() for c in item.id):
                fault(where, "id", item.id, "it must be a word without slash or space")
            if item.id in seen:
                fault(
                    where, "id", item.id, f"it is already used by {seen[item.id]}; names are unique in the whole tree"
                )
            seen[item.id] = where
            if item.significant and item.restart is Restart.PERMANENT:
                fault(where, "significant", True, "a permanent child never ends for good, so it cannot be significant")
            elif item.significant and node.auto_shutdown is AutoShutdown.NEVER:
                fault(where, "significant", True, f"auto_shutdown of {node.id} is never, so it would mean nothing")
            if item.backoff.initial_s < 0 or item.backoff.cap_s < 0 or item.backoff.factor < 1:
                fault(where, "backoff", item.backoff, "initial_s and cap_s must be 0 or more, factor 1 or more")
            if isinstance(item, SupervisorSpec):
                inner(where, item)
                continue
            if item.shutdown_s < 0 or math.isnan(item.shutdown_s):
                fault(where, "shutdown_s", item.shutdown_s, "it must be 0 (brutal kill) or more")
            if not 0 < item.start_timeout_s < math.inf:
                fault(where, "start_timeout_s", item.start_timeout_s, "it must be positive and finite")
            if item.budget.intensity < 0 or not item.budget.period_s > 0:
                fault(where, "budget", item.budget, "intensity must be 0 or more and period_s more than 0")
            if item.safety and item.backoff.cap_s > 2:
                fault(where, "backoff.cap_s", item.backoff.cap_s, "a safety child waits at most 2 s")
            for phase in item.phases:
                if phase not in PHASES:
                    near = difflib.get_close_matches(phase, PHASES, n=1)
                    rule = f"did you mean {near[0]}?" if near else f"known are {', '.join(PHASES)}"
                    fault(where, "phases", phase, rule)
            if item.phases and isinstance(item.start, ProgramStart):
                fault(where, "phases", item.phases, "a program cannot be told; only actors take part in phases")
            faults.extend(f"{where}: {text}" for text in _check_evidence(item))
            started(where, item.id, item.start)

        if node.auto_shutdown is not AutoShutdown.NEVER and (guards := [p for p, item in walk(node) if item.safety]):
            fault(path, "auto_shutdown", str(node.auto_shutdown), f"what holds a safety child stays up: {guards[0]}")

    def started(where: str, id: str, start: NodeStart | ProgramStart | ActorStart) -> None:
        forms.setdefault(isinstance(start, ActorStart), where)
        match start:
            case NodeStart(actors=actors, group=None):
                if not actors:
                    fault(where, "start.actors", (), "a node hosts at least one actor")
                for one in actors:
                    if ":" not in one.path:
                        fault(where, "start.path", one.path, 'it must read "package.module:Class"')
            case NodeStart(actors=actors, group=group):
                assert group is not None
                if actors:
                    fault(where, "start.actors", [one.name for one in actors], "a node with a group hosts only that")
                if group.id != id:
                    fault(where, "start.group.id", group.id, "the supervisor inside a node has the name of the node")
                faults.extend(_check_group(where, group, seen))
            case ActorStart(name=name, path=path):
                if name != id:
                    fault(where, "start.name", name, "an actor has the name of its child")
                if ":" not in path:
                    fault(where, "start.path", path, 'it must read "package.module:Class"')
            case ProgramStart(argv=argv):
                if not argv:
                    fault(where, "start.argv", (), "a program needs a command line")

    forms: dict[bool, str] = {}
    inner(spec.id, spec)
    if len(forms) == 2:
        fault(forms[True], "start", "an actor", f"only a node can host it, and {forms[False]} is none of its actors")
    return faults


def _check_evidence(child: ChildSpec) -> Iterator[str]:
    """What a child declares of itself for the judge must be something that can be seen."""

    def positive(value: float) -> bool:
        return 0 < value < math.inf

    for canary in child.canaries:
        if not (positive(canary.every_s) and positive(canary.timeout_s)):
            text = f"every_s is {canary.every_s!r} and timeout_s {canary.timeout_s!r}; both must be positive"
            yield f"canary {canary.name}: {text}"
    program = isinstance(child.start, ProgramStart)
    for what, told in (("promises", child.promises), ("canaries", child.canaries)):
        if told and program:
            yield f"{what} is {len(told)} long; a program has no actor that could keep or answer them"
    if child.canaries and isinstance(child.start, NodeStart) and child.start.group is not None:
        yield "canaries of a node with a group belong to its members; nobody answers for the node"
    for what, names in (
        ("canaries", [canary.name for canary in child.canaries]),
        ("depends", [dependency.name for dependency in child.depends]),
    ):
        twice = {name for name in names if names.count(name) > 1}
        if twice or "" in names:
            yield f"{what} need names of their own; {', '.join(sorted(twice)) or 'one'} is given twice or empty"
    if not 0 <= child.memory_limit_mib < math.inf:
        yield f"memory_limit_mib is {child.memory_limit_mib!r}; it must be 0 (none) or more"


def _check_dynamic(path: str, node: DynamicSpec) -> list[str]:
    """What a supervisor cannot be when its children come and go (statements 24, 25)."""
    faults = []
    if node.strategy is not Strategy.ONE_FOR_ONE:
        faults.append(f"{path}: strategy is {node.strategy!r}; children that come and go have no order to share")
    if node.auto_shutdown is not AutoShutdown.NEVER:
        faults.append(f"{path}: auto_shutdown is {node.auto_shutdown!r}; children that come and go cannot end it")
    if node.max_children < 1:
        faults.append(f"{path}: max_children is {node.max_children!r}; it must be 1 or more")
    if node.template is not None:
        inside = check(SupervisorSpec(id=path, children=(node.template,)))
        faults += [fault.replace(f"{path}/{node.template.id}", f"{path}/template", 1) for fault in inside]
        if next(members(node.template), None) is not None:
            faults.append(f"{path}/template: start.group is a tree of actors; their names would repeat")
    return faults


def _check_group(where: str, group: SupervisorSpec, seen: dict[str, str]) -> list[str]:
    """The faults of the tree inside a node; its names are names of the whole tree."""
    faults = [f"{where.rpartition('/')[0]}/{fault}" if "/" in where else fault for fault in check(group)]
    below = list(units(group))[1:]
    for path, item in below:
        if isinstance(item, ChildSpec) and not isinstance(item.start, ActorStart):
            faults.append(f"{where}: {item.id} is no actor; a node hosts actors, made by `member`")
        if isinstance(item, DynamicSpec):
            faults.append(f"{where}: {item.id} is dynamic; children come and go in the tree of the root, not in a node")
        if item.id in seen:
            faults.append(
                f"{where}: id is {item.id!r}; it is already used by {seen[item.id]}; names are unique in the whole tree"
            )
        seen.setdefault(item.id, path)
    if not below:
        faults.append(f"{where}: start.group is empty; a node hosts at least one actor")
    return faults
