"""The plan: the whole tree as data, compiled once before the server starts.

`qt up` (or `python -m supervisor.runtime.scratch`) imports every actor class in a scratch process, audits the wiring
and writes the plan; the root only reads it. So no line of supervised code, and no import of one, ever runs in the root.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from supervisor.message import Provenance
from supervisor.moves import Kept
from supervisor.phases import Phase
from supervisor.spec import (
    ActorStart,
    ChildSpec,
    Dependency,
    NodeStart,
    Promise,
    SupervisorSpec,
    ZygoteSpec,
    members,
    templates,
)
from supervisor.terminal import command

PLAN_SCHEMA = 1
LONGEST_STOP_S = 3600.0


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One line in a node's address book: whom it hears, where, and which topics (class names)."""

    sender: str
    endpoint: str
    topics: tuple[str, ...]


NEVER_DUE_S = 1e9


class ChainLink(msgspec.Struct, frozen=True, kw_only=True):
    """One child of a declared chain, source first. `gives`: the promised topic that counts as what it hands on, "" for
    all it says; `sometimes`: it may rightly be silent. A gate names the classes of its yes (`passes`) and no
    (`refuses`)."""

    child: str
    gives: str = ""
    sometimes: bool = False
    passes: str = ""
    refuses: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the root needs to know. Paths are absolute strings."""

    schema: int = PLAN_SCHEMA
    tree: SupervisorSpec
    zygotes: tuple[ZygoteSpec, ...]
    routes: dict[str, tuple[Route, ...]]  # child name -> what it hears
    home: str
    sockets: str
    mode: str = "sim"
    provenance: Provenance = Provenance.SYNTHETIC
    version: str = "0"
    config_digest: str = ""
    seed: int = 0
    own_roots: tuple[str, ...] = ()  # directories that hold code of ours (for crash frames, and for changes of it)
    watched: tuple[str, ...] = ()  # other files, or folders of them, that zygotes have loaded: models
    phases: tuple[Phase, ...] = ()  # of the shutdown, where they differ from supervisor/phases.py
    chains: tuple[tuple[ChainLink, ...], ...] = ()  # whose first broken link is named (verdict/flow.py)
    environment: dict[str, str] = {}
    ess_argv: tuple[str, ...] = ()  # the emergency stop's command line, run by heart; () for none
    time_scale: float = 1.0  # every limit of the judge and every beat times this: benchmarks live faster than servers
    evidence_log: str = ""  # a file that gets all evidence as it is judged (for judging it again), "" for none


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a `build` function returns: the tree and what the plan needs besides. `outside` names message classes that
    are heard, or said, only outside the tree.
    """

    tree: SupervisorSpec
    zygotes: tuple[ZygoteSpec, ...] = ()  # none: one per role, importing the modules of its actors
    outside: tuple[str, ...] = ()
    mode: str = "sim"
    provenance: Provenance = Provenance.SYNTHETIC
    version: str = "0"
    config_digest: str = ""
    seed: int = 0
    own_roots: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    chains: tuple[tuple[ChainLink, ...], ...] = ()
    environment: dict[str, str] = {}
    ess_argv: tuple[str, ...] = ()
    time_scale: float = 1.0
    evidence_log: str = ""


class NodeBoot(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is told at birth."""

    name: str
    incarnation: int
    actors: tuple[ActorStart, ...]
    routes: tuple[Route, ...]
    endpoint: str  # where it publishes
    home: str
    provenance: Provenance
    seed: int
    own_roots: tuple[str, ...]
    replay: bool = False  # `now()` is the event time of the last delivered message
    shutdown_s: float = 5.0
    group: SupervisorSpec | None = None  # instead of `actors`
    hears: dict[str, tuple[Route, ...]] = {}  # the routes of each actor of the group
    poison: tuple[str, ...] = ()  # messages that are not given to its actors: "sender:Class:seq"
    kept: dict[str, Kept] = {}  # what of the group is not to be started: stopped by an operator, or quarantined
    promises: dict[str, tuple[Promise, ...]] = {}  # declared by the node, or by an actor of its group
    depends: dict[str, tuple[Dependency, ...]] = {}
    time_scale: float = 1.0  # beats times this


def _counted(plan: Plan, name: str) -> tuple[Promise, ...]:
    """The answers of a gate stand on its page like promises that are never due: nobody misses them, and the root can
    count them."""
    gates = [link for chain in plan.chains for link in chain if link.child == name]
    topics = dict.fromkeys(topic for link in gates for topic in (link.passes, link.refuses) if topic)
    return tuple(Promise(topic=topic, at_least_every_s=NEVER_DUE_S) for topic in topics)


def boot_of(plan: Plan, child: ChildSpec, incarnation: int, kept: Mapping[str, Kept]) -> NodeBoot:
    """The boot record of one incarnation of a child that is a node. `kept`: who in the whole tree stays down."""
    start = child.start
    assert isinstance(start, NodeStart)
    names = [member.id for _, member in members(child)]
    declaring = {child.id: child, **{member.id: member for _, member in members(child)}}
    return NodeBoot(
        name=child.id,
        incarnation=incarnation,
        actors=start.actors,
        routes=plan.routes.get(child.id) or _routes_of_template(plan, start),
        endpoint=endpoint_of(plan.sockets, child.id),
        home=plan.home,
        provenance=plan.provenance,
        seed=plan.seed,
        own_roots=plan.own_roots,
        replay=plan.mode == "replay",
        shutdown_s=min(child.shutdown_s, LONGEST_STOP_S),
        group=start.group,
        hears={name: plan.routes[name] for name in names if plan.routes.get(name)},
        kept={name: kept[name] for name in names if name in kept},
        promises={
            name: (*one.promises, *counted)
            for name, one in declaring.items()
            if (counted := _counted(plan, name)) or one.promises
        },
        depends={name: one.depends for name, one in declaring.items() if one.depends},
        time_scale=plan.time_scale,
    )


def _routes_of_template(plan: Plan, start: NodeStart) -> tuple[Route, ...]:
    """A child that was added at run time hears what its template's class hears."""
    for _, template in templates(plan.tree):
        if isinstance(template.start, NodeStart) and _paths(template.start) == _paths(start):
            return plan.routes.get(template.id, ())
    return ()


def _paths(start: NodeStart) -> list[str]:
    return [actor.path for actor in start.actors]


def endpoint_of(sockets: str, name: str) -> str:
    """Where the child `name` publishes. The path's length is checked when the plan is compiled (107 is the limit)."""
    return f"ipc://{sockets}/{name.replace(':', '_')}"


def plan_path(home: str | Path) -> Path:
    return Path(home) / "run" / "plan.msgpack"


def save(plan: Plan) -> Path:
    """Write the plan where the root looks for it, atomically and for the owner only (it may hold settings)."""
    path = plan_path(plan.home)
    replace_whole(path, msgspec.msgpack.encode(plan))
    return path


def replace_whole(path: Path, value: bytes) -> None:
    """A reader sees the old file or the new one, for the owner only; it is on the disk before it takes its place."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(home: str | Path) -> Plan:
    """Read the plan of this home.

    Raises:
        FileNotFoundError: nobody compiled one (`qt up` does).
        ValueError: written by another version; the text says which.
    """
    path = plan_path(home)
    try:
        plan = msgspec.msgpack.decode(path.read_bytes(), type=Plan)
    except msgspec.DecodeError as error:
        raise ValueError(
            f"{path} is not a plan of this version ({error}); start the server again with {command('up')}"
        ) from error
    if plan.schema != PLAN_SCHEMA:
        raise ValueError(
            f"{path} has plan schema {plan.schema}, this version reads {PLAN_SCHEMA}; run {command('up')} again"
        )
    return plan
