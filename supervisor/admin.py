"""Orders: what an operator, or a program that adds and removes children, asks of the tree.

The counter of the office: every order gets exactly one answer, at once, by `supervisor/policy/orders.py`; what was
accepted is written on the cards, and the line does the rest. An order costs no restart budget (statement 61).
"""

from __future__ import annotations

import difflib

from supervisor.cards import from_template
from supervisor.events import Cause, SupervisionKind
from supervisor.line import Line
from supervisor.moves import AddChild, Answer, Order, Remember, RemoveChild, Verb
from supervisor.policy import orders
from supervisor.policy.orders import Move, Ruling
from supervisor.spec import ChildSpec, DynamicSpec
from supervisor.unit import Unit
from supervisor.words import Restart, State

WHY = "an operator's order"
LOOK_AT = 200  # names, for the nearest to an unknown one: 10,000 would take a second
NAMED = 30  # in the answer to an unknown one


class Admin:
    """Answers and carries out orders on one line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def order(self, event: Order) -> None:
        line, unit = self._line, self._line.units.get(event.id)
        known = event.verb in set(Verb)
        ruling, blame = self._rule(event.verb, event.id, unit) if known else (orders.UNKNOWN_VERB, str(event.verb))
        self._answer(event.order_id, ruling, event.id, unit, blame)
        if unit is None or ruling.move is Move.NOTHING:
            return
        line.report(SupervisionKind.ORDERED, unit, f"{event.verb} accepted", cause=Cause.ORDER)
        unit.held = unit.ended = False
        match ruling.move:
            case Move.START:
                if unit.state is State.QUARANTINED:
                    line.report(SupervisionKind.RELEASED, unit, cause=Cause.ORDER)
                unit.forget()
                unit.cause, unit.due_at, unit.in_line, unit.ordered = Cause.ORDER, None, False, True
                line.move(unit, State.WAITING)
            case Move.STOP:
                unit.held = True
                line.doom(unit, State.STOPPED, Cause.ORDER, event.why, alone=True)
            case Move.BOUNCE:
                unit.ordered = True
                line.doom(unit, State.WAITING, Cause.ORDER, event.why, alone=True)

    def add(self, event: AddChild) -> None:
        """OTP's start_child. A start that fails is retried like any other, or forgets the child, as the law says."""
        line, above = self._line, self._line.units.get(event.supervisor_id)
        spec = event.spec
        if spec is None and above is not None and isinstance(above.spec, DynamicSpec) and above.spec.template:
            spec = from_template(above.spec.template, event.name)
        name = event.supervisor_id if above is None else spec.id if spec is not None else event.name
        ruling, blame = self._rule_on_child(event, above, spec)
        self._answer(event.order_id, ruling, name, line.units.get(name), blame)
        if spec is None or above is None or ruling.move is Move.NOTHING:
            return
        unit = line.cards.add(above, spec)
        unit.since = line.now
        line.report(SupervisionKind.ADDED, unit, f"below {above.id}", cause=Cause.ORDER)
        if above.remembers and spec.restart is not Restart.TEMPORARY:
            line.out.append(Remember(above.id, spec.id, spec))
        unit.cause, unit.ordered, unit.fresh = Cause.ORDER, True, True
        unit.in_line = above.state is State.RUNNING and not above.dynamic  # last in the start that is under way
        line.move(unit, State.WAITING)

    def remove(self, event: RemoveChild) -> None:
        """OTP's delete_child."""
        line, unit = self._line, self._line.units.get(event.id)
        ruling, blame = self._rule("remove", event.id, unit)
        self._answer(event.order_id, ruling, event.id, unit, blame)
        if unit is None or ruling.move is Move.NOTHING:
            return
        line.report(SupervisionKind.ORDERED, unit, "remove accepted", cause=Cause.ORDER)
        unit.leaving = True
        line.doom(unit, State.STOPPED, Cause.ORDER, WHY, alone=True)
        if not unit.live:
            line.forget(unit, WHY)

    def _answer(self, order_id: str, ruling: Ruling, id: str, unit: Unit | None, blame: str) -> None:
        incarnation, pid = (unit.incarnation, unit.pid) if unit is not None else (0, None)
        text = ruling.text.format(id=id, blame=blame, incarnation=incarnation, pid=pid)
        self._line.out.append(Answer(order_id, ruling.ok, ruling.code, text))

    def _rule(self, verb: str, id: str, unit: Unit | None) -> tuple[Ruling, str]:
        """The ruling on a known verb, and what its text blames."""
        if unit is None:
            return self._unknown(id)
        if self._line.closing:
            return orders.SHUTTING_DOWN, self._line.closing
        if unit.parent is None:
            return orders.ROOT, unit.id
        if unit.leaving:
            return orders.LEAVING, ""
        if verb not in ("stop", "remove") and (unit.parent.going or not unit.parent.live):
            return orders.SUPERVISOR_DOWN, f"{unit.parent.id} is {unit.parent.state}"
        if verb == "remove" and unit.parent.dynamic:
            return orders.DYNAMIC_REMOVE[unit.state], ""
        return orders.rule(verb, unit.state, comes_back=unit.comes_back), ""

    def _rule_on_child(self, event: AddChild, above: Unit | None, spec: ChildSpec | None) -> tuple[Ruling, str]:
        """The ruling on a child to be added, in OTP's order: the spec first, then its name, then the room for it."""
        line = self._line
        if above is None:
            return self._unknown(event.supervisor_id)
        if line.closing:
            return orders.SHUTTING_DOWN, line.closing
        if isinstance(above.spec, ChildSpec):
            return orders.NOT_A_SUPERVISOR, above.id
        if above.going or not above.live:
            return orders.SUPERVISOR_DOWN, f"{above.id} is {above.state}"
        if spec is None:
            return orders.NO_TEMPLATE, above.id
        if faults := line.cards.faults(above, spec):
            return orders.INVALID_SPEC, "; ".join(faults)
        if taken := line.cards.owner(spec.id):
            there = line.units.get(spec.id)
            if there is not None and there.live:
                return orders.ALREADY_STARTED, ""
            return orders.ALREADY_PRESENT, f"{there.state if there else 'an actor'} at {taken}"
        if isinstance(above.spec, DynamicSpec) and len(above.children) >= above.spec.max_children:
            return orders.MAX_CHILDREN, f"{above.id} has {above.spec.max_children} children, as many as it may have"
        return orders.ADDED, above.id

    def _unknown(self, id: str) -> tuple[Ruling, str]:
        """The nearest name, or those there are; in a large tree neither takes long to find nor to read."""
        names = list(self._line.units)
        likely = names if len(names) <= LOOK_AT else [name for name in names if name[:3] == id[:3]][:LOOK_AT]
        if near := difflib.get_close_matches(id, likely, n=1, cutoff=0.5):
            return orders.NEAREST, near[0]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return orders.NOT_FOUND, ", ".join(names[:NAMED]) + more
