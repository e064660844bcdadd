"""The format of a scenario: one small Python file that says what runs, what goes wrong, and what the truth is.

The picture: a fire drill with a sealed envelope. The scenario lights the fire (`inject`) and its envelope says what
burns (`truth`), what the fire brigade should do (`action`) and whom it must leave alone (`healthy`). Neither the root
nor the judge ever sees the envelope. All times are written as on a server at its usual pace; the stage scales them.

This file knows nothing of processes; a scenario is imported by the bench and, for its actors, by every node.
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from supervisor.spec import ChildSpec, NodeStart, SupervisorSpec, members, supervise, units
from supervisor.spec import check as check_spec
from supervisor.words import Strategy, VerdictKind

if TYPE_CHECKING:
    from benchmarks.verdicts.stage import Stage

ID = re.compile(r"[A-Z]\d\d[a-z]?")
LONGEST_S = 1800.0
Cast = tuple[ChildSpec | SupervisorSpec, ...]


class InvalidScenario(ValueError):
    """A file that is no scenario. The text names the file, the field and the rule."""


class Deed(StrEnum):
    """What was done about a fault, by its cost: the columns of the action matrix."""

    NOTHING = "nothing"  # no restart: also a SIGCONT, an alert, a check without its say
    ACTOR = "restart actor"  # one actor inside its node
    RESTART = "restart"  # the process, once or with backoff
    SUBTREE = "restart subtree"  # others lost their lives with it
    PARK = "park"
    GATE = "gate"  # held behind what it depends on


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What is really wrong. `causes`: words for it of which one must be in the verdict's cause; () where the kind says
    it all. `also`: other kinds that are no less true (G01: a dead worker thread is DEGRADED or HUNG)."""

    unit: str
    kind: VerdictKind
    causes: tuple[str, ...] = ()
    also: tuple[VerdictKind, ...] = ()

    @property
    def kinds(self) -> tuple[VerdictKind, ...]:
        return (self.kind, *self.also)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled fault. The file's name begins with its `id`."""

    id: str  # "A02", as in the reference; a letter after it for a second form
    title: str
    children: Cast | Callable[[Stage], Sequence[ChildSpec | SupervisorSpec]]  # a function where ports must be known
    inject: Callable[[Stage], None]
    truth: Truth
    action: Deed | tuple[Deed, ...]
    never: tuple[Deed, ...] = ()  # what must not be done to the unit
    healthy: tuple[str, ...] = ()  # bystanders: no restart, and at the end no verdict worse than BUSY
    involved: tuple[str, ...] = ()  # others that the fault has hit too: what is done to them is neither false nor over
    within_s: float = 15.0  # after the fault began its verdict is late
    lasts_s: float = 30.0  # it is watched for so long after the fault began
    starts_most: int = 2  # of the unit, the first one included; more are futile
    recovers: bool = False  # useful work must be seen again before the end
    in_root: Callable[[], None] | None = None  # called in the root before it begins: a clock of it that goes wrong
    boots: bool = True  # False: the unit is not expected to become ready, the fault is in its start

    @property
    def actions(self) -> tuple[Deed, ...]:
        return (self.action,) if isinstance(self.action, Deed) else self.action

    @property
    def group(self) -> str:
        return self.id[0]


def check(scenario: Scenario, stem: str) -> list[str]:
    """Every fault of one scenario as a sentence, `[]` when it can be run."""
    found = []
    if not ID.fullmatch(scenario.id):
        found.append(f"id is {scenario.id!r}; it must be a capital and two digits, as in A02")
    elif not stem.upper().startswith(scenario.id.upper()):
        found.append(f"id is {scenario.id!r}; the name of its file must begin with it")
    for name in ("within_s", "lasts_s"):
        value = getattr(scenario, name)
        if not 0 < value <= LONGEST_S:
            found.append(f"{name} is {value!r}; it must be more than 0 and at most {LONGEST_S:g}")
    if scenario.within_s > scenario.lasts_s:
        found.append(f"within_s is {scenario.within_s:g}; it is watched only for lasts_s = {scenario.lasts_s:g}")
    if not scenario.actions:
        found.append("action is empty; name at least one right deed")
    for deed in set(scenario.actions) & set(scenario.never):
        found.append(f"{deed!s} is both right (action) and forbidden (never)")
    if not callable(scenario.inject):
        found.append("inject is no function; it is called with the stage")
    if scenario.truth.unit in scenario.healthy:
        found.append(f"{scenario.truth.unit} is the unit of the truth and cannot be a healthy bystander")
    if not callable(scenario.children):
        found += check_cast(scenario, scenario.children)
    return found


def check_cast(scenario: Scenario, cast: Sequence[ChildSpec | SupervisorSpec]) -> list[str]:
    """What is wrong with the children; where they are a function, asked when its answer is known."""
    names = names_of(cast)
    found = [
        f"{what} names {name!r}, which is no child; known are {', '.join(names) or 'none'}"
        for what, name in (
            ("truth", scenario.truth.unit),
            *((what, name) for what in ("healthy", "involved") for name in getattr(scenario, what)),
        )
        if name not in names
    ]
    return found + check_spec(tree_of(cast))


def tree_of(cast: Sequence[ChildSpec | SupervisorSpec]) -> SupervisorSpec:
    """Under one generous supervisor: what a budget does is for the child's own budget to show."""
    return supervise("stage", Strategy.ONE_FOR_ONE, list(cast), intensity=100)


def names_of(cast: Iterable[ChildSpec | SupervisorSpec]) -> list[str]:
    """Every unit, also the actors inside nodes."""
    names = []
    for item in cast:
        for _, unit in units(item) if isinstance(item, SupervisorSpec) else [("", item)]:
            names.append(unit.id)
            if isinstance(unit, ChildSpec):
                names += [member.id for _, member in members(unit)]
                if isinstance(unit.start, NodeStart):
                    names += [actor.name for actor in unit.start.actors if actor.name not in names]
    return names


def load(path: Path) -> Scenario:
    """The scenario of one file. Its folder goes on the import path, under the name its actors are started by.

    Raises:
        InvalidScenario: it cannot be imported, holds no SCENARIO, or one with faults; a sentence for each.
    """
    if not path.stem.isidentifier():
        raise InvalidScenario(f"{path.name}: the name must be a Python word, nodes import it")
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    known = sys.modules.get(path.stem)
    if known is not None and Path(known.__file__ or "").resolve() != path.resolve():
        raise InvalidScenario(f"{path.name}: another module is called {path.stem} ({known.__file__}); rename the file")
    try:
        module = importlib.import_module(path.stem)
    except Exception as error:  # a foreign file: whatever it raises is its fault, told as a sentence
        sys.modules.pop(path.stem, None)
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if Path(frame.filename).name == path.name), None)
        place = f"{path.name}:{line}" if line else path.name
        raise InvalidScenario(f"{place}: {type(error).__name__}: {error}") from error
    scenario = getattr(module, "SCENARIO", None)
    if not isinstance(scenario, Scenario):
        what = "there is no SCENARIO in it" if scenario is None else f"SCENARIO is a {type(scenario).__name__}"
        raise InvalidScenario(f"{path.name}: {what}; it must be a benchmarks.verdicts.scenario.Scenario")
    faults = check(scenario, path.stem)
    if faults:
        raise InvalidScenario("\n".join(f"{path.name}: {fault}" for fault in faults))
    return scenario


def catalogue(folder: Path, only: str = "") -> tuple[list[Scenario], list[str]]:
    """(scenarios in the order of their ids, what is wrong with the others). `only`: "A01,C*", matched with the ids.

    One broken file stops nobody else. Raises InvalidScenario when there is no such folder.
    """
    if not folder.is_dir():
        raise InvalidScenario(f"{folder} is no folder; --catalogue names one that holds scenarios")
    wanted = [word.strip().upper() for word in only.split(",") if word.strip()]
    found: dict[str, Scenario] = {}
    faults = []
    for path in sorted(folder.glob("*.py")):
        match = ID.match(path.stem[:1].upper() + path.stem[1:])
        if path.stem.startswith("_") or (match is None and path.stem == "pieces"):
            continue
        id = match.group() if match else path.stem
        if wanted and not any(fnmatch.fnmatch(id.upper(), word) for word in wanted):
            continue
        try:
            scenario = load(path)
        except InvalidScenario as error:
            faults += str(error).splitlines()
            continue
        if scenario.id in found:
            faults.append(f"{path.name}: id {scenario.id} is already used in this folder")
        else:
            found[scenario.id] = scenario
    missing = [word for word in wanted if not any(fnmatch.fnmatch(id.upper(), word) for id in found) and not faults]
    faults += [f"--only {word}: no scenario has such an id" for word in missing]
    return list(found.values()), faults
