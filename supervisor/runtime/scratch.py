"""The scratch process: everything that could be wrong with a tree is found here, before anything starts.

It imports every actor class (the root never does), checks specs, signatures and arguments, audits the wiring, and
compiles the plan. All faults at once, one sentence each. `qt check` prints them; `qt up` runs it first.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from supervisor import spec as specs
from supervisor import wiring
from supervisor.actor import Actor
from supervisor.loading import CannotLoad, load
from supervisor.message import Message
from supervisor.plan import Draft, Plan, endpoint_of, save
from supervisor.spec import ActorStart, NodeStart, ZygoteSpec

LONGEST_IPC_PATH = 107
EX_CONFIG = 78


class CannotStart(ValueError):
    """The tree has faults; `faults` holds a sentence for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def compile_plan(draft: Draft, *, home: Path, sockets: str) -> Plan:
    """Check the draft and compile it.

    Raises:
        CannotStart: with every fault found, in the order of the tree.
    """
    tree = draft.tree
    faults = specs.check(tree)
    roles = {zygote.role for zygote in draft.zygotes}
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
    faults += wiring.audit(declared, draft.outside)
    if faults:
        raise CannotStart(faults)
    return Plan(
        tree=tree,
        zygotes=draft.zygotes,
        routes=wiring.routes(declared, sockets),
        home=str(home),
        sockets=sockets,
        mode=draft.mode,
        provenance=draft.provenance,
        version=draft.version,
        config_digest=draft.config_digest,
        seed=draft.seed,
        own_roots=draft.own_roots,
        watched=draft.watched,
        phases=draft.phases,
        environment=draft.environment,
        ess_argv=draft.ess_argv,
    )


def built(path: str, arguments: dict[str, Any], home: Path) -> Draft:
    """What the build function returns, as a draft. It is given `home` when it has a parameter of that name.

    A bare tree, or a draft without zygotes, gets one zygote per role, which imports the modules of its actors.

    Raises:
        CannotLoad: there is no such function. CannotStart: it returned something else. Its own errors pass through.
    """
    build = load(path)
    if "home" in inspect.signature(build).parameters:
        arguments = {"home": str(home), **arguments}
    given = build(**arguments)
    draft = Draft(tree=given) if isinstance(given, specs.SupervisorSpec) else given
    if not isinstance(draft, Draft):
        raise CannotStart([f"{path} returned {given!r}; a build function returns a SupervisorSpec or a Draft"])
    folder = str(Path(inspect.getfile(build)).resolve().parent)
    return msgspec.structs.replace(
        draft, zygotes=draft.zygotes or zygotes_of(draft.tree), own_roots=draft.own_roots or (folder,)
    )


def zygotes_of(tree: specs.SupervisorSpec) -> tuple[ZygoteSpec, ...]:
    """One per role, with the modules that its nodes need: enough for a tree that declares none."""
    imports: dict[str, dict[str, None]] = {}
    for _, child in specs.walk(tree):
        if isinstance(child.start, NodeStart):
            modules = imports.setdefault(child.start.role, {"supervisor.runtime.node": None})
            modules.update(dict.fromkeys(member.path.partition(":")[0] for member in child.start.actors))
    return tuple(ZygoteSpec(role=role, imports=tuple(modules)) for role, modules in imports.items())


def addresses(plan: Plan) -> dict[str, str]:
    """name -> endpoint of every actor's PUB socket: what a foreign client reads in `run/addresses.json`."""
    return {child.id: endpoint_of(plan.sockets, child.id) for _, child in specs.walk(plan.tree)}


def sockets_of(home: Path) -> str:
    """The short 0700 directory for the sockets of this home, made once and recorded in `run/sockets`."""
    record = home / "run" / "sockets"
    record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if record.exists():
        known = Path(record.read_text().strip())
        if known.is_dir() and known.stat().st_uid == os.getuid():
            return str(known)
    made = tempfile.mkdtemp(prefix="qt-")
    record.write_text(made + "\n")
    return made


def main(argv: list[str] | None = None) -> int:
    """`python -m supervisor.runtime.scratch --home H --build package.module:build [--arguments JSON] [--check]`.

    Exit 0: the plan stands in `H/run`. Exit 78: every fault on stderr, one a line, and nothing written.
    """
    parser = argparse.ArgumentParser(prog="scratch", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--arguments", default="{}")
    parser.add_argument("--check", action="store_true", help="report faults, write nothing")
    given = parser.parse_args(argv)
    home: Path = given.home.resolve()
    try:
        plan = compile_plan(built(given.build, json.loads(given.arguments), home), home=home, sockets=sockets_of(home))
    except (CannotStart, specs.InvalidSpec, CannotLoad) as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    if not given.check:
        save(plan)
        (home / "run" / "addresses.json").write_text(json.dumps(addresses(plan), indent=1) + "\n")
    print(json.dumps({"children": len(plan.routes), "sockets": plan.sockets}))
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
