"""The scratch process: everything that could be wrong with a tree is found here, before anything starts.

It imports every actor class (the root never does), constructs it, holds its arguments and collaborators against what it
declares, audits the wiring, and compiles the plan. All faults at once, each one line: where it was written, who, what
is wrong. `qt check` prints them; `qt up` runs it first.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from supervisor import spec as specs
from supervisor import wiring
from supervisor.actor import Actor
from supervisor.evidence import checks
from supervisor.loading import CannotLoad, load
from supervisor.plan import Draft, Plan, endpoint_of, save
from supervisor.runtime import inspection, places
from supervisor.runtime.inspection import Fault
from supervisor.spec import ActorStart, ChildSpec, NodeStart, SupervisorSpec, ZygoteSpec

LONGEST_IPC_PATH = 107
SCALE_LEAST, SCALE_MOST = 0.01, 100.0
PREFIX = "qt-"
EX_CONFIG = 78


class CannotStart(ValueError):
    """The tree has faults; `faults` holds a sentence for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def compile_plan(draft: Draft, *, home: Path, sockets: str, source: places.Source | None = None) -> Plan:
    """Check the draft and compile it. `source` knows where the tree was written.

    Raises:
        CannotStart: with every fault found, in the order of the tree.
    """
    tree = draft.tree
    written = source.line_of if source is not None else lambda _: ""
    faults = [_placed(fault, tree, written) for fault in specs.check(tree)]
    if not SCALE_LEAST <= draft.time_scale <= SCALE_MOST:
        faults.append(f"time_scale is {draft.time_scale!r}; it must be {SCALE_LEAST:g} to {SCALE_MOST:g}")
    roles = {zygote.role for zygote in draft.zygotes}
    declared: list[wiring.Declared] = []
    added = [template for _, template in specs.templates(tree)]
    for path, child, node in _children(tree):
        said: list[Fault] = []
        endpoint = endpoint_of(sockets, child.id).removeprefix("ipc://")
        if not node and len(endpoint) > LONGEST_IPC_PATH:
            said.append(
                Fault(
                    "", f"its socket path has {len(endpoint)} characters, {LONGEST_IPC_PATH} is the limit: {endpoint}"
                )
            )
        if isinstance(child.start, NodeStart) and child.start.role not in roles:
            known = ", ".join(sorted(roles))
            said.append(Fault("", f"role {child.start.role!r} has no zygote; known are {known}"))
        questions = (*child.checks, *(need.check for need in child.depends if need.check is not None))
        said += [Fault("", f"{check.kind} check: {why}") for check in questions if (why := checks.unaskable(check))]
        said += [
            Fault("", f"promises {promise.topic} every {promise.at_least_every_s!r} s; it must be positive and finite")
            for promise in child.promises
            if not 0 < promise.at_least_every_s < math.inf
        ]
        for start in _actors(child):
            kind, wrong = inspection.look(start)
            said += wrong
            if kind is not None:
                declared.append(
                    wiring.Declared(
                        name=child.id,
                        node=node,
                        added=child in added,
                        place=_place_of(kind) if source is not None else str,
                        subscribes=kind.subscribes,
                        publishes=kind.publishes,
                        promises=child.promises,
                    )
                )
        faults += [f"{fault.place or written(child.id)} {path}: {fault.text}".lstrip() for fault in said]
    faults += wiring.audit(declared, draft.outside)
    faults += [text for zygote in draft.zygotes for text in _zygote_faults(zygote)]
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
        chains=draft.chains,
        environment=draft.environment,
        ess_argv=draft.ess_argv,
        time_scale=draft.time_scale,
        evidence_log=draft.evidence_log,
    )


def draft_of(build: Callable[..., Any], arguments: dict[str, Any], home: Path) -> Draft:
    """What the build function returns, as a draft. It is given `home` when it has a parameter of that name.

    A bare tree, or a draft without zygotes, gets one zygote per role, which imports the modules of its actors.

    Raises:
        CannotStart: it returned something else. Its own errors pass through.
    """
    if "home" in inspect.signature(build).parameters:
        arguments = {"home": str(home), **arguments}
    given = build(**arguments)
    draft = Draft(tree=given) if isinstance(given, SupervisorSpec) else given
    if not isinstance(draft, Draft):
        what = f"{build.__name__} returned {given!r}; a build function returns a SupervisorSpec or a Draft"
        raise CannotStart([f"{places.of(build)} {what}"])
    folder = str(Path(inspect.getfile(build)).resolve().parent)
    return msgspec.structs.replace(
        draft, zygotes=draft.zygotes or zygotes_of(draft.tree), own_roots=draft.own_roots or (folder,)
    )


def zygotes_of(tree: SupervisorSpec) -> tuple[ZygoteSpec, ...]:
    """One per role, with the modules that its nodes need: enough for a tree that declares none."""
    imports: dict[str, dict[str, None]] = {}
    roles: dict[str, str] = {}
    for _, child, node in _children(tree):
        if isinstance(child.start, NodeStart):
            roles[child.id] = child.start.role
            imports.setdefault(child.start.role, {"supervisor.runtime.node": None})
        for start in _actors(child):
            imports[roles[node or child.id]][start.path.partition(":")[0]] = None
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
    made = tempfile.mkdtemp(prefix=PREFIX)
    record.write_text(made + "\n")
    return made


def like_sockets() -> str:
    """A path as long as the one that `sockets_of` would make; nothing is made."""
    return f"{tempfile.gettempdir()}/{PREFIX}{'x' * 8}"


def main(argv: list[str] | None = None) -> int:
    """`python -m supervisor.runtime.scratch --home H --build package.module:build [--arguments JSON] [--check]`.

    Exit 0: the plan stands in `H/run`. Exit 78: every fault on stderr, one a line, and nothing written.
    """
    parser = argparse.ArgumentParser(prog="scratch", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--arguments", default="{}")
    parser.add_argument("--time-scale", type=float, help="live so much faster (0.1) or slower than the draft says")
    parser.add_argument("--check", action="store_true", help="report faults, write nothing")
    given = parser.parse_args(argv)
    home: Path = given.home.resolve()
    try:
        build = load(given.build)
        draft = draft_of(build, json.loads(given.arguments), home)
        if given.time_scale is not None:
            draft = msgspec.structs.replace(draft, time_scale=given.time_scale)
        sockets = like_sockets() if given.check else sockets_of(home)
        plan = compile_plan(draft, home=home, sockets=sockets, source=places.Source(build))
    except CannotStart as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except (Exception, SystemExit) as error:  # noqa: BLE001  a build function that raises is a fault like any other
        known = isinstance(error, CannotLoad | specs.InvalidSpec)
        what = str(error) if known else f"{given.build}: {type(error).__name__}: {error}"
        print(f"{places.of_error(error)} {what}".lstrip(), file=sys.stderr)
        return EX_CONFIG
    if not given.check:
        save(plan)
        (home / "run" / "addresses.json").write_text(json.dumps(addresses(plan), indent=1) + "\n")
    print(json.dumps({"children": len(plan.routes), "sockets": plan.sockets}))
    return 0


def _children(tree: SupervisorSpec) -> Iterator[tuple[str, ChildSpec, str]]:
    """(path, child, the node it lives in or ""): every leaf, the actors inside nodes, and what templates would make."""
    for path, child in (*specs.walk(tree), *specs.templates(tree)):
        yield path, child, ""
        for below, member in specs.members(child):
            yield f"{path.rpartition('/')[0]}/{below}", member, child.id


def _place_of(kind: type[Actor]) -> Callable[[], str]:
    return lambda: f"{places.of(kind)} "


def _actors(child: ChildSpec) -> tuple[ActorStart, ...]:
    if isinstance(child.start, ActorStart):
        return (child.start,)
    return child.start.actors if isinstance(child.start, NodeStart) else ()


def _placed(fault: str, tree: SupervisorSpec, written: Callable[[str], str]) -> str:
    """A sentence about a spec begins with its path; its place goes in front of that."""
    paths = [(path, unit.id) for path, unit in specs.units(tree)]
    paths += [(path, child.id) for path, child, _ in _children(tree)]
    hit = max((item for item in paths if fault.startswith(f"{item[0]}: ")), key=lambda item: len(item[0]), default=None)
    return f"{written(hit[1] if hit is not None else tree.id)} {fault}".lstrip()


def _zygote_faults(zygote: ZygoteSpec) -> Iterator[str]:
    """What it imports and prepares must exist; importing all of it here would cost what zygotes are there to save."""
    for module in zygote.imports:
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            yield f"zygote {zygote.role}: there is no module {module} to import"
    if zygote.prepare:
        try:
            load(zygote.prepare)
        except CannotLoad as error:
            yield f"zygote {zygote.role}: {error}"


if __name__ == "__main__":
    sys.exit(main())
