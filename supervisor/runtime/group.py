"""The tree machine at work inside a node, over its actors' threads: the second runtime of the one machine.

    thread's last act, ready, timer, command ──► Tree.handle ──► Start, Stop, Kill, Wake, Report …

It lives in the node's main thread, which runs no code of others and never waits for one of them. A restart here is a
new thread with a new instance: no process, no import. What a thread cannot do is be killed. One that is asked to end
and does not becomes a *zombie*: it is fenced, its siblings are stopped in order, and the node ends, saying why, so that
the root's tree counts a crash of the node and brings all of them back in a process without it.

Incarnations of the actors are remembered in `run/incarnations-<node>.json` before the thread exists, so that
(sender, incarnation, sequence) never repeats, whatever happens to the node.
"""

from __future__ import annotations

import heapq
import itertools
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf, isfinite
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random

import msgspec

from supervisor.admin import WHY
from supervisor.events import Cause, Supervision, SupervisionKind, supervision
from supervisor.evidence import crash, vitals
from supervisor.moves import (
    Answer,
    Boot,
    ChildView,
    Due,
    Ended,
    Event,
    Exited,
    GiveUp,
    Kill,
    Order,
    Ready,
    Report,
    Shutdown,
    Start,
    Started,
    Stop,
    Wake,
)
from supervisor.policy import exits
from supervisor.runtime import link, memory
from supervisor.runtime.host import Ending
from supervisor.runtime.hosted import Hosted, Stage
from supervisor.runtime.transaction import Fenced
from supervisor.spec import ActorStart, SupervisorSpec
from supervisor.tree import Tree
from supervisor.verdict.fingerprint import told_apart
from supervisor.words import ExitKind, ExitReason, OnExhausted, State

BEAT_S = 0.4  # the loop turns at least this often; the root reads it on the dials
VIEWS_EVERY_S = 0.05  # what changed inside is told to the root at most this often
STOP_SHARE = 0.6  # of the node's patience, for one thread: those who wait for one that will not end need the rest
BRUTAL_S = 0.2  # a thread without patience left gets this long to end; an idle one needs a fraction of a millisecond
LOOK_AGAIN_S = 0.02
WAITING_MOST = 1000  # records the root has not taken yet; beyond, the oldest are lost and counted
# Of the group's own supervisor the root knows the rest: it is the node.
OWN = frozenset(
    {
        SupervisionKind.GROUP,
        SupervisionKind.EXHAUSTED,
        SupervisionKind.ESCALATED,
        SupervisionKind.HALT,
        SupervisionKind.GAVE_UP,
    }
)
# Of the first start of an actor in this process the views tell; a hundred at once would push out what matters.
USUAL = frozenset({SupervisionKind.STARTING, SupervisionKind.STARTED, SupervisionKind.READY})

News = Ending | tuple[str, int]  # an actor's thread ended, or it says that it is ready


class Group:
    """`turn` after every wake-up; it returns the exit code once everything is down."""

    def __init__(
        self, stage: Stage, line: socket.socket, news: SimpleQueue[News], slots: dict[str, vitals.Slot]
    ) -> None:
        boot = stage.boot
        assert boot.group is not None
        self._stage, self._line, self._news, self._slots = stage, line, news, slots
        self._name = boot.name
        self._roots = [Path(root) for root in boot.own_roots]
        self._counters = memory.Counters(Path(boot.home), stage.complain, boot.name)
        seed = f"{boot.seed}:{boot.name}:{boot.incarnation}" if boot.seed else None
        self._tree = Tree(_as_part(boot.group), Random(seed), dict(self._counters.values), boot.kept)
        self._counters.reserve(name for name in slots if name != boot.name)
        self._lives: dict[str, Hosted] = {}
        self._begun: dict[str, int] = {}  # lives of each actor in this process
        self._zombies: dict[str, Hosted] = {}
        self._longest_s = inf
        self._brutal: set[str] = set()  # whose spec says brutal kill
        self._events: deque[Event] = deque()
        self._busy = False
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._shown: dict[str, ChildView] = {}  # what the root was told last
        self._changed = True
        self._show_at = 0.0
        self._waiting: deque[link.Word] = deque()
        self._lost = 0
        self._farewell: link.Farewell | None = None
        self._code: int | None = None

    def start(self) -> None:
        """Everything up, in order, except what is kept down."""
        own = self._slots[self._name].words
        own[vitals.STARTED] = own[vitals.READY] = time.monotonic_ns()
        self._tell(Boot())

    def ask_to_stop(self, reason: str) -> None:
        """Everything down, in reverse order, within the node's own patience."""
        within_s = self._stage.boot.shutdown_s
        self._longest_s = within_s * STOP_SHARE
        self._tell(Shutdown(reason, within_s))

    def obey(self, word: link.Command) -> None:
        """An order, answered in the same turn."""
        self._tell(Order(word.order_id, word.verb, word.name, word.why or WHY))

    def convict(self, word: link.Convict) -> None:
        """The root's judge has two witnesses that this actor hangs: no patience is left. Unknown here, all end."""
        hosted = self._lives.get(word.name)
        if hosted is None:
            self.ask_to_stop(word.detail)
        else:
            self._give_up(hosted, f"convicted, {word.detail} ({hosted.busy_with()})")

    def tell(self, word: link.Tell) -> bool:
        """Hand a word of the root to an actor; False when it is not here, and then it has no use for it."""
        hosted = self._lives.get(word.actor)
        if hosted is not None:
            hosted.tell(word.payload)
        return hosted is not None

    def ask_canary(self, word: link.AskCanary) -> None:
        """Put a canary to an actor; one that is not here does not answer."""
        hosted = self._lives.get(word.actor)
        if hosted is not None:
            hosted.ask_canary(word)

    def wait_s(self) -> float:
        """How long the loop may sleep."""
        due = min(self._timers[0][0] if self._timers else inf, self._show_at if self._changed else inf)
        return min(BEAT_S * self._stage.boot.time_scale, max(0.0, due - time.monotonic()))

    def turn(self) -> int | None:
        """Everything that came meanwhile."""
        self._slots[self._name].words[vitals.LOOPS] += 1
        while True:
            try:
                news = self._news.get_nowait()
            except Empty:
                break
            if isinstance(news, Ending):
                self._on_end(news)
            else:
                self._tell(Ready(*news))
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        self._show(now)
        if self._code is not None:
            self._show(inf)
            if self._farewell is not None:
                link.send(self._line, self._farewell)
        return self._code

    # -- what the tree wants --------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        """Something happened. Told from within an action, it waits for its turn."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = self._changed = True
        try:
            while self._events:
                for action in self._tree.handle(self._events.popleft(), time.monotonic()):
                    match action:
                        case Start():
                            self._start(action)
                        case Stop(id=id, incarnation=incarnation, shutdown_s=patience_s, why=why):
                            self._stop(id, incarnation, why, patience_s, brutal=id in self._brutal)
                        case Kill(id=id, incarnation=incarnation, why=why):
                            self._stop(id, incarnation, why, 0.0, brutal=True)
                        case Wake(id=id, at=at):
                            self._at(at, partial(self._tell, Due(id)))
                        case Report(record=record):
                            self._report(record)
                        case Answer(order_id=order_id, ok=ok, code=code, text=text):
                            self._say(link.Obeyed(order_id=order_id, ok=ok, code=code, text=text))
                        case GiveUp(reason=reason):
                            self._farewell = link.Farewell(kind=ExitKind.MAX_RESTARTS, detail=reason)
                            self.ask_to_stop(reason)
                        case Ended():
                            self._code = 0 if self._farewell is None else 1
        finally:
            self._busy = False

    def _start(self, action: Start) -> None:
        start = action.spec.start
        assert isinstance(start, ActorStart)
        earlier = self._begun.get(action.id, 0)
        self._begun[action.id] = earlier + 1
        if action.spec.shutdown_s <= 0:
            self._brutal.add(action.id)
        slot = self._slots[action.id]
        slot.begin(action.incarnation)
        try:
            self._counters.started(action.id, action.incarnation)
            routes = self._stage.boot.hears.get(action.id, ())
            hosted = Hosted(self._stage, start, action.incarnation, slot, routes, earlier)
        except Exception as error:  # noqa: BLE001  no thread, no socket, no disk: a failed start like any other
            last = crash.record(error, phase="start", roots=self._roots)
            reason = exits.stillborn(f"the node cannot host it: {error}", last)
            self._tell(Exited(action.id, action.incarnation, _named(reason, ready=False), worked=False))
            return
        self._lives[action.id] = hosted
        self._tell(Started(action.id, action.incarnation, os.getpid()))

    def _stop(self, id: str, incarnation: int, why: str, patience_s: float, *, brutal: bool) -> None:
        """Ask it to end. Brutally: it is fenced at once, which is what a kill can mean for a thread."""
        hosted = self._lives.get(id)
        if hosted is None or hosted.incarnation != incarnation:
            return
        if brutal:
            hosted.fence()
        patience_s = min(patience_s, self._longest_s) if patience_s > 0 else BRUTAL_S
        hosted.stop(why)
        if isfinite(patience_s):
            self._at(time.monotonic() + patience_s, partial(self._overdue, hosted, patience_s))

    def _overdue(self, hosted: Hosted, patience_s: float) -> None:
        """It was asked to end and did not."""
        if self._lives.get(hosted.name) is hosted:
            self._give_up(hosted, f"its thread did not end within {patience_s:g} s ({hosted.busy_with()})")

    def _give_up(self, hosted: Hosted, detail: str) -> None:
        """A zombie: fence it, let its siblings end in order, and then the process."""
        hosted.fence()
        del self._lives[hosted.name]
        self._zombies[hosted.name] = hosted
        why = f"zombie {hosted.name} incarnation {hosted.incarnation}: {detail}"
        self._stage.complain(f"{why}\n{hosted.stack()}")
        view = self._tree.child(hosted.name)
        if view is not None:
            self._report(
                supervision(
                    SupervisionKind.ZOMBIE,
                    id=view.id,
                    path=view.path,
                    incarnation=hosted.incarnation,
                    at=time.monotonic(),
                    cause=Cause.HUNG,
                    detail=detail,
                )
            )
        if self._farewell is None:
            self._farewell = link.Farewell(kind=ExitKind.HUNG, detail=why, stacks=hosted.stack())
        self._changed = True
        self._show(inf)
        # First the shutdown, then the end that is as good as one: so nothing is started in its place.
        self.ask_to_stop(why)
        self._tell(Exited(hosted.name, hosted.incarnation, ExitReason(kind=ExitKind.HUNG, detail=detail), False))

    # -- what happens ---------------------------------------------------------------------------------------------

    def _on_end(self, ending: Ending) -> None:
        hosted = self._lives.get(ending.name)
        if hosted is None or hosted.incarnation != ending.incarnation:
            return  # a zombie that woke up: it was counted already
        if not hosted.proved_dead():
            again = time.monotonic() + LOOK_AGAIN_S  # its last steps take long on a crowded machine
            self._at(again, partial(self._on_end, ending))
            return
        del self._lives[ending.name]
        last = None
        if ending.error is not None and not isinstance(ending.error, Fenced):
            last = crash.record(
                ending.error,
                phase=ending.phase,
                roots=self._roots,
                in_hand=ending.in_hand,
                in_hand_id=ending.in_hand_id,
            )
        code = None if last is not None or hosted.stopped_for else 0  # a thread has no exit code; 0 says: it just ended
        reason = exits.reason(code=code, signal=None, crash=last, asked=hosted.stopped_for)
        ready, worked = hosted.slot.words[vitals.READY] > 0, hosted.worked()
        hosted.close()
        self._tell(Exited(ending.name, ending.incarnation, _named(reason, ready=ready), worked))

    def _at(self, due: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (due, next(self._count), call))

    # -- what the root is told ------------------------------------------------------------------------------------

    def _report(self, record: Supervision) -> None:
        boots = (
            record.kind in USUAL and record.cause in (Cause.BOOT, Cause.PARENT) and self._begun.get(record.id, 0) < 2
        )
        if record.kind in OWN or (record.id != self._name and not boots):
            self._say(link.Happened(record=record))
        elif record.kind is SupervisionKind.READY and record.id == self._name:
            for views in self._changes():  # who starts after it may ask for those inside at once
                self._say(link.Inside(views=views))
                self._shown.update((view.id, view) for view in views)
            self._say(link.NodeReady())

    def _say(self, word: link.Word) -> None:
        if len(self._waiting) >= WAITING_MOST:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(word)

    def _show(self, now: float) -> None:
        """Tell the root what changed. A full link keeps nobody waiting: what it does not take is told later."""
        while self._waiting and link.send(self._line, self._waiting[0], socket.MSG_DONTWAIT):
            self._waiting.popleft()
        if self._lost and not self._waiting:
            self._stage.complain(f"{self._name}: {self._lost} records of supervision were lost, the root took none")
            self._lost = 0
        if not self._changed or now < self._show_at:
            return
        self._show_at = time.monotonic() + VIEWS_EVERY_S
        for views in self._changes():
            if self._waiting or not link.send(self._line, link.Inside(views=views), socket.MSG_DONTWAIT):
                return  # still `_changed`: again when the time has come
            self._shown.update((view.id, view) for view in views)
        self._changed = bool(self._waiting)

    def _changes(self) -> list[tuple[ChildView, ...]]:
        """Those inside that the root knows otherwise, in portions of one word."""
        changed = [view for view in map(self._seen, self._tree.children()) if self._shown.get(view.id) != view]
        return [tuple(changed[at : at + link.VIEWS_MOST]) for at in range(0, len(changed), link.VIEWS_MOST)]

    def _seen(self, view: ChildView) -> ChildView:
        """As the root shows it: a zombie as one, and tracebacks only in the records."""
        if view.id in self._zombies:
            view = msgspec.structs.replace(view, state=State.ZOMBIE, ready=False)
        last = view.last_exit
        if last is not None and last.crash is not None and last.crash.traceback:
            bare = msgspec.structs.replace(last, crash=msgspec.structs.replace(last.crash, traceback=""))
            view = msgspec.structs.replace(view, last_exit=bare)
        return view


def _as_part(spec: SupervisorSpec) -> SupervisorSpec:
    """The machine's root never gives up unless told to shut down; here it is no root: above it is the node's own."""
    if spec.on_exhausted is OnExhausted.ESCALATE:
        return msgspec.structs.replace(spec, on_exhausted=OnExhausted.SHUTDOWN)
    return spec


def _named(reason: ExitReason, *, ready: bool) -> ExitReason:
    return told_apart(reason, "steady" if ready else "init")
