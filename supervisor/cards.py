"""The card index: which units a tree has, and how they come and go.

Picture a box of cards (`supervisor/unit.py`), one behind the other in start order. Those of the tree's spec are always
there, or there again when their supervisor starts anew; those added at run time stand behind them and leave with their
supervisor, unless it remembers. A card that leaves takes all memory of its unit with it, save the number of its last
incarnation: fences rely on numbers that only grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from supervisor import spec as specs
from supervisor.spec import ActorStart, ChildSpec, DynamicSpec, InvalidSpec, NodeStart, SupervisorSpec
from supervisor.unit import Unit
from supervisor.words import AutoShutdown

KEPT_NUMBERS = 1000  # of units that left; what is older raises the number everybody new starts from


class Cards:
    """All units of one tree. Raises `InvalidSpec` when a name below the root is the root's."""

    def __init__(
        self, spec: SupervisorSpec, incarnations: Mapping[str, int], remembered: Mapping[str, tuple[ChildSpec, ...]]
    ) -> None:
        self.units: dict[str, Unit] = {}
        self.refused: list[tuple[Unit, str]] = []  # remembered children that cannot come back, and why
        self._members: dict[str, str] = {}  # actor inside a node -> the node
        self._numbers = dict(incarnations)
        self._floor = 0
        self.root = self._plant(spec, None)
        for id in remembered.keys() & self.units.keys():
            self._recall(self.units[id], remembered[id])

    def __iter__(self) -> Iterator[Unit]:
        """Every unit in start order, parents first."""
        return below(self.root)

    def faults(self, parent: Unit, spec: ChildSpec) -> list[str]:
        """Why this child cannot be added there, apart from its name being taken; `[]` when it can."""
        above = parent.spec
        assert isinstance(above, SupervisorSpec)
        faults = specs.check(SupervisorSpec(id=parent.path, auto_shutdown=above.auto_shutdown, children=(spec,)))
        up: Unit | None = parent
        while spec.safety and up is not None and isinstance(up.spec, SupervisorSpec):
            if up.spec.auto_shutdown is not AutoShutdown.NEVER:
                faults.append(f"{spec.id}: safety is True; {up.path} may shut down by itself, and what guards stays up")
            up = up.parent
        for name in _inside(spec):
            if at := self.owner(name):
                faults.append(f"{spec.id}: {name} inside it has the name of {at}; names are unique in the whole tree")
        return faults

    def owner(self, name: str) -> str:
        """Path of the unit that has this name, or of the node inside which an actor has it; "" when it is free."""
        unit = self.units.get(self._members.get(name, name))
        return unit.path if unit is not None else ""

    def add(self, parent: Unit, spec: ChildSpec) -> Unit:
        """A new child, last in order."""
        unit = self._plant(spec, parent)
        unit.added = True
        return unit

    def drop(self, unit: Unit) -> None:
        """Its card leaves, with all below it. They are down."""
        parent = unit.parent
        assert parent is not None
        parent.overlook(unit)
        del parent.children[unit.id]
        for each in list(below(unit)):
            del self.units[each.id]
            self._numbers[each.id] = each.incarnation
            for name in _inside(each.spec):
                self._members.pop(name, None)
        while len(self._numbers) > KEPT_NUMBERS:
            self._floor = max(self._floor, self._numbers.pop(next(iter(self._numbers))))
        while unit.safety and parent is not None:
            parent.safety = any(child.safety for child in parent.children.values())
            parent = parent.parent

    def restock(self, at: Unit) -> None:
        """A supervisor starts anew: the children of its spec are all there, in their order."""
        assert isinstance(at.spec, SupervisorSpec)
        missing = [item for item in at.spec.children if item.id not in at.children and not self.owner(item.id)]
        if not missing:
            return
        for item in missing:
            self._plant(item, at)
        places = {item.id: place for place, item in enumerate(at.spec.children)}
        at.children = dict(sorted(at.children.items(), key=lambda named: places.get(named[0], len(places))))
        for place, child in enumerate(at.children.values()):
            at.overlook(child)
            child.position = place
        at.next_position = len(at.children)

    def _plant(self, spec: ChildSpec | SupervisorSpec, parent: Unit | None) -> Unit:
        """The unit of a spec with all units below it."""
        if spec.id in self.units:
            raise InvalidSpec(f"{spec.id}: this name of the root is used again below it; names are unique in the tree")
        unit = Unit(spec, f"{parent.path}/{spec.id}" if parent else spec.id, parent, 0)
        unit.incarnation = max(self._numbers.pop(spec.id, 0), self._floor)
        self.units[spec.id] = unit
        if parent is not None:
            unit.position, parent.next_position = parent.next_position, parent.next_position + 1
            parent.children[spec.id] = unit
        if isinstance(spec, SupervisorSpec):
            for item in spec.children:
                self._plant(item, unit)
        self._members.update(dict.fromkeys(_inside(spec), spec.id))
        above = parent
        while unit.safety and above is not None and not above.safety:
            above.safety, above = True, above.parent
        return unit

    def _recall(self, at: Unit, remembered: tuple[ChildSpec, ...]) -> None:
        if not isinstance(at.spec, DynamicSpec) or not at.spec.remembers:
            return
        for spec in remembered:
            faults = [f"its name is taken by {taken}"] if (taken := self.owner(spec.id)) else self.faults(at, spec)
            if len(at.children) >= at.spec.max_children:
                faults.append(f"{at.id} has its {at.spec.max_children} children already")
            if faults:
                self.refused.append((at, f"{spec.id} is not brought back: {'; '.join(faults)}"))
            else:
                self.add(at, spec)


def below(unit: Unit) -> Iterator[Unit]:
    """The unit and all below it, in start order, parents first."""
    yield unit
    for child in unit.children.values():
        if child.children:
            yield from below(child)
        else:
            yield child


def _inside(spec: ChildSpec | SupervisorSpec) -> list[str]:
    """The names inside a node that supervises its own actors."""
    start = spec.start if isinstance(spec, ChildSpec) else None
    if not isinstance(start, NodeStart) or start.group is None:
        return []
    return [item.id for _, item in specs.units(start.group)][1:]


def from_template(template: ChildSpec, name: str) -> ChildSpec:
    """A child of a template: the id and, where it starts one actor, the name of that actor are `name`."""
    start = template.start
    match start:
        case ActorStart():
            start = msgspec.structs.replace(start, name=name)
        case NodeStart(actors=(one,)):
            start = msgspec.structs.replace(start, actors=(msgspec.structs.replace(one, name=name),))
    return msgspec.structs.replace(template, id=name, start=start)
