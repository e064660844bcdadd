"""What is done about a verdict: a stopped process is told to continue, a convicted one loses its life after its stacks
are saved, everything else is only said. The judge decides, the runner kills; this is the bailiff between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from supervisor.evidence import crash, stacks
from supervisor.moves import Order, Verb
from supervisor.runtime import link
from supervisor.runtime.audit import Audit
from supervisor.runtime.control import Later
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.runtime.records import Records
from supervisor.runtime.runner import Runner
from supervisor.runtime.tally import Tally
from supervisor.spec import NodeStart
from supervisor.verdict import Action, CheckResult, Verdict
from supervisor.words import VerdictKind

DUMP_S = 0.2  # faulthandler has written the stacks by then
FAREWELL_S = 1.0  # other actors of the node may end in order before it is killed for one of them
OUTCOMES = {  # nothing is touched, and that is the deed
    Action.GATE: "we restart nothing: what it depends on is the cause (one that is down goes on with its backoff)",
    Action.STRIP_CHECK: "its check has no say any more",
    Action.VOID: "nothing that was seen in this window counts",
    Action.SHED: "it has more than it can do, nothing is restarted for it",
    Action.ALERT: "a person is told",
}
OrderInside = Callable[[Verb, str, str], dict[str, Any] | Later]
QUIET = frozenset({VerdictKind.HEALTHY, VerdictKind.BUSY, VerdictKind.STARTING, VerdictKind.STOPPED})


class Convictions:
    """Keeps the stacks of convicted incarnations until their death is confirmed."""

    def __init__(
        self, home: Path, loop: Loop, runner: Runner, records: Records, tally: Tally, order_inside: OrderInside
    ) -> None:
        self._order_inside = order_inside  # an order for an actor inside a node (inside.py)
        self._tried: dict[tuple[str, str, str], int] = {}  # (child, actor, cause) -> the life it was restarted in
        self._tally, self._audit = tally, Audit()
        self._home, self._loop, self._runner, self._records = home, loop, runner, records
        self._dumped: dict[str, str] = {}
        self._alarmed: set[str] = set()  # whose last recorded verdict was no quiet one

    def judged(
        self, verdict: Verdict, before: Verdict | None, now: float, checks: tuple[CheckResult, ...] = ()
    ) -> None:
        """Act on one verdict, or record that it changed. `checks`: what its declared checks answered last."""
        life = self._runner.lives.get(verdict.name)
        self._check_found_out(verdict, before, life, now, checks)
        changed = before is None or (verdict.kind, verdict.cause) != (before.kind, before.cause)
        free = life is not None and not life.convicted and not life.stopped_for
        if life is not None and free and verdict.action is Action.CONTINUE:
            life.resume()
            if changed:
                self._say(verdict, life, now, done="told it to continue (SIGCONT)")
        elif life is not None and free and verdict.action is Action.KILL:
            self._convict(life, verdict, now, checks, DUMP_S, done="its stacks are written, then it is killed")
        elif life is not None and free and verdict.action is Action.RESTART:
            if life.line is not None:
                supervised = isinstance(life.spec.start, NodeStart) and life.spec.start.group is not None
                known = link.Convict(name=verdict.actor, detail=verdict.reason)
                link.send(life.line, known if supervised else link.StopNode(reason=verdict.reason))
            done = "its stacks are written, then its node is restarted"
            self._convict(life, verdict, now, checks, FAREWELL_S, done=done)
        elif life is not None and free and verdict.action is Action.RESTART_ACTOR:
            self._restart_actor(verdict, life, now, checks)
        elif changed and verdict.action in OUTCOMES:
            self._say(verdict, life, now, outcome=OUTCOMES[verdict.action])
        elif (changed and not _is_quiet(verdict)) or (_is_quiet(verdict) and verdict.name in self._alarmed):
            self._say(verdict, life, now)

    def _restart_actor(self, verdict: Verdict, life: Life, now: float, checks: tuple[CheckResult, ...]) -> None:
        """The one actor, as a thread of its node: once for one cause in one life. A node of one actor is renewed."""
        key = (verdict.name, verdict.actor, verdict.cause)
        if self._tried.get(key) == life.incarnation:
            return
        self._tried[key] = life.incarnation
        group = isinstance(life.spec.start, NodeStart) and life.spec.start.group is not None
        if not group or not verdict.actor or verdict.actor == verdict.name:
            self._renew(verdict, life, now, checks)
            return
        answer = self._order_inside(Verb.RESTART, verdict.actor, f"{verdict.cause}: {verdict.reason}")
        if isinstance(answer, dict) and not answer["ok"]:
            self._say(verdict, life, now, outcome=f"{verdict.actor} cannot be restarted alone: {answer['text']}")
        else:
            self._tally.ordered(verdict.actor, verdict.cause)
            self._say(verdict, life, now, done=f"its actor {verdict.actor} is restarted, the node goes on")

    def restarted(self, id: str, incarnation: int, cause: str, checks: Iterable[CheckResult]) -> None:
        """The judge had it stopped in order and started again: counted, and looked at again when it works."""
        self._tally.ordered(id, cause)
        self._audit.ended(id, incarnation, checks)

    def _renew(self, verdict: Verdict, life: Life, now: float, checks: tuple[CheckResult, ...]) -> None:
        answer = self._runner.order(
            Order("conviction", Verb.RESTART, life.id, f"{verdict.cause}: {verdict.reason}"), "conviction"
        )
        if answer is None or not answer.ok:
            why = answer.text if answer is not None else "the tree did not answer"
            self._say(verdict, life, now, outcome=f"it cannot be restarted now: {why}")
        else:
            self.restarted(life.id, life.incarnation, verdict.cause, checks)
            self._say(verdict, life, now, done="it is stopped in order and started again")

    def said(self, id: str, stacks: str) -> None:
        """A node that ends by its own judgement sent the stack that made it."""
        if stacks:
            self._dumped[id] = stacks

    def stacks_of(self, id: str) -> str:
        """The stacks of one that is dead now, once."""
        return self._dumped.pop(id, "")

    def forget(self, id: str) -> None:
        """This child is no more."""
        self._dumped.pop(id, None)
        self._alarmed.discard(id)
        self._audit.forget(id)
        for key in [key for key in self._tried if key[0] == id]:
            del self._tried[key]

    def _check_found_out(
        self, verdict: Verdict, before: Verdict | None, life: Life | None, now: float, checks: tuple[CheckResult, ...]
    ) -> None:
        """Count checks at fault, and the restarts that were made for one."""
        known = before is not None and before.kind is VerdictKind.CHECK_FAULT and before.cause == verdict.cause
        if verdict.kind is VerdictKind.CHECK_FAULT and not known:
            self._tally.check_fault(verdict.name, verdict.cause)
        if life is None:
            return
        for kind, target, why in sorted(self._audit.review(verdict.name, life.incarnation, verdict.kind, checks)):
            self._tally.false_restarts += 1
            which = f"{kind} {target}{f' ({why})' if why else ''}"
            self._say(verdict, life, now, done=f"the last restart is booked as false: {which} fails as before it")

    def _convict(
        self, life: Life, verdict: Verdict, now: float, checks: tuple[CheckResult, ...], after_s: float, *, done: str
    ) -> None:
        """Two keys were found. The stacks first, because afterwards there are none."""
        named = f"{verdict.cause}: {verdict.reason}"  # the exit reason outlives the verdict: it says which kind of hang
        life.convicted = named
        self._audit.ended(life.id, life.incarnation, checks)
        self._say(verdict, life, now, done=done)
        path = self._home / "logs" / f"{life.id.replace(':', '_')}.stacks"
        asked = life.is_node and life.hello and life.pid is not None and crash.ask_dump(life.pid, path)
        picture = stacks.begin(life.pid, path.with_suffix(".picture")) if life.pid is not None else None

        def execute() -> None:
            seen = picture.end() if picture is not None else ""
            if self._runner.lives.get(life.id) is life:
                self._dumped[life.id] = seen or (crash.read_dump(path) if asked else "")
                self._runner.convict(life, named)

        self._loop.at(now + after_s, execute)

    def _say(self, verdict: Verdict, life: Life | None, now: float, *, done: str = "", outcome: str = "") -> None:
        (self._alarmed.discard if _is_quiet(verdict) else self._alarmed.add)(verdict.name)
        view = self._runner.tree.child(verdict.name)
        path = view.path if view is not None else verdict.name
        self._records.verdict(
            verdict, path, life.incarnation if life is not None else 0, now, done=done, outcome=outcome
        )


def _is_quiet(verdict: Verdict) -> bool:
    """Not worth a record by itself: the usual, and what every start passes through."""
    return verdict.kind in QUIET or verdict.cause in ("not-seen-yet", "no-look")
