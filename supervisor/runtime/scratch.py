"""The scratch process: everything that could be wrong with a tree is found here, before anything starts.

It imports every actor class (the root never does), checks specs, signatures and arguments, audits the wiring, and
compiles the plan. All faults at once, one sentence each. `qt check` prints them; `qt up` runs it first.
"""

from __future__ import annotations

import inspect
import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor import spec as specs
from supervisor import wiring
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message, Provenance
from supervisor.plan import Plan, endpoint_of
from supervisor.spec import ActorStart, NodeStart, SupervisorSpec, ZygoteSpec

LONGEST_IPC_PATH = 107


class CannotStart(ValueError):
    """The tree has faults; `faults` holds a sentence for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def compile_plan(
    tree: SupervisorSpec,
    zygotes: tuple[ZygoteSpec, ...],
    *,
    home: Path,
    sockets: str,
    outside: tuple[str, ...] = (),
    **fields: Any,
) -> Plan:
    """Check the tree and compile it.

    Raises:
        CannotStart: with every fault found, in the order of the tree.
    """
    faults = specs.check(tree)
    roles = {zygote.role for zygote in zygotes}
    declared: list[wiring.Declared] = []
    for path, child in specs.walk(tree):
        endpoint = endpoint_of(sockets, child.id).removeprefix("ipc://")
        if len(endpoint) > LONGEST_IPC_PATH:
            faults.append(
                f"{path}: its socket path has {len(endpoint)} characters, {LONGEST_IPC_PATH} is the limit: {endpoint}"
            )
        if not isinstance(child.start, NodeStart):
            continue
        if child.start.role not in roles:
            faults.append(f"{path}: role {child.start.role!r} has no zygote; known are {', '.join(sorted(roles))}")
        for member in child.start.actors:
            kind = _class_of(path, member, faults)
            if kind is None:
                continue
            _check_arguments(path, member, kind, faults)
            declared.append(
                wiring.Declared(
                    name=child.id, subscribes=kind.subscribes, publishes=kind.publishes, promises=child.promises
                )
            )
    faults += wiring.audit(declared, outside)
    if faults:
        raise CannotStart(faults)
    return Plan(
        tree=tree, zygotes=zygotes, routes=wiring.routes(declared, sockets), home=str(home), sockets=sockets, **fields
    )


def _class_of(path: str, member: ActorStart, faults: list[str]) -> type[Actor] | None:
    try:
        kind = load(member.path)
    except Exception as error:  # noqa: BLE001  whatever a module raises at import is a fault to report, not ours to judge
        last = traceback.extract_tb(error.__traceback__)[-1]
        faults.append(
            f"{last.filename}:{last.lineno} {path}: {member.path} cannot be imported: {type(error).__name__}: {error}"
        )
        return None
    if not (isinstance(kind, type) and issubclass(kind, Actor)):
        faults.append(f"{path}: {member.path} is no Actor class")
        return None
    for name in ("subscribes", "publishes"):
        for word in getattr(kind, name):
            if not (isinstance(word, type) and issubclass(word, Message)):
                faults.append(f"{path}: {member.path}.{name} holds {word!r}, which is no Message class")
                return None
    return kind


def _check_arguments(path: str, member: ActorStart, kind: type[Actor], faults: list[str]) -> None:
    arguments: Mapping[str, Any] = pickle.loads(member.arguments) if member.arguments else {}
    try:
        inspect.signature(kind.init).bind(None, **arguments)
    except TypeError as error:
        code = kind.init.__code__
        faults.append(f"{code.co_filename}:{code.co_firstlineno} {path}: {member.path}.init: {error}")
    try:
        kind()
    except Exception as error:  # noqa: BLE001  see _class_of
        faults.append(f"{path}: {member.path}() cannot be constructed: {type(error).__name__}: {error}")


__all__ = ["CannotStart", "Provenance", "compile_plan"]
