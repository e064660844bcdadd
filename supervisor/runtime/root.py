"""The root: one loop that holds the tree over processes, looks at everybody, and answers questions. It runs no code of
those it supervises and never waits for anybody.

    python -m supervisor.runtime.root --home H          needs the plan in H/run (qt up compiles it)

Exit codes: 0 in order (or what StopServer says), 69 no control socket, 75 another root holds this home, 78 no plan.
Killed with -9 the kernel ends its nodes with it; the heart brings the next root.
"""

from __future__ import annotations

import argparse
import difflib
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from supervisor import plan as plans
from supervisor.events import SupervisionKind
from supervisor.moves import Boot, ChildView, Order, Report, Shutdown, Verb
from supervisor.plan import Plan
from supervisor.runtime import board, crash, link, locks, log, memory, notify, process, runner
from supervisor.runtime.checks import Checks
from supervisor.runtime.control import Control, refusal
from supervisor.runtime.heartwatch import HEART_PID, HeartWatch
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.runtime.monitors import Monitors, Watcher
from supervisor.runtime.nursery import Birth, Nursery
from supervisor.runtime.process import ExitStatus
from supervisor.runtime.records import Records, wall
from supervisor.runtime.runner import Runner
from supervisor.runtime.side import Side
from supervisor.runtime.watch import TICK_S, Watch
from supervisor.spec import NodeStart, walk
from supervisor.system import TO_ROOT, Demonitor, Down, Monitor, ToRoot
from supervisor.verdict import Action, Verdict
from supervisor.words import ExitReason, VerdictKind

EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 69, 75, 78
SHUTDOWN_S = 25.0  # the total deadline of an orderly end; the heart waits 30 s
PING_EVERY_S = 1.0
DUMP_S = 0.2  # faulthandler has written the stacks by then
FAREWELL_S = 1.0  # other actors of the node may end in order before it is killed for one of them
QUIET = frozenset({VerdictKind.HEALTHY, VerdictKind.BUSY, VerdictKind.STARTING, VerdictKind.STOPPED})

_to_root: Any = msgspec.msgpack.Decoder(ToRoot)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="root", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args(argv).home.resolve()
    try:
        lock = locks.Lock(home / "run" / "root.lock")
    except locks.Held as error:
        print(f"a root already runs in {home} (pid {error.pid}); end it with qt down", file=sys.stderr)
        return EX_TEMPFAIL
    try:
        plan = plans.load(home)
    except (OSError, ValueError) as error:
        print(f"there is no plan to run in {home}: {error}; qt up compiles one", file=sys.stderr)
        return EX_CONFIG
    process.become_subreaper()
    process.set_name("qt-root")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # No terminal's end, and no hang-up of an orphaned process group, ends the server; zygotes and nodes inherit this.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        root = Root(home, plan)
    except OSError as error:
        print(f"the control socket in {plan.sockets} cannot be opened: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    code = root.run()
    lock.release()
    return code


class Root(runner.Owner):
    """One per process, in its main thread."""

    def __init__(self, home: Path, plan: Plan) -> None:
        self.home, self.plan = home, plan
        self.log = log.configure(home, "root")
        self.loop = Loop(self._complain)
        self.control = Control(Path(plan.sockets), self._answer)
        self.records = Records(home, self.log, self.control.publish)
        self.counters = memory.Counters(home)
        self.intent = memory.Intent(home)
        self.nursery = Nursery(self.loop, plan.zygotes, plan.environment, self.log.info)
        self.runner = Runner(self.loop, plan.tree, self, random.Random(plan.seed or None), self.counters.values)
        children = {child.id: child for _, child in walk(plan.tree)}
        self.watch = Watch(home, children)
        self.checks = Checks({id: child.checks for id, child in children.items()})
        self.side = Side(home, self.log)
        self.heart = HeartWatch(home, self.log) if os.environ.get(HEART_PID) else None
        self.begun_at = time.monotonic()
        self.code = 0
        self._stopping = ""
        self._was_ready = False
        self._orders = 0
        self.monitors = Monitors(self.runner.tree.child, self._tell_watcher)
        self._dumped: dict[str, str] = {}  # id -> stacks of the incarnation that is being convicted
        self._alarmed: set[str] = set()  # whose last recorded verdict was no quiet one
        self._stranger = 0
        self._over = False
        self._code_stamp = _newest(plan.own_roots)

    def run(self) -> int:
        """Until everything is down in order."""
        self.loop.on_signal(signal.SIGTERM, lambda: self.stop("SIGTERM asked for it", 0))
        self.loop.watch(self.control.fileno(), self._on_control)
        self.side.start()
        self.checks.start()
        self.nursery.start()
        for id in self.intent.stopped:
            self.runner.order(Order("intent", Verb.STOP, id), "intent")
        self.runner.tell(Boot())
        now = time.monotonic()
        self._at_tick(now + TICK_S)
        self._at_second(now + 1.0)
        self.log.info("root started", pid=os.getpid(), children=len(self.watch.seen), mode=self.plan.mode)
        notify.ready()  # it answers questions; whether its children are ready is another one
        self.loop.run()
        return self.code

    def stop(self, reason: str, code: int) -> None:
        """End everything in order, within one total deadline. Asking again changes nothing."""
        if not self._stopping:
            self._stopping, self.code = reason, code
            self.runner.tell(Shutdown(reason, SHUTDOWN_S))

    # -- what the runner asks of its owner --------------------------------------------------------------------------

    def birth(self, life: Life) -> None:
        start = life.spec.start
        assert isinstance(start, NodeStart)
        life.line, theirs = link.pair()
        self.runner.watch_line(life)
        boot = plans.boot_of(
            self.plan, life.id, start.actors, life.incarnation, os.getpid(), min(life.spec.shutdown_s, 3600.0)
        )

        birth = Birth(
            name=life.id,
            boot=boot,
            line=theirs,
            born=lambda pid: self.runner.born(life, pid),
            failed=lambda text, record: self.runner.stillborn(life, text, record),
            lost=lambda: setattr(life, "lost", True),
        )
        self.nursery.fork(start.role, birth)

    def starting(self, life: Life) -> None:
        self.counters.started(life.id, life.incarnation)
        self.watch.restarted(life.id)

    def worked(self, life: Life) -> bool:
        if life.is_node:
            return self.watch.worked(life.id, life.incarnation)
        return life.ready_at is not None and time.monotonic() - life.ready_at > 1.0

    def inputs(self) -> str:
        return f"{self.plan.config_digest}/{self._code_stamp}"

    def gone(self, life: Life, status: ExitStatus, reason: ExitReason) -> None:
        self.checks.live(life.id, None)
        # The tree names the end (its record comes first); this is for one it has no record of.
        self.loop.at(0.0, lambda: self.monitors.ended(life.id, life.incarnation, reason.kind, reason.sentence()))
        stacks = self._dumped.pop(life.id, "")
        try:
            self.records.crash_report(life.id, life.incarnation, reason, stacks)
        except OSError as error:  # a full disk must not keep the tree from hearing of the death
            self.log.warning("the crash report cannot be written", child=life.id, error=str(error))

    def heard(self, life: Life, word: link.FromNode) -> None:
        if not isinstance(word, link.Ask):
            return
        if word.name in TO_ROOT:
            self._on_system(life, _to_root.decode(word.payload))
        elif word.name == "StopServer":
            _, reason, code = msgspec.msgpack.decode(word.payload, type=tuple[str, str, int])
            self.log.info("a child asks to end the server", child=life.id, reason=reason, code=code)
            self.stop(f"{life.id}: {reason}", code)
        else:
            self.log.warning("a child asks for something the root does not know", child=life.id, what=word.name)

    def _on_system(self, life: Life, word: ToRoot) -> None:
        match word:
            case Monitor(actor=actor, token=token, name=name):
                self.monitors.add(Watcher(life.id, life.incarnation, actor, token), name)
            case Demonitor(actor=actor, token=token):
                self.monitors.drop(Watcher(life.id, life.incarnation, actor, token))

    def _tell_watcher(self, watcher: Watcher, down: Down) -> None:
        life = self.runner.lives.get(watcher.node)
        if life is not None and life.incarnation == watcher.incarnation:
            life.tell(link.Tell(actor=watcher.actor, payload=msgspec.msgpack.encode(down)))

    def report(self, action: Report) -> None:
        record = action.record
        self.monitors.reported(record)
        if record.kind is SupervisionKind.QUARANTINED:
            self.watch.parked[record.id] = record.cause
        if record.kind is SupervisionKind.READY:
            life = self.runner.lives.get(record.id)
            if life is not None:
                self.checks.live(life.id, life.pid)
        self.records.supervision(record)
        if record.kind in (SupervisionKind.READY, SupervisionKind.STARTED):
            self.loop.at(0.0, self._note_ready)

    def gave_up(self, reason: str) -> None:
        self.log.error("the tree gave up", reason=reason)
        self._stopping, self.code = reason, self.code or 70

    def ended(self, reason: str) -> None:
        self.log.info("everything is down", reason=reason, code=self.code)
        memory.leave_exit(self.home, self.code, reason)
        self.nursery.close()
        self.checks.stop(1.0)
        self.side.stop()
        self.control.drain()
        self._over = True
        self.control.close()
        self.records.close()
        self.loop.stop()

    # -- the ticks ------------------------------------------------------------------------------------------------

    def _at_tick(self, due: float) -> None:
        self.loop.at(due, lambda: self._tick(due))

    def _tick(self, due: float) -> None:
        now = time.monotonic()
        self._at_tick(max(due + TICK_S, now + TICK_S / 2))  # a late tick is not made up for
        for answer in self.checks.drain():
            self.watch.heard(answer)
        self._on_control()
        for verdict, before in self.watch.tick(due, now, self.runner.tree.children(), self.runner.lives):
            self._on_verdict(verdict, before, now)

    def _at_second(self, due: float) -> None:
        self.loop.at(due, lambda: self._second(due))

    def _second(self, due: float) -> None:
        now = time.monotonic()
        self._at_second(max(due + PING_EVERY_S, now + PING_EVERY_S / 2))
        for life in self.runner.lives.values():
            life.ping(now)
        self.side.offer(self.status(), tuple(life.pid for life in self.runner.lives.values() if life.pid))
        self._sweep()
        if self.heart is not None and not self._stopping:
            self.heart.look(now)

    def _sweep(self) -> None:
        """Reap an ended child nobody waits for: seen twice, so that one just born is not taken for a stranger."""
        known = {life.pid or 0 for life in self.runner.lives.values()} | self.nursery.pids() | set(self.checks.pids())
        if self.heart is not None:
            known.add(self.heart.pid)
        pid = process.ended_child()
        if pid and pid not in known and pid == self._stranger:
            process.reap(pid)
        self._stranger = pid

    def _note_ready(self) -> None:
        workers = [view for view in self.runner.tree.children() if view.kind == "worker"]
        ready = sum(view.ready for view in workers)
        if self._was_ready or not all(view.ready for view in workers if view.required) or ready == 0:
            return
        self._was_ready = True
        took_s = time.monotonic() - self.begun_at
        self.log.info(f"ready: {ready} of {len(workers)} children in {took_s:.1f} s")

    # -- verdicts -------------------------------------------------------------------------------------------------

    def _on_verdict(self, verdict: Verdict, before: Verdict | None, now: float) -> None:
        life = self.runner.lives.get(verdict.name)
        changed = before is None or (verdict.kind, verdict.cause) != (before.kind, before.cause)
        free = life is not None and not life.convicted and not life.stopped_for
        if life is not None and free and verdict.action is Action.CONTINUE:
            life.resume()
            if changed:
                self._say(verdict, life, now, done="told it to continue (SIGCONT)")
        elif life is not None and free and verdict.action is Action.KILL:
            self._convict(life, verdict, now, DUMP_S, done="its stacks are written, then it is killed")
        elif life is not None and free and verdict.action is Action.RESTART:
            if life.line is not None:
                link.send(life.line, link.StopNode(reason=verdict.reason))
            self._convict(life, verdict, now, FAREWELL_S, done="its stacks are written, then its node is restarted")
        elif (changed and not _is_quiet(verdict)) or (_is_quiet(verdict) and verdict.name in self._alarmed):
            self._say(verdict, life, now)

    def _convict(self, life: Life, verdict: Verdict, now: float, after_s: float, *, done: str) -> None:
        """Two keys were found. The stacks first, because afterwards there are none."""
        named = f"{verdict.cause}: {verdict.reason}"  # the exit reason outlives the verdict: it says which kind of hang
        life.convicted = named
        self._say(verdict, life, now, done=done)
        path = self.home / "logs" / f"{life.id.replace(':', '_')}.stacks"
        asked = life.is_node and life.hello and life.pid is not None and crash.ask_dump(life.pid, path)

        def execute() -> None:
            if self.runner.lives.get(life.id) is life:
                if asked:
                    self._dumped[life.id] = crash.read_dump(path)
                self.runner.convict(life, named)

        self.loop.at(now + after_s, execute)

    def _say(self, verdict: Verdict, life: Life | None, now: float, *, done: str = "") -> None:
        (self._alarmed.discard if _is_quiet(verdict) else self._alarmed.add)(verdict.name)
        view = self._view(verdict.name)
        path = view.path if view is not None else verdict.name
        self.records.verdict(verdict, path, life.incarnation if life is not None else 0, now, done=done)

    # -- questions and orders -------------------------------------------------------------------------------------

    def _on_control(self) -> None:
        if not self._over and self.control.drain():
            self.loop.at(0.0, self._on_control)

    def status(self) -> dict[str, Any]:
        """The document of DESIGN section 9."""
        now = time.monotonic()
        state = "stopping" if self._stopping else "running" if self._was_ready else "starting"
        server = {
            "state": state,
            "mode": self.plan.mode,
            "pid": os.getpid(),
            "uptime_s": round(now - self.begun_at, 3),
            "version": self.plan.version,
            "config_digest": self.plan.config_digest,
            "zygotes": [{"role": role, "pid": pid} for role, pid in self.nursery.roles()],
            "heart_pid": self.heart.pid if self.heart is not None else None,
            "ess_pid": locks.holder(self.home / "run" / "ess.lock"),
            "at": wall(now),
        }
        return board.status(server, self.runner.tree.children(), self.watch.seen, self.side.memory, now)

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        verb = question["verb"]
        match verb:
            case "status":
                return self.status()
            case "why":
                return self._why(str(question.get("name", "")))
            case "events":
                after = question.get("after", 0)
                return {"schema": 1, "ok": True, "events": self.records.after(after if isinstance(after, int) else 0)}
            case "down":
                self.loop.at(0.0, lambda: self.stop("an operator's order (down)", 0))
                return {"ok": True, "code": "accepted", "text": "the server ends in order"}
            case "start" | "stop" | "restart" | "release":
                return self._order(Verb(verb), str(question.get("name", "")))
        return refusal("unknown_verb", f"no verb {verb!r}; known are status why events start stop restart release down")

    def _order(self, verb: Verb, name: str) -> dict[str, Any]:
        if verb is not Verb.STOP:
            self._take_up_new_code()
        self._orders += 1
        order_id = f"order-{self._orders}"
        view = self._view(name)
        name = view.id if view is not None else name
        answer = self.runner.order(Order(order_id, verb, name), order_id)
        if answer is None:
            return refusal("internal", f"the tree did not answer {verb} {name}; see logs/root.jsonl")
        if answer.ok:
            try:
                self.intent.ordered(verb, name)
            except OSError as error:
                return {"ok": True, "code": answer.code, "text": f"{answer.text}; not remembered on disk: {error}"}
        return {"ok": answer.ok, "code": answer.code, "text": answer.text}

    def _why(self, name: str) -> dict[str, Any]:
        view = self._view(name)
        if view is None:
            names = [view.id for view in self.runner.tree.children()]
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"
            return refusal("not_found", f"no child is called {name!r}{hint}")
        return board.why(view, self.watch.seen.get(view.id), self.records.about(view.id), time.monotonic())

    def _view(self, name: str) -> ChildView | None:
        views = self.runner.tree.children()
        return next((view for view in views if name in (view.id, view.path)), None)

    def _take_up_new_code(self) -> None:
        """A person starts something: it runs the code that is on disk now, not what the zygotes imported long ago."""
        stamp = _newest(self.plan.own_roots)
        if stamp != self._code_stamp:
            self._code_stamp = stamp
            self.log.info("the code has changed; the zygotes are made anew")
            self.nursery.renew()

    def _complain(self, where: str, error: Exception) -> None:
        self.log.error("a fault in the root itself", where=where, error=repr(error), traceback=traceback.format_exc())


def _is_quiet(verdict: Verdict) -> bool:
    """Not worth a record by itself: the usual, and what every start passes through."""
    return verdict.kind in QUIET or verdict.cause in ("not-seen-yet", "no-look")


def _newest(roots: Sequence[str]) -> int:
    """The newest change of any of our Python files, nanoseconds: what says that a zygote holds old code."""
    newest = 0
    for root in roots:
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith((".", "__"))]
            for name in files:
                if name.endswith(".py"):
                    try:
                        newest = max(newest, os.stat(os.path.join(folder, name)).st_mtime_ns)  # noqa: PTH116, PTH118
                    except FileNotFoundError:
                        continue
    return newest


if __name__ == "__main__":
    sys.exit(main())
