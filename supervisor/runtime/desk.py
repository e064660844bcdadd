"""The root's desk: every question and order that comes over the counter is answered here, at once, with one map.

An order is answered when it is decided, not when it is done: a child that hangs in its start or its end keeps nobody
waiting. What was ordered is remembered on disk before the answer leaves. Only an order for an actor inside a node waits
for that node, a moment (inside.py). The counter itself is control.py.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from supervisor.moves import Order, Verb
from supervisor.runtime import board
from supervisor.runtime.control import Later, refusal

if TYPE_CHECKING:
    from supervisor.runtime.root import Root


class Desk:
    """One per root."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._orders = 0
        self._verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any] | Later]] = {
            "status": lambda _: root.status(),
            "why": self._why,
            "events": self._events,
            "start": self._order,
            "stop": self._order,
            "restart": self._order,
            "release": self._order,
            "down": self._down,
        }

    def answer(self, question: dict[str, Any]) -> dict[str, Any] | Later:
        """The answer to one question; an unknown verb gets the known ones."""
        verb = question["verb"]
        known = self._verbs.get(verb)
        if known is None:
            return refusal("unknown_verb", f"no verb {verb!r}; known are {' '.join(self._verbs)}")
        return known(question)

    def _events(self, question: dict[str, Any]) -> dict[str, Any]:
        after = question.get("after", 0)
        found = self._root.records.after(after if isinstance(after, int) else 0)
        return {"schema": board.SCHEMA, "ok": True, "events": found}

    def _down(self, question: dict[str, Any]) -> dict[str, Any]:
        root, force = self._root, question.get("force") is True
        order = "an operator's order (down --force)" if force else "an operator's order (down)"
        root.loop.at(0.0, lambda: root.stop(order, 0, abortable=not force, force=force))
        return {"ok": True, "code": "accepted", "text": "the server ends in order"}

    def _order(self, question: dict[str, Any]) -> dict[str, Any] | Later:
        verb, root = Verb(question["verb"]), self._root
        name = self._name(question)
        if verb is not Verb.STOP:
            root.take_up_new_inputs()
        if root.inside.node_of(name) is not None:
            return root.inside.order(verb, name)
        self._orders += 1
        order_id = f"order-{self._orders}"
        answer = root.runner.order(Order(order_id, verb, name), order_id)
        if answer is None:
            return refusal("internal", f"the tree did not answer {verb} {name}; see logs/root.jsonl")
        text = answer.text
        if answer.ok:
            try:
                root.intent.ordered(verb, name)
            except OSError as error:
                text = f"{text}; not remembered on disk: {error}"
        return {"ok": answer.ok, "code": answer.code, "text": text}

    def _why(self, question: dict[str, Any]) -> dict[str, Any]:
        root = self._root
        name = self._name(question)
        view = root.child(name)
        if view is None:
            names = [view.id for view in root.views()]
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names[:50])}"
            return refusal("not_found", f"no child is called {name!r}{hint}")
        return board.why(view, root.watch.seen.get(view.id), root.records.about(view.id), time.monotonic())

    def _name(self, question: dict[str, Any]) -> str:
        """The child that is meant: by its name, or by its path."""
        given = str(question.get("name", ""))
        last = given.rpartition("/")[2]
        view = self._root.child(last)
        if view is None:
            return given
        node = self._root.runner.tree.child(self._root.inside.node_of(last) or "")
        path = view.path if node is None else node.path + view.path[len(node.id) :]
        return last if given in (view.id, path) else given
