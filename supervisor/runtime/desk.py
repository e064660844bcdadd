"""The root's desk: every question and order that comes over the counter is answered here, at once, with one map.

An order is answered when it is decided, not when it is done: a child that hangs in its start or its end keeps nobody
waiting. What was ordered is remembered on disk before the answer leaves. Only an order for an actor inside a node waits
for that node, a moment (inside.py). The counter itself is control.py.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from supervisor.moves import AddChild, Order, RemoveChild, Verb
from supervisor.runtime import board, locks
from supervisor.runtime.control import Later, refusal
from supervisor.runtime.records import wall
from supervisor.spec import ChildSpec

if TYPE_CHECKING:
    from supervisor.runtime.root import Root


class Desk:
    """One per root."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._orders = 0
        self._verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any] | Later]] = {
            "status": lambda _: self.status(),
            "why": self._why,
            "events": self._events,
            "start": self._order,
            "stop": self._order,
            "restart": self._order,
            "release": self._order,
            "add": self._add,
            "remove": self._remove,
            "down": self._down,
        }

    def answer(self, question: dict[str, Any]) -> dict[str, Any] | Later:
        """The answer to one question; an unknown verb gets the known ones."""
        verb = question["verb"]
        known = self._verbs.get(verb)
        if known is None:
            return refusal("unknown_verb", f"no verb {verb!r}; known are {' '.join(self._verbs)}")
        return known(question)

    def status(self) -> dict[str, Any]:
        """The document whose layout board.py keeps."""
        root, now = self._root, time.monotonic()
        shutdown = root.phasing.document()
        state = "stopping" if root.stopping else "running" if root.was_ready else "starting"
        state = "safe" if not root.stopping and shutdown is not None else state
        server = {
            "state": state,
            "mode": root.plan.mode,
            "pid": os.getpid(),
            "uptime_s": round(now - root.begun_at, 3),
            "version": root.plan.version,
            "config_digest": root.plan.config_digest,
            "shutdown": shutdown,
            "zygotes": [
                {"role": role, "pid": pid, "spare": root.nursery.spare(role)} for role, pid in root.nursery.roles()
            ],
            "heart_pid": root.heart.pid if root.heart is not None else None,
            "ess_pid": locks.holder(root.home / "run" / "ess.lock"),
            "counts": root.tally.document(),
            "flow": root.flowing.sentences(),
            "at": wall(now),
        }
        root.watch.freshen(now, root.runner.lives)
        views, parked = root.runner.tree.children(), root.watch.parked
        return board.status(server, views, root.watch.seen, root.side.memory, now, root.inside.rows, root.child, parked)

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
        answer = self._give(lambda order_id: Order(order_id, verb, name))
        if answer["ok"]:
            answer["text"] += root.obeyed(verb, name)
        return answer

    def _add(self, question: dict[str, Any]) -> dict[str, Any]:
        """OTP's start_child: `supervisor` and `name` (from its template), or `supervisor` and a whole `spec`."""
        above, name, spec = str(question.get("supervisor", "")), str(question.get("name", "")), None
        if question.get("spec") is not None:
            try:
                spec = msgspec.convert(question["spec"], ChildSpec)
            except msgspec.ValidationError as error:
                return refusal("invalid_spec", f"this is no child spec: {error}")
        self._root.take_up_new_inputs()
        return self._give(lambda order_id: AddChild(order_id, above, spec, name))

    def _remove(self, question: dict[str, Any]) -> dict[str, Any]:
        """OTP's delete_child; one of a dynamic supervisor is stopped first."""
        name = self._name(question)
        return self._give(lambda order_id: RemoveChild(order_id, name))

    def _give(self, order: Callable[[str], Order | AddChild | RemoveChild]) -> dict[str, Any]:
        """Tell the tree, which answers in the same turn."""
        self._orders += 1
        given = order(f"order-{self._orders}")
        answer = self._root.runner.order(given, given.order_id)
        if answer is None:
            return refusal("internal", f"the tree did not answer {given}; see logs/root.jsonl")
        return {"ok": answer.ok, "code": answer.code, "text": answer.text}

    def _why(self, question: dict[str, Any]) -> dict[str, Any]:
        root = self._root
        name = self._name(question)
        view = root.child(name)
        if view is None:
            names = [view.id for view in root.runner.tree.children()] + root.inside.names()
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names[:50])}"
            return refusal("not_found", f"no child is called {name!r}{hint}")
        now, node = time.monotonic(), root.watch.seen.get(root.inside.node_of(view.id) or "")
        answer = board.why(
            view,
            root.watch.seen.get(view.id),
            root.records.about(view.id),
            now,
            root.watch.parked.get(view.id),
            node.verdict if node is not None else None,
        )
        set_aside = [msgspec.to_builtins(one) for one in root.poison.of(view.id)]
        tried_out_s = root.tryouts.due_s(view.id, now)
        return {**answer, "set_aside": set_aside, "flow": root.flowing.about(view.id), "tried_out_s": tried_out_s}

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
