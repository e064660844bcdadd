"""What the root knows of the actors inside its nodes: told over the links, shown below the nodes, ordered through them.

The tree over those actors is the node's (group.py); here is its mirror. An order for one of them is passed on and
answered when the node answers, or after `ANSWER_S` with `no_answer`: a node that hangs keeps no operator waiting, and
nobody is told that something was done which nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from supervisor import spec as specs
from supervisor.moves import ChildView, Verb
from supervisor.runtime import board, link
from supervisor.runtime.control import Later, refusal
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.spec import ChildSpec, NodeStart, SupervisorSpec
from supervisor.words import State

ANSWER_S = 0.15  # a client is to have its answer within 0.2 s
OBEYED_S = 60.0  # the node's own answer is taken note of until then
WAITING_MOST = 1000  # orders on their way; more are refused at once
GONE = frozenset({State.STARTING, State.RUNNING, State.READY, State.STOPPING, State.ZOMBIE, State.RESTARTING})


class _Order(msgspec.Struct):
    life: Life
    verb: Verb
    name: str
    answer: Later


class Inside:
    """`obeyed` is told of every order that was accepted, also of one whose answer came too late for its visitor."""

    def __init__(
        self, loop: Loop, tree: SupervisorSpec, lives: Mapping[str, Life], obeyed: Callable[[Verb, str], str]
    ) -> None:
        self._loop, self._lives, self._obeyed = loop, lives, obeyed
        self._nodes: dict[str, dict[str, ChildView]] = {}  # node -> its units, in start order
        self._homes: dict[str, str] = {}  # unit -> node
        self._rows: dict[str, dict[str, Any]] = {}  # unit -> its entry in the status
        self._orders: dict[str, _Order] = {}
        self._count = 0
        for _, child in specs.walk(tree):
            self.know(child)

    def know(self, child: ChildSpec) -> None:
        """A node that is part of the tree from now on; before its first word its actors are down."""
        if not isinstance(child.start, NodeStart) or child.start.group is None or child.id in self._nodes:
            return
        below = list(specs.units(child.start.group))[1:]
        self._nodes[child.id] = {item.id: _down(path, item) for path, item in below}
        self._homes.update((item.id, child.id) for _, item in below)

    def forget(self, node: str) -> tuple[str, ...]:
        """This node is no part of the tree any more; who was in it."""
        names = tuple(self._nodes.pop(node, {}))
        for name in names:
            self._homes.pop(name, None)
            self._rows.pop(name, None)
        return names

    def rows(self, node: ChildView, now: float) -> Iterator[dict[str, Any]]:
        """The units inside this node for the status. An entry is made when its unit changes, and then only grows older:
        with a thousand of them that is what makes the answer quick."""
        for view in self._nodes.get(node.id, {}).values():
            row = self._rows.get(view.id)
            if row is None:
                row = self._rows[view.id] = board.child_map(_placed(view, node), None, None, now)
            yield board.aged(row, view, now)

    def names(self) -> list[str]:
        return list(self._homes)

    def __len__(self) -> int:
        return len(self._homes)

    def node_of(self, name: str) -> str | None:
        """The node that holds this unit."""
        return self._homes.get(name)

    def child(self, name: str) -> ChildView | None:
        """One unit, its path from the node on."""
        return self._nodes[self._homes[name]].get(name) if name in self._homes else None

    # -- what nodes say -------------------------------------------------------------------------------------------

    def heard(self, life: Life, word: link.Inside | link.Obeyed) -> None:
        if isinstance(word, link.Inside):
            known = self._nodes.get(life.id, {})
            for view in word.views:
                if view.id in known:
                    known[view.id] = view
                    self._rows.pop(view.id, None)
            return
        order = self._orders.pop(word.order_id, None)
        if order is None or order.life is not life:
            return
        missed = self._obeyed(order.verb, order.name) if word.ok else ""
        order.answer.give({"ok": word.ok, "code": word.code, "text": word.text + missed})

    def gone(self, life: Life) -> list[ChildView]:
        """The node is dead, and so are its actors: those that were up, as they were."""
        for id, order in list(self._orders.items()):
            if order.life is life:
                del self._orders[id]
                order.answer.give(_unknown(order.name, f"its node {life.id} ended over it"))
        known = self._nodes.get(life.id, {})
        ended = [view for view in known.values() if view.state in GONE]
        for view in ended:
            self._rows.pop(view.id, None)
            known[view.id] = msgspec.structs.replace(
                view, state=State.STOPPED, pid=None, ready=False, next_retry_at=None
            )
        return [view for view in ended if view.pid is not None]

    # -- orders ---------------------------------------------------------------------------------------------------

    def order(self, verb: Verb, name: str, why: str = "") -> dict[str, Any] | Later:
        """The answer to an order for `name`, a unit inside some node; mostly a later one. `why`: not an operator's."""
        node = self._homes[name]
        life = self._lives.get(node)
        if life is None or life.line is None or not life.hello:
            if verb is not Verb.STOP:
                return refusal("supervisor_down", f"{name} cannot come up: its node {node} is down")
            missed = self._obeyed(verb, name)
            return {"ok": True, "code": "stopped", "text": f"{name} is down with its node and stays down{missed}"}
        if len(self._orders) >= WAITING_MOST:
            return _unknown(name, f"{WAITING_MOST} orders wait for nodes already; it was not passed on")
        self._count += 1
        id = f"inside-{self._count}"
        if not link.send(life.line, link.Command(order_id=id, verb=verb, name=name, why=why)):
            return _unknown(name, f"its node {node} takes no words; the order was not passed on")
        answer = Later()
        self._orders[id] = _Order(life, verb, name, answer)
        late = f"its node {node} did not answer within {ANSWER_S:g} s; whether it will be done is not known"
        now = time.monotonic()
        self._loop.at(now + ANSWER_S, lambda: answer.give(_unknown(name, late)))
        self._loop.at(now + OBEYED_S, lambda: self._give_up(id))
        return answer

    def _give_up(self, id: str) -> None:
        """The node has lost its word on this order, or will never say it."""
        self._orders.pop(id, None)


def _unknown(name: str, why: str) -> dict[str, Any]:
    return refusal("no_answer", f"{name}: {why}; see qt status")


def _placed(view: ChildView, node: ChildView) -> ChildView:
    return msgspec.structs.replace(view, path=node.path + view.path[len(node.id) :])


def _down(path: str, item: ChildSpec | SupervisorSpec) -> ChildView:
    is_actor = isinstance(item, ChildSpec)
    limit = item.budget.intensity if isinstance(item, ChildSpec) else item.intensity
    return ChildView(
        path=path,
        id=item.id,
        kind="worker" if is_actor else "supervisor",
        state=State.STOPPED,
        incarnation=0,
        pid=None,
        since=time.monotonic(),
        restarts_in_window=0,
        restart_limit=limit,
        restarts_total=0,
        next_retry_at=None,
        last_exit=None,
        ready=False,
        required=item.required if isinstance(item, ChildSpec) else True,
    )
