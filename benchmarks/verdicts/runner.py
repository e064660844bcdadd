"""Plays one scenario against a real root in a home of its own, and leaves nothing behind.

The picture: a theatre for one evening. The tree is compiled with the scale and an evidence log, the root runs it, the
stagehand injects the fault, the house goes on for as long as the scenario says, and then the lights go out: the root is
killed (its children follow it), and whatever still carries the mark of this stage in its environment is killed too,
also after Ctrl-C. What was right is not decided here (story.py).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.verdicts import pieces
from benchmarks.verdicts.scenario import Cast, InvalidScenario, Scenario, check_cast, tree_of
from benchmarks.verdicts.stage import Stage, StageFault
from benchmarks.verdicts.story import Marks, Outcome, outcome
from supervisor import plan as plans
from supervisor.evidence import record
from supervisor.loading import load
from supervisor.plan import Draft
from supervisor.runtime import scratch
from supervisor.spec import ActorStart, Backoff, Canary, Check, ChildSpec, NodeStart, SupervisorSpec, members, walk
from supervisor.verdict import timing

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
LOADS = {"idle": 0, "2x": 2, "8x": 8}  # busy processes per core beside the house
END_S = 5.0
ROOT = "supervisor.runtime.root"
LOG = "evidence.log"
SHORTEST_TIMEOUT_S = 0.5
Asked = TypeVar("Asked", Check, Canary)


def play(scenario: Scenario, folder: Path, *, scale: float, seed: int, load_: str, keep: Path | None = None) -> Outcome:
    """One run. `keep`: a folder that gets the evidence log and the marks, for judging it again.

    A scene that cannot be set up gives an outcome with `void`; Ctrl-C passes through when everything is ended.
    """
    home = Path(tempfile.mkdtemp(prefix="qtv-"))
    try:
        stage = Stage(home, scale, seed)
        cast, void, ended_at = _perform(scenario, stage, folder, load_)
        told = Outcome(id=scenario.id, title=scenario.title, seed=seed, load=load_, scale=scale, void=void)
        if void or stage.began_at is None:
            return told
        node = _node_of(cast, scenario.truth.unit)
        marks = Marks(
            began_at=stage.began_at,
            ended_at=ended_at,
            over_at=stage.over_at,
            node=node,
            scale=scale,
            backoff=_quicker(_backoff_of(cast, scenario.truth.unit, node), 1 / scale),
            ordered=tuple(stage.ordered),
        )
        try:
            frames = list(record.read(home / LOG))
            if keep is not None:
                _keep(home, keep / f"{scenario.id}-{load_}-{seed}", marks)
        except (OSError, ValueError) as error:
            return msgspec.structs.replace(told, void=str(error))
        return outcome(scenario, marks, frames, len(list(walk(tree_of(cast)))), seed, load_)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _perform(scenario: Scenario, stage: Stage, folder: Path, load_: str) -> tuple[Cast, str, float]:
    """The evening itself: (who played, why it could not be played or "", when it ended). Nothing runs afterwards."""
    home, scale = stage.home, stage.scale
    root: subprocess.Popen[bytes] | None = None
    void, cast = "", tuple[ChildSpec | SupervisorSpec, ...]()
    try:
        cast = _cast(scenario, stage)
        _compile(cast, home, folder, scale, stage.seed)
        stage.burn(LOADS[load_] * (os.cpu_count() or 1))
        root = _start(home, folder, scale, scenario.in_root)
        stage.root_pid = root.pid
        if scenario.boots:
            names = [child.id for _, child in walk(tree_of(cast))]
            stage.until_ready(*names, at_work=tuple(name for name in scenario.healthy if name in names))
            stage.wait_about(2.0)
        else:
            stage.until(stage.rows, "the root answers")
        scenario.inject(stage)
        stage.begin()
        assert stage.began_at is not None
        time.sleep(max(0.0, stage.began_at + stage.seconds(scenario.lasts_s) - time.monotonic()))
        if root.poll() is not None:
            raise StageFault(f"the root ended by itself with code {root.returncode}")
    except Exception as error:  # noqa: BLE001  a foreign scene may raise anything; the others are played all the same
        void = f"{type(error).__name__}: {error}; {_said(home)}".rstrip("; ")
    finally:
        ended_at = time.monotonic()
        _end(root, stage)
    return cast, void, ended_at


def _cast(scenario: Scenario, stage: Stage) -> Cast:
    """The children with their declared times scaled, as the judge's own limits are."""
    given = scenario.children
    cast = tuple(given(stage)) if callable(given) else given
    if faults := check_cast(scenario, cast):
        raise InvalidScenario("; ".join(faults))
    return tuple(scaled(item, stage.scale) for item in cast)


def scaled(item: ChildSpec | SupervisorSpec, scale: float) -> ChildSpec | SupervisorSpec:
    """The same spec for a house that lives faster. `hang_after_s` and `start_timeout_s` are scaled by the judge."""
    replace = msgspec.structs.replace
    if isinstance(item, SupervisorSpec):
        below = tuple(scaled(child, scale) for child in item.children)
        return replace(item, children=below, period_s=item.period_s * scale, backoff=_quicker(item.backoff, scale))
    start = item.start
    if isinstance(start, NodeStart) and start.group is not None:
        group = scaled(start.group, scale)
        assert isinstance(group, SupervisorSpec)
        start = replace(start, group=group)
    return replace(
        item,
        start=start,
        backoff=_quicker(item.backoff, scale),
        budget=replace(item.budget, period_s=item.budget.period_s * scale),
        shutdown_s=item.shutdown_s * scale,
        checks=tuple(_sooner(check, scale) for check in item.checks),
        promises=tuple(replace(one, at_least_every_s=one.at_least_every_s * scale) for one in item.promises),
        canaries=tuple(_sooner(canary, scale) for canary in item.canaries),
        depends=tuple(
            replace(one, check=_sooner(one.check, scale)) if one.check is not None else one for one in item.depends
        ),
    )


def _quicker(backoff: Backoff, scale: float) -> Backoff:
    return Backoff(
        initial_s=backoff.initial_s * scale,
        factor=backoff.factor,
        cap_s=backoff.cap_s * scale,
        reset_after_s=backoff.reset_after_s * scale,
    )


def _sooner(asked: Asked, scale: float) -> Asked:
    """A question that is asked more often. Its timeout has a floor: an interpreter starts no faster in a fast house."""
    timeout_s = max(asked.timeout_s * scale, SHORTEST_TIMEOUT_S)
    return msgspec.structs.replace(asked, every_s=asked.every_s * scale, timeout_s=timeout_s)


def _compile(cast: Cast, home: Path, folder: Path, scale: float, seed: int) -> None:
    for part in ("run", "logs", "state", "journal", "reports", "vitals"):
        (home / part).mkdir(parents=True, exist_ok=True, mode=0o700)
    tree = tree_of(cast)
    draft = Draft(
        tree=tree,
        zygotes=scratch.zygotes_of(tree),
        outside=tuple(_topics(tree)),
        seed=seed + 1,
        watched=(str(home / "stage" / "watched"),),
        own_roots=(str(folder.resolve()), str(Path(pieces.__file__).parent)),
        environment=_environment(home, folder, scale),
        time_scale=scale,
        evidence_log=str(home / LOG),
    )
    try:
        plans.save(scratch.compile_plan(draft, home=home, sockets=scratch.sockets_of(home)))
    except scratch.CannotStart as error:
        raise InvalidScenario(str(error)) from error


def _topics(tree: SupervisorSpec) -> Iterator[str]:
    """Everything its actors say or hear may lack its other end: a scenario is no whole house."""
    for _, child in walk(tree):
        for start in (*_starts(child), *(one for _, member in members(child) for one in _starts(member))):
            with contextlib.suppress(Exception):  # a class that cannot be loaded may be the very fault
                kind = load(start.path)
                yield from {one.__name__ for one in (*kind.subscribes, *kind.publishes)}


def _starts(child: ChildSpec) -> Sequence[ActorStart]:
    if isinstance(child.start, ActorStart):
        return (child.start,)
    return child.start.actors if isinstance(child.start, NodeStart) else ()


def _node_of(cast: Cast, unit: str) -> str:
    for _, child in walk(tree_of(cast)):
        inside = [member.id for _, member in members(child)] + [start.name for start in _starts(child)]
        if unit == child.id or unit in inside:
            return child.id
    return unit


def _backoff_of(cast: Cast, unit: str, node: str) -> Backoff:
    """Of the unit where it is a child itself, else of the child that hosts it."""
    known = {spec.id: spec.backoff for _, child in walk(tree_of(cast)) for _, spec in (("", child), *members(child))}
    return known.get(unit, known.get(node, Backoff()))


def _environment(home: Path, folder: Path, scale: float) -> dict[str, str]:
    path = os.pathsep.join((str(folder.resolve()), str(PROJECT)))
    return {**ENVIRONMENT, "PYTHONPATH": path, pieces.STAGE: str(home / "stage"), pieces.SCALE: repr(scale)}


def _start(home: Path, folder: Path, scale: float, first: Callable[[], None] | None) -> subprocess.Popen[bytes]:
    """The real root; what a scenario does in it is done by the same interpreter just before."""
    how = ["-m", ROOT]
    if first is not None:
        how = [
            "-c",
            f"import runpy, {first.__module__} as s; s.{first.__name__}(); runpy.run_module({ROOT!r}, "
            "run_name='__main__', alter_sys=True)",
        ]
    with (home / "root.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, *how, "--home", str(home)],
            env={**os.environ, **_environment(home, folder, scale)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            process_group=0,  # Ctrl-C is ours
        )


def _said(home: Path) -> str:
    """The last words of the root, for a run that failed."""
    with contextlib.suppress(OSError):
        return " ".join((home / "root.txt").read_text(errors="replace").split())[-400:]
    return ""


def _end(root: subprocess.Popen[bytes] | None, stage: Stage) -> None:
    """The lights go out. The log is let out of its buffer first: a kill would cost its last half second."""
    stage.close()
    if root is not None:
        time.sleep(record.FLUSH_EVERY_S + timing.SEEDS.tick_s)
        root.kill()
        root.wait()
    deadline = time.monotonic() + END_S
    while (left := marked(stage.folder)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    with contextlib.suppress(OSError):
        shutil.rmtree((stage.home / "run" / "sockets").read_text().strip(), ignore_errors=True)


def marked(folder: Path) -> list[int]:
    """Processes that carry the mark of this stage in their environment, ourselves not among them."""
    mark, found = f"{pieces.STAGE}={folder}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def _keep(home: Path, path: Path, marks: Marks) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(home / LOG, path.with_suffix(".evidence"))
    path.with_suffix(".marks.json").write_bytes(msgspec.json.encode(marks))


def play_all(
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    scale: float,
    seeds: int,
    load_: str,
    keep: Path | None = None,
    said: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Every scenario with every seed, one after another: two at once would disturb each other's clocks."""
    found = []
    for seed in range(seeds):
        for scenario in scenarios:
            found.append(play(scenario, folder, scale=scale, seed=seed, load_=load_, keep=keep))
            said(found[-1])
    return found
