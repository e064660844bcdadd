"""The root: one loop that holds the tree over processes, looks at everybody, and answers questions. It runs no code of
those it supervises and never waits for anybody.

    python -m supervisor.runtime.root --home H          needs the plan in H/run (qt up compiles it)

Exit codes: 0 in order (or what StopServer says), 69 no control socket, 75 another root holds this home, 78 no plan.
Killed with -9 the kernel ends its nodes with it; the heart brings the next root.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from supervisor import plan as plans
from supervisor.events import Cause, SupervisionKind, supervision
from supervisor.evidence import echo, holders, sentinel, vitals
from supervisor.evidence import record as evidence
from supervisor.evidence.checks import Checks
from supervisor.moves import Boot, ChildView, Order, Remember, Report, Shutdown, Verb
from supervisor.plan import Plan
from supervisor.runtime import link, locks, log, memory, notify, process, runner
from supervisor.runtime.control import Control
from supervisor.runtime.convictions import Convictions
from supervisor.runtime.desk import Desk
from supervisor.runtime.ear import Ear
from supervisor.runtime.flowing import Flowing
from supervisor.runtime.freshness import Inputs
from supervisor.runtime.heartwatch import HEART_PID, HeartWatch
from supervisor.runtime.inside import Inside
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.runtime.monitors import Monitors, Watcher
from supervisor.runtime.nursery import Birth, Nursery
from supervisor.runtime.phasing import Phasing
from supervisor.runtime.poison import Poison
from supervisor.runtime.process import ExitStatus
from supervisor.runtime.records import Records
from supervisor.runtime.remedies import Remedies
from supervisor.runtime.rounds import Rounds
from supervisor.runtime.runner import Runner
from supervisor.runtime.side import Side
from supervisor.runtime.tally import Tally
from supervisor.runtime.tryouts import TryOuts
from supervisor.runtime.watch import Watch
from supervisor.spec import ChildSpec, NodeStart, templates, walk
from supervisor.system import Down
from supervisor.terminal import command
from supervisor.words import ExitReason

EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 69, 75, 78
SHUTDOWN_S = 25.0  # the total deadline of an orderly end; the heart waits 30 s
LIVED_S = 60.0  # a program that is asked nothing and lived so long has worked
TRIED_OUT = "is tried out: it has been parked for long, and the world may be another"
TRIED_AGAIN = "is tried again: code, models or configuration are others than when it was quarantined"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="root", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args(argv).home.resolve()
    try:
        lock = locks.Lock(home / "run" / "root.lock")
    except locks.Held as error:
        print(f"a root already runs in {home} (pid {error.pid}); end it with {command('down')}", file=sys.stderr)
        return EX_TEMPFAIL
    try:
        plan = plans.load(home)
    except (OSError, ValueError) as error:
        print(f"there is no plan to run in {home}: {error}; {command('up')} compiles one", file=sys.stderr)
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
        self.control = Control(Path(plan.sockets), lambda question: self.desk.answer(question))
        self.records = Records(home, self.log, self.control.publish)
        self.counters = memory.Counters(home, self.log.error)
        self.intent = memory.Intent(home, self.log.error)
        self.inputs_now = Inputs(plan)
        self.nursery = Nursery(self.loop, plan.zygotes, plan.environment, self.log.info, stage=home / "run")
        lifted = self.intent.others_than(self.inputs_now.digest)
        self._remember(self.intent.lifted, *lifted)
        for id, parked in lifted.items():
            self.log.info(f"{id} {TRIED_AGAIN}", child=id, why=parked.why)
        rng = random.Random(plan.seed or None)
        self.store = memory.SpecStore(home, self.log.error)
        self.runner = Runner(
            self.loop, plan.tree, self, rng, self.counters.values, self.intent.kept(), self.store.children
        )
        children = {child.id: child for _, child in walk(plan.tree)}
        self._templates = {path.split("/")[-2]: template.id for path, template in templates(plan.tree)}
        self._planned = frozenset(children)  # who else comes and goes at run time
        self.watch = Watch(home, children, self.runner.tree.child, plan.time_scale)
        if plan.evidence_log:
            recorder = evidence.Recorder(Path(plan.evidence_log), tuple(children), plan.time_scale)
            self.watch.recorder = self.records.recorder = recorder
        needs = self.watch.witness.needs
        asked = {key: checks for id, child in children.items() for key, checks in needs.know(id, child).items()}
        self.checks = Checks({**{id: child.checks for id, child in children.items()}, **asked})
        needs.pace = self.checks.pace
        self.rounds = Rounds(self)
        self.watch.witness.leftovers.known = self.rounds.known
        self.watch.witness.sentinel_late_s = lambda now: sentinel.late_s(home / "run", self.nursery.roles(), now)
        self.watch.witness.endpoint = lambda id: plans.endpoint_of(plan.sockets, id)
        self.side = Side(home, self.log)
        self.heart = HeartWatch(home, self.log) if os.environ.get(HEART_PID) else None
        self.begun_at = time.monotonic()
        self.code = 0
        self.stopping = ""  # why
        self.was_ready = False
        self._unready = [id for id, child in children.items() if child.required]  # was never seen ready
        self.inside = Inside(self.loop, plan.tree, self.runner.lives, self.obeyed)
        self.monitors = Monitors(self.child, self._tell_watcher)
        self.tally = Tally()
        self.tryouts = TryOuts(self.loop, random.Random(), plan.time_scale, lambda id: self._release(id, TRIED_OUT))
        self.flowing = Flowing(plan.chains, self.watch.seen, plan.time_scale, self.watch.witness.questions.wrong)
        self.convictions = Convictions(home, self.loop, self.runner, self.records, self.tally, self.inside.order)
        self.poison = Poison(home, self.log.error)
        self.remedies = Remedies(
            self.loop, self.runner, self.watch, self.poison, self.records, self.convictions.restarted
        )
        self.desk, self.ear = Desk(self), Ear(self)
        self.phasing = Phasing(
            self.loop,
            lambda: [seen.spec for seen in self.watch.seen.values()],
            self.runner.lives,
            self._say_phase,
            lambda within_s: self.runner.tell(Shutdown(self.stopping, within_s)),
            self._stay,
            plan.phases,
        )
        self._over = False

    def run(self) -> int:
        """Until everything is down in order."""
        self.loop.on_signal(signal.SIGTERM, lambda: self.stop("SIGTERM asked for it", 0))
        self.loop.watch(self.control.fileno(), self.on_control)
        self.side.start()
        self.checks.start()
        for _, child in walk(self.plan.tree):
            self._ask_needs(child.id, child)
        self.nursery.start()
        self.runner.tell(Boot())
        self.rounds.begin(time.monotonic())
        self.log.info("root started", pid=os.getpid(), children=len(self.watch.seen), mode=self.plan.mode)
        notify.ready()  # it answers questions; whether its children are ready is another one
        self.loop.run()
        while pid := process.ended_child():  # those whose burial was not due yet
            process.reap(pid)
        return self.code

    def stop(self, reason: str, code: int, *, abortable: bool = False, force: bool = False) -> None:
        """End everything in order, the phases first, within one total deadline. Asking again changes nothing, or makes
        it stricter: `force` gives up the phases. Only who can be told so may be refused (`abortable`)."""
        if not self.stopping:
            self.stopping, self.code = reason, code
        self.phasing.begin(self.stopping, SHUTDOWN_S, abortable=abortable, force=force)

    def _stay(self) -> None:
        """The shutdown was aborted: safe mode. What its phases have stopped stays stopped."""
        self.stopping, self.code = "", 0

    def _say_phase(self, detail: str, aborted: bool) -> None:
        top = self.runner.tree.child(self.plan.tree.id)
        kind = SupervisionKind.ABORTED if aborted else SupervisionKind.PHASE
        if top is not None:
            at, cause = time.monotonic(), Cause.SHUTDOWN
            incarnation = top.incarnation
            record = supervision(
                kind, id=top.id, path=top.path, incarnation=incarnation, at=at, cause=cause, detail=detail
            )
            self.records.supervision(record)

    # -- what the runner asks of its owner --------------------------------------------------------------------------

    def birth(self, life: Life) -> None:
        start = life.spec.start
        assert isinstance(start, NodeStart)
        life.line, theirs = link.pair()
        self.runner.watch_line(life)
        boot = plans.boot_of(self.plan, life.spec, life.incarnation, self.intent.kept())
        poison = tuple(one.message for one in self.poison.of(life.id))
        boot = msgspec.structs.replace(boot, poison=poison) if poison else boot
        template = self._templates.get(life.path.rpartition("/")[0].rpartition("/")[2])
        if template is not None and life.id not in self.plan.routes:
            boot = msgspec.structs.replace(boot, routes=self.plan.routes.get(template, ()))
        birth = Birth(
            name=life.id,
            boot=boot,
            line=theirs,
            born=lambda pid: self.runner.born(life, pid),
            failed=lambda text, record: self.runner.stillborn(life, text, record),
            lost=lambda: setattr(life, "lost", True),
        )
        self.nursery.fork(start.role, birth)

    def environment(self, life: Life) -> dict[str, str]:
        return {holders.UNIT: holders.mark(self.home, life.id, life.incarnation)}

    def starting(self, life: Life) -> None:
        self.counters.started(life.id, life.incarnation)
        self.watch.know(life.id, life.spec)
        self.inside.know(life.spec)
        self.checks.declare(life.id, life.spec.checks)
        if life.id not in self._planned:
            self._ask_needs(life.id, life.spec)
        if life.id not in self._planned:
            self._remember(memory.readdress, self.home, life.id, plans.endpoint_of(self.plan.sockets, life.id))

    def worked(self, life: Life) -> bool:
        if life.is_node:
            return self.watch.worked(life.id, life.incarnation)
        # A program says nothing of its work: an answered check is the only witness, and long life the last resort.
        seen, ready_at = self.watch.seen.get(life.id), life.ready_at
        if seen is None or ready_at is None:
            return False
        answered = any(check.ok and check.at >= ready_at for check in seen.checks.values())
        return answered or time.monotonic() - ready_at > LIVED_S * self.watch.scale

    def inputs(self) -> str:
        return self.inputs_now.digest

    def lacks(self, life: Life) -> bool:
        told = self.watch.witness.needs.samples(life.spec, {}, time.monotonic())
        return any(one.probe_ok is False or one.owner_up is False for one in told)

    def gone(self, life: Life, status: ExitStatus, reason: ExitReason) -> None:
        self.checks.live(life.id, None)
        now, worked = time.monotonic(), life.ready_at is not None and self.worked(life)
        self.watch.witness.ended(life.id, life.incarnation, reason, worked, self.inputs())
        self.remedies.died(life.id)
        if self.watch.recorder is not None:
            exited = evidence.Exited(
                at=now,
                name=life.id,
                incarnation=life.incarnation,
                reason=reason,
                worked=worked,
            )
            self.watch.recorder.write(exited)
        # The tree names the end (its record comes first); this is for one it has no record of.
        self.loop.at(0.0, lambda: self.monitors.ended(life.id, life.incarnation, reason.kind, reason.sentence()))
        self.phasing.gone(life.id, life.incarnation, reason.sentence())
        for view in self.inside.gone(life):
            self.monitors.ended(view.id, view.incarnation, reason.kind, f"its node {life.id} {reason.sentence()}")
        stacks = self.convictions.stacks_of(life.id)
        self.loop.at(0.0, lambda: self.crash_report(life.id, life.incarnation, reason, stacks))  # it waits for no disk

    def crash_report(self, id: str, incarnation: int, reason: ExitReason, stacks: str) -> None:
        try:
            roots = [Path(root) for root in self.plan.own_roots]
            self.records.crash_report(id, incarnation, reason, stacks, roots=roots)
        except OSError as error:  # a full disk must not keep the tree from hearing of the death
            self.log.warning("the crash report cannot be written", child=id, error=str(error))

    def heard(self, life: Life, word: link.FromNode) -> None:
        self.ear.heard(life, word)

    def child(self, name: str) -> ChildView | None:
        """One unit of the whole house, those inside nodes too."""
        return self.runner.tree.child(name) or self.inside.child(name)

    def obeyed(self, verb: Verb, name: str) -> str:
        """An order for a child, or for an actor inside a node, was accepted; what to add to the answer."""
        self.tryouts.cancel(name)
        try:
            self.intent.ordered(verb, name)
        except OSError as error:
            return f"; not remembered on disk: {error}"
        return ""

    def _tell_watcher(self, watcher: Watcher, down: Down) -> None:
        life = self.runner.lives.get(watcher.node)
        if life is not None and life.incarnation == watcher.incarnation:
            life.tell(link.Tell(actor=watcher.actor, payload=msgspec.msgpack.encode(down)))

    def report(self, action: Report) -> None:
        record = action.record
        self.monitors.reported(record)
        view = self.child(record.id)
        self.tally.happened(record, view.last_exit if view is not None else None)
        self.watch.touch(record.id)
        self.rounds.hasten()
        if record.kind is SupervisionKind.EXITED and (judged := self.watch.ended(record.id, time.monotonic())):
            self.convictions.judged(*judged, time.monotonic())
        if record.kind is SupervisionKind.QUARANTINED:
            self.watch.parked[record.id] = record.cause
            parked = memory.Parked(cause=record.cause, why=record.detail, inputs=self.inputs_now.digest)
            self._remember(self.intent.quarantined, record.id, parked)
            self.tryouts.parked(record.id, record.cause, time.monotonic())
        if record.kind is SupervisionKind.REMOVED:
            self._removed(record.id)
        if record.kind is SupervisionKind.STARTING:
            self._remember(self.intent.lifted, record.id)
            self.tryouts.cancel(record.id)
        if record.kind is SupervisionKind.READY:
            life = self.runner.lives.get(record.id)
            if life is not None:
                self.checks.live(life.id, life.pid)
                self.phasing.ready(life)
        self.records.supervision(record)
        if record.kind is SupervisionKind.READY and not self.was_ready:
            self.loop.at(0.0, self._note_ready)

    def remember(self, action: Remember) -> None:
        self._remember(self.store.remember, action.supervisor_id, action.id, action.spec)

    def _removed(self, id: str) -> None:
        """A child is no more, and neither is what was known of it, but for its log, its journal and its number."""
        for unasked in self.watch.forget(id):
            self.checks.forget(unasked)
        for member in self.inside.forget(id):
            self.watch.parked.pop(member, None)
            self.tryouts.forget(member)
            self._remember(self.intent.forget, member)
        self.tryouts.forget(id)
        self.checks.forget(id)
        self.convictions.forget(id)
        self._remember(self.intent.forget, id)
        self._remember(self.remedies.forget, id)
        self._remember(memory.readdress, self.home, id, None)
        socket = plans.endpoint_of(self.plan.sockets, id).removeprefix("ipc://")
        sockets = (socket, socket + echo.SUFFIX)
        for leftover in (Path("vitals", vitals.file_name(id)), Path("run", f"{id.replace(':', '_')}.lock"), *sockets):
            (self.home / leftover).unlink(missing_ok=True)

    def gave_up(self, reason: str) -> None:
        self.log.error("the tree gave up", reason=reason)
        self.stopping, self.code = reason, self.code or 70

    def ended(self, reason: str) -> None:
        self.log.info("everything is down", reason=reason, code=self.code)
        memory.leave_exit(self.home, self.code, reason, self.phasing.document())
        self.nursery.close()
        self.checks.stop(1.0)
        self.side.stop()
        self.watch.witness.knocker.close()
        self.control.drain()
        self._over = True
        self.control.close()
        self.records.close()
        self.loop.stop()

    # -- orders of its own -----------------------------------------------------------------------------------------

    def _ask_needs(self, id: str, child: ChildSpec) -> None:
        """What it depends on is asked by us too, whoever of its users lives."""
        for key, checks in self.watch.witness.needs.know(id, child).items():
            self.checks.declare(key, checks)
            self.checks.live(key, 0)  # no process of ours answers for it
            self.watch.witness.needs.calm_pace(key)

    def _note_ready(self) -> None:
        """All that is required serves, for the first time. The last to start is asked first, so this costs nothing."""
        tree, waiting = self.runner.tree, self._unready
        while waiting and (view := tree.child(waiting[-1])) is not None and view.ready:
            waiting.pop()
        if waiting or self.was_ready:
            return
        workers = [view for view in self.runner.tree.children() if view.kind == "worker"]
        ready = sum(view.ready for view in workers)
        if not all(view.ready for view in workers if view.required) or ready == 0:
            return
        self.was_ready = True
        took_s = time.monotonic() - self.begun_at
        self.log.info(f"ready: {ready} of {len(workers)} children in {took_s:.1f} s")

    # -- questions and orders -------------------------------------------------------------------------------------

    def on_control(self) -> None:
        if not self._over and self.control.drain():
            self.loop.at(0.0, self.on_control)

    def take_up_new_inputs(self) -> None:
        """What is started from now on runs the code and models that are on disk now, not what the zygotes loaded long
        ago; and what was quarantined with the old ones is tried again."""
        if self.inputs_now.changed():
            self.log.info("code or models have changed; the zygotes are made anew")
            self.nursery.renew()
            self.loop.at(0.0, self._try_again)

    def _try_again(self) -> None:
        for id in self.intent.others_than(self.inputs_now.digest):
            self._release(id, TRIED_AGAIN)

    def _release(self, id: str, why: str) -> None:
        self.log.info(f"{id} {why}", child=id)
        if self.inside.node_of(id) is not None:
            self.inside.order(Verb.RELEASE, id)
            return
        answer = self.runner.order(Order("release", Verb.RELEASE, id), "release")
        if answer is not None and not answer.ok:
            self.log.warning("it cannot be released yet", child=id, text=answer.text)

    def _remember(self, how: Callable[..., None], *what: Any) -> None:
        """A full disk must not keep the tree from going on; what is not remembered is said."""
        try:
            how(*what)
        except OSError as error:
            self.log.warning("this is not remembered on disk", what=str(what), error=str(error))

    def _complain(self, where: str, error: Exception) -> None:
        self.log.error("a fault in the root itself", where=where, error=repr(error), traceback=traceback.format_exc())


if __name__ == "__main__":
    sys.exit(main())
