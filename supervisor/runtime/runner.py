"""The tree machine at work over OS processes: what happens is told to it, what it wants is done. For root and heart.

    pidfd, link, ready pipe, timer ──► Tree.handle ──► Start, Stop, Kill, Wake, Report …

It runs in the loop's thread and never waits. How a node is born is the owner's business (`Owner.birth`); programs are
started here. It decides nothing: the tree decides, `policy.exits` names the ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from random import Random

from supervisor.moves import (
    Action,
    Answer,
    Convicted,
    Due,
    Ended,
    Event,
    Exited,
    GiveUp,
    Kept,
    Kill,
    Ready,
    Remember,
    Report,
    Start,
    Started,
    Stop,
    Wake,
)
from supervisor.policy import exits
from supervisor.runtime import link, notify
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.runtime.process import ExitStatus
from supervisor.spec import ChildSpec, ProgramStart, SupervisorSpec
from supervisor.tree import Tree
from supervisor.verdict.fingerprint import told_apart
from supervisor.verdict.timing import SEEDS
from supervisor.words import CrashRecord, ExitReason


class Owner:
    """What the root and the heart do differently. The defaults suit a tree of plain programs."""

    def birth(self, life: Life) -> None:
        """Ask for a node's process; told by `Runner.born` or `Runner.stillborn`."""
        raise NotImplementedError(f"{life.id}: this tree has no zygotes, only programs can be started")

    def adopt(self, life: Life) -> int | None:
        """The pid of a living process that already is this child."""
        return None

    def worked(self, life: Life) -> bool:
        """Useful work since ready."""
        return life.ready_at is not None

    def lacks(self, life: Life) -> bool:
        """Whether something that it depends on is known to be down."""
        return False

    def inputs(self) -> str:
        """Digest of what all children run with: code, configuration."""
        return ""

    def environment(self, life: Life) -> dict[str, str]:
        """What a program gets besides our own environment and that of its spec."""
        return {}

    def starting(self, life: Life) -> None:
        """A new incarnation is about to exist."""

    def gone(self, life: Life, status: ExitStatus, reason: ExitReason) -> None:
        """The death is confirmed; the tree has not heard of it yet."""

    def heard(self, life: Life, word: link.FromNode) -> None:
        """A word of a node that is not about its life."""

    def report(self, action: Report) -> None:
        """Keep and publish this record."""

    def remember(self, action: Remember) -> None:
        """Store this child of a supervisor that remembers, or store it no more."""

    def gave_up(self, reason: str) -> None:
        """The tree's root gave up."""

    def ended(self, reason: str) -> None:
        """Everything is confirmed down."""


class Runner:
    """Tell it events with `tell`; look at `tree.children()` and `lives`."""

    def __init__(
        self,
        loop: Loop,
        spec: SupervisorSpec,
        owner: Owner,
        rng: Random,
        incarnations: Mapping[str, int] | None = None,
        intent: Mapping[str, Kept] | None = None,
        remembered: Mapping[str, tuple[ChildSpec, ...]] | None = None,
    ) -> None:
        self.tree = Tree(spec, rng, incarnations, intent, remembered, SEEDS.start_cap)
        self.lives: dict[str, Life] = {}
        self.answers: dict[str, Answer] = {}
        self._loop, self._owner = loop, owner
        self._events: deque[Event] = deque()
        self._busy = False

    def tell(self, event: Event) -> None:
        """Something happened. Told from within an action, it waits for its turn."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                for action in self.tree.handle(self._events.popleft(), time.monotonic()):
                    self._do(action)
        finally:
            self._busy = False

    def order(self, event: Event, order_id: str) -> Answer | None:
        """Tell an order and return its answer, which the tree gives in the same turn."""
        self.tell(event)
        return self.answers.pop(order_id, None)

    def born(self, life: Life, pid: int) -> None:
        """The process of this incarnation exists. Born after it was given up, it ends here, before it can act."""
        if self.lives.get(life.id) is not life:
            life.doomed = True
            if life.is_born(pid) and life.process is not None:
                self._loop.watch(life.process.fileno(), lambda: self._bury(life))
            return
        if life.is_born(pid) and life.process is not None:
            self._loop.watch(life.process.fileno(), lambda: self._on_exit(life))
            self.tell(Started(life.id, life.incarnation, pid))

    def stillborn(self, life: Life, text: str, crash: CrashRecord | None = None) -> None:
        """There will be no process."""
        life.failed, life.crash = text, crash
        self._end(life, ExitStatus())

    def watch_line(self, life: Life) -> None:
        """Listen to the node's link from now on."""
        if life.line is not None:
            self._loop.watch(life.line.fileno(), lambda: self._on_line(life))

    def ready(self, life: Life) -> None:
        if life.ready_at is None:
            life.ready_at = time.monotonic()
            self.tell(Ready(life.id, life.incarnation))

    def convict(self, life: Life, detail: str) -> None:
        """The judge convicted it: kill, and count it as hung."""
        life.convicted = detail
        self.tell(Convicted(life.id, life.incarnation, detail))

    # -- what the tree wants --------------------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        match action:
            case Start():
                self._start(action)
            case Stop(id=id, incarnation=incarnation, shutdown_s=shutdown_s, why=why):
                if life := self._life(id, incarnation):
                    life.ask_to_stop(why, shutdown_s)
                    self._if_unborn(life)
            case Kill(id=id, incarnation=incarnation):
                if life := self._life(id, incarnation):
                    life.kill()
                    self._if_unborn(life)
            case Wake(id=id, at=at):
                self._loop.at(at, lambda: self.tell(Due(id)))
            case Report():
                self._owner.report(action)
            case Answer():
                self.answers[action.order_id] = action
            case Remember():
                self._owner.remember(action)
            case GiveUp(reason=reason):
                self._owner.gave_up(reason)
            case Ended(reason=reason):
                self._owner.ended(reason)

    def _life(self, id: str, incarnation: int) -> Life | None:
        life = self.lives.get(id)
        return life if life is not None and life.incarnation == incarnation else None

    def _start(self, action: Start) -> None:
        life = Life(self._loop, action.id, action.path, action.incarnation, action.spec)
        self.lives[action.id] = life
        self._owner.starting(life)
        adopted = self._owner.adopt(life)
        if adopted is not None:
            self.born(life, adopted)
            if life.process is None:  # it ended between the look and the grip
                self._end(life, ExitStatus())
            else:
                self.ready(life)
        elif isinstance(life.spec.start, ProgramStart):
            self._spawn(life, life.spec.start)
        else:
            self._owner.birth(life)

    def _spawn(self, life: Life, start: ProgramStart) -> None:
        argv = list(start.argv)
        if not start.own_session:  # a program that may not outlive us gets the parent-death signal before its exec
            argv = [sys.executable, "-m", "supervisor.runtime.shim", str(os.getpid()), *argv]
        environment = {**os.environ, **start.environment, **self._owner.environment(life)}
        read_end = write_end = -1
        if start.speaks:
            read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            environment[notify.READY_FD] = str(write_end)
        try:
            popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=start.own_session,
                pass_fds=(write_end,) if start.speaks else (),
            )
        except OSError as error:
            if start.speaks:
                os.close(read_end)
            self.stillborn(life, f"{start.argv[0]} cannot be started: {error}")
            return
        finally:
            if write_end >= 0:
                os.close(write_end)
        popen.returncode = 0  # we wait by pidfd; without this Popen would warn, and wait again when collected
        life.pipe = read_end
        if start.speaks:
            self._loop.watch(read_end, lambda: self._on_pipe(life))
        self.born(life, popen.pid)
        if not start.speaks:
            self.ready(life)

    def _if_unborn(self, life: Life) -> None:
        """Stopped or killed while its zygote has not answered: nobody waits for a birth that nobody wants.

        Closing the link ends the node should it be born after all, and the tree gets its `Exited` now.
        """
        if life.process is None and life.is_node:
            self._end(life, ExitStatus())

    # -- what happens ---------------------------------------------------------------------------------------------

    def _on_line(self, life: Life) -> None:
        if life.line is None:
            return
        words = link.receive_from_node(life.line)
        if words is None:  # its end is closed: news of a death, or of a node that lost its link; the pidfd decides
            life.drop_line()
            if life.process is None and life.lost and self.lives.get(life.id) is life:
                life.lost = False
                self._owner.birth(life)  # nobody holds the other end: it was never born, and no fault of its own
            return
        for word in words:
            self._hear(life, word)

    def _hear(self, life: Life, word: link.FromNode) -> None:
        match word:
            case link.Hello(pid=pid):
                life.hello, life.lost = True, False
                self.born(life, pid)  # usually known from the zygote already
            case link.NodeReady():
                self.ready(life)
            case link.NodeCrashed(record=record):
                life.crash = record
            case link.Pong(n=n):
                life.pong(n, time.monotonic())
            case link.Farewell(kind=kind, detail=detail):
                life.judged = (kind, detail)
                self._owner.heard(life, word)
            case _:
                self._owner.heard(life, word)

    def _on_pipe(self, life: Life) -> None:
        try:
            said = os.read(life.pipe, 256)
        except BlockingIOError:
            return
        if b"READY=1" in said:
            self.ready(life)
        if not said:
            life.drop_pipe()

    def _bury(self, life: Life) -> None:
        """It came too late to live; neither its pidfd nor its zombie stays."""
        if life.ended() is not None:
            life.close()

    def _on_exit(self, life: Life) -> None:
        status = life.ended()
        if status is not None:
            self._on_line(life)  # its last words may still wait in the link
            self._end(life, status)

    def _end(self, life: Life, status: ExitStatus) -> None:
        if self.lives.get(life.id) is not life:
            return
        del self.lives[life.id]
        life.close()
        if life.process is None and not life.stopped_for and not life.convicted and not life.doomed:
            reason = exits.stillborn(life.failed, life.crash)
        else:
            reason = exits.reason(
                code=status.code,
                signal=status.signal,
                crash=life.crash,
                asked=life.stopped_for,
                convicted=life.convicted,
                judged=life.judged,
            )
        phase = "init" if life.ready_at is None else "steady"
        leans = bool(life.spec.depends)
        reason = told_apart(reason, phase, leans=leans, down=leans and self._owner.lacks(life))
        worked = life.ready_at is not None and self._owner.worked(life)
        self._owner.gone(life, status, reason)
        self.tell(Exited(life.id, life.incarnation, reason, worked, self._owner.inputs()))
