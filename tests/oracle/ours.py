"""Our side of the oracle: the pure Tree under the law `OTP`, with workers as obedient as Erlang's, and no process.

It writes the same pages as `oracle.erl`: the answer, what happened in order, every child's state. Where one thing has
two names, or one of the two worlds has it not, the translation is here and its reason in `tests/oracle/differences.py`.
"""

from __future__ import annotations

from collections import deque
from itertools import count, groupby
from random import Random

from supervisor.events import Supervision, SupervisionKind
from supervisor.moves import (
    Action,
    AddChild,
    Answer,
    Boot,
    ChildView,
    Due,
    Ended,
    Event,
    Exited,
    Kill,
    Order,
    Ready,
    RemoveChild,
    Report,
    Shutdown,
    Start,
    Started,
    Stop,
    Verb,
    Wake,
)
from supervisor.spec import OTP, Law
from supervisor.tree import Tree
from supervisor.words import ExitKind, ExitReason, Restart, State
from tests.oracle.differences import CODES
from tests.oracle.otp import Page
from tests.oracle.script import (
    Add,
    Admin,
    Both,
    Clock,
    Exit,
    Fail,
    Happening,
    Held,
    Member,
    Pool,
    Script,
    Sup,
    Worker,
    parents,
    units,
)

ENDS = {
    "normal": ExitReason(kind=ExitKind.NORMAL, code=0),
    "shutdown": ExitReason(kind=ExitKind.SHUTDOWN, code=0),
    "detail": ExitReason(kind=ExitKind.SHUTDOWN, code=0, detail="detail"),
    "crash": ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint="boom"),
    "kill": ExitReason(kind=ExitKind.KILLED, signal=9),
    "upstream": ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint="away", prior="upstream"),
}
REFUSED_TO_START = ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint="refused to start")
TOLD = {
    "shutdown": ExitReason(kind=ExitKind.SHUTDOWN, code=0),
    "normal": ExitReason(kind=ExitKind.NORMAL, code=0),
    "crash": ExitReason(kind=ExitKind.CRASHED, code=1),
}
FORCED = ExitReason(kind=ExitKind.SHUTDOWN, signal=9)
UP = (State.STARTING, State.RUNNING, State.READY)
SEEN = {State.READY: "up", State.RUNNING: "up", State.STARTING: "up", State.STOPPED: "down"}
DOWN = (SupervisionKind.STOPPED, SupervisionKind.EXITED, SupervisionKind.QUARANTINED, SupervisionKind.ALL_DOWN)


class Patience(Random):
    """How long a restart waits. Nothing, as in OTP; or, for a script that looks at the state `restarting`, an instant
    that is over when the script has looked. Such a script's whole seconds keep their meaning: a period is half a second
    longer, so that no instant pushes a restart out of the window that ends with it."""

    INSTANT_S = 2.0**-20
    LONGER_S = 0.5

    def __init__(self, wait_s: float) -> None:
        super().__init__(0)
        self.wait_s = wait_s

    def uniform(self, a: float, b: float) -> float:
        return min(self.wait_s, b)


class Ours:
    """One Tree, played event by event. `holds`: the script looks at the state `restarting`, see `Patience`."""

    def __init__(self, top: Sup, *, holds: bool, law: Law = OTP) -> None:
        self.top = top
        self.holds = holds
        self.tree = Tree(
            top.spec(law, longer_s=Patience.LONGER_S if holds else 0.0), Patience(Patience.INSTANT_S if holds else 0.0)
        )
        self.now = 1000.0
        self.items: dict[str, Worker | Sup | Pool] = {item.id: item for item in units(top)}
        self.restarts = {id: item.restart for id, item in self.items.items()}  # as last started
        self.above = parents(top)
        self.pools = {item.id: item for item in units(top) if isinstance(item, Pool)}
        self.supervisors = {top.id} | {id for id, item in self.items.items() if not isinstance(item, Worker)}
        self.standing: set[str] = set()  # supervisors that are up
        self.live: dict[str, int] = {}  # id -> incarnation of a worker
        self.fails: dict[str, int] = {}  # id -> how many starts will fail
        self.hold: tuple[str, int] | None = None  # whose next failed start is a pause, under which incarnation
        self.reached = False
        self.unheard: dict[str, Exited] = {}  # dead, and not told yet
        self.turns: dict[str, int] = {}  # who tries again after whom
        self.turn = count()
        self.queue: deque[Event] = deque()
        self.entries: list[str] = []
        self.answers: list[Answer] = []
        self.orders = 0
        self.ended = False

    def boot(self, at_boot: tuple[Fail, ...]) -> Page:
        self.fails |= {fail.id: fail.times for fail in at_boot}
        self.tell(Boot())
        return self.page("start_failed" if self.ended else "ok")

    def play(self, event: Happening) -> Page:
        return self.page(self.happen(event))

    def end(self) -> Page:
        if not self.ended:
            self.tell(Shutdown("the end"))
        return "ok", self.take(), ()

    # -- what a script does ------------------------------------------------------------------------------------------

    def happen(self, event: Happening) -> str:
        match event:
            case Exit(id, how):
                return self.exit(id, how)
            case Both(first, second):
                return self.both(first, second)
            case Fail(id, times):
                self.fails[id] = times
                return "ok"
            case Clock(seconds):
                self.now += seconds
                return "ok"
            case Admin():
                return self.admin(event)
            case Add():
                return self.add(event)
            case Member():
                return self.member(event)
            case Held(id, how, times, meanwhile):
                return self.held(id, how, times, meanwhile)

    def exit(self, id: str, how: str) -> str:
        if id not in self.live:
            return "absent"
        self.tell(self.ends(id, how))
        return "ok"

    def both(self, first: Exit, second: Exit) -> str:
        if first.id not in self.live or second.id not in self.live:
            return "absent"
        self.unheard[second.id] = self.ends(second.id, second.how)
        self.queue.append(self.ends(first.id, first.how))
        self.drain()
        if (exited := self.unheard.pop(second.id, None)) is not None:
            self.queue.append(exited)
        self.flow()
        return "ok"

    def ends(self, id: str, how: str) -> Exited:
        """`worked`: with useful work a restart comes at once, as OTP's does; else only where no wait is."""
        return Exited(id, self.live.pop(id), ENDS[how], worked=self.holds)

    def held(self, id: str, how: str, times: int, meanwhile: Happening) -> str:
        if id not in self.live:
            return "absent"
        self.fails[id] = times
        self.hold = (id, self.view(self.above[id]).incarnation)
        self.exit(id, how)  # comes to rest, or to the first failed start of it
        self.hold = None
        answer = self.happen(meanwhile)  # served before the next attempt
        self.reached = False
        self.flow()
        return answer

    def admin(self, event: Admin) -> str:
        seen = self.find(event.id)
        if not self.is_up(self.above.get(event.id, "")):
            return "no_supervisor"
        if seen is None or self.gone(seen):
            return "not_found"
        match event.verb:
            case "terminate":
                code = self.ask(Order(self.next_order(), Verb.STOP, event.id))
            case "restart":
                code = self.ask(Order(self.next_order(), Verb.START, event.id))
            case _:
                code = self.ask(RemoveChild(self.next_order(), event.id))
        return self.outcome(event.verb, event.id, code)

    def add(self, event: Add) -> str:
        worker = event.worker
        self.items.setdefault(worker.id, worker)
        self.above.setdefault(worker.id, event.sup)
        if not self.is_up(event.sup):
            return "no_supervisor"
        seen = self.find(worker.id)
        if seen is not None and self.gone(seen):
            self.ask(RemoveChild(self.next_order(), worker.id))
        code = self.ask(AddChild(self.next_order(), event.sup, worker.spec(OTP)))
        return self.outcome("add", worker.id, code)

    def member(self, event: Member) -> str:
        if not self.is_up(event.pool):
            return "no_supervisor"
        if event.verb == "add":
            self.items[event.id], self.above[event.id] = self.pools[event.pool].template, event.pool
            code = self.ask(AddChild(self.next_order(), event.pool, None, event.id))
        else:
            code = self.ask(RemoveChild(self.next_order(), event.id))
        return self.outcome(event.verb, event.id, code)

    def next_order(self) -> str:
        self.orders += 1
        return f"o{self.orders}"

    def ask(self, order: Order | AddChild | RemoveChild) -> str:
        self.answers.clear()
        self.tell(order)
        assert [answer.order_id for answer in self.answers] == [order.order_id], f"{order} got {self.answers}"
        return self.answers[0].code

    def outcome(self, verb: str, id: str, code: str) -> str:
        """Our answer in OTP's words. OTP answers when the start is over, we when it is accepted."""
        if code == "ok" and verb in ("restart", "add") and not self.is_up(id):
            return "start_failed"
        return CODES[verb].get(code, code)

    # -- what the world does -----------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        self.queue.append(event)
        self.flow()

    def flow(self) -> None:
        """Until nothing moves any more, or to where a held start has failed."""
        for _ in range(10_000):
            self.drain()
            waiting = [view for view in self.tree.children() if view.state is State.RESTARTING]
            if self.reached or not waiting:
                return
            first = min(waiting, key=lambda view: self.turns[view.id])
            self.now = max(self.now, first.next_retry_at or 0.0)
            self.queue.append(Due(first.id))
        raise AssertionError("the tree never comes to rest")

    def drain(self) -> None:
        while self.queue:
            for action in self.tree.handle(self.queue.popleft(), self.now):
                self.act(action)

    def act(self, action: Action) -> None:
        match action:
            case Start(id, _, incarnation, spec):
                self.restarts[id] = spec.restart
                self.start(id, incarnation)
            case Stop(id) | Kill(id) if id in self.unheard:
                self.queue.append(self.unheard.pop(id))
            case Stop(id, incarnation, shutdown_s) if self.live.pop(id, None) == incarnation:
                worker = self.worker(id)
                forced = shutdown_s == 0 or worker.leaves == "never"
                self.entries.append(f"{'kill' if forced else 'stop'} {id}")
                self.queue.append(Exited(id, incarnation, FORCED if forced else TOLD[worker.leaves], worked=False))
            case Kill(id, incarnation) if self.live.pop(id, None) == incarnation:
                self.entries.append(f"kill {id}")
                self.queue.append(Exited(id, incarnation, FORCED, worked=False))
            case Wake(id):
                self.turns[id] = next(self.turn)
            case Report(record):
                self.read(record)
            case Answer():
                self.answers.append(action)
            case Ended():
                self.ended = True
            case _:
                pass

    def start(self, id: str, incarnation: int) -> None:
        if self.fails.get(id, 0) > 0:
            self.fails[id] -= 1
            self.entries.append(f"fail {id}")
            self.queue.append(Exited(id, incarnation, REFUSED_TO_START, worked=False))
            self.reached = self.hold == (id, self.view(self.above[id]).incarnation)
            return
        self.entries.append(f"start {id}")
        self.live[id] = incarnation
        self.queue += [Started(id, incarnation, 1), Ready(id, incarnation)]

    def read(self, record: Supervision) -> None:
        """Supervisors come and go in the records only: they are no processes. `failed`: while it was starting."""
        if record.id not in self.supervisors:
            return
        if record.kind is SupervisionKind.STARTING:
            self.standing.add(record.id)
            self.entries.append(f"up {record.id}")
        elif record.kind is SupervisionKind.EXHAUSTED:
            self.entries.append(f"gave_up {record.id}")
        elif record.kind in DOWN and record.id in self.standing:
            self.standing.remove(record.id)
            failed = record.exit is not None and record.exit.kind is ExitKind.START_FAILED
            self.entries.append(f"{'failed' if failed else 'down'} {record.id}")

    # -- what is seen ------------------------------------------------------------------------------------------------

    def worker(self, id: str) -> Worker:
        item = self.items[id]
        assert isinstance(item, Worker)
        return item

    def find(self, id: str) -> ChildView | None:
        return next((view for view in self.tree.children() if view.id == id), None)

    def view(self, id: str) -> ChildView:
        view = self.find(id)
        assert view is not None
        return view

    def is_up(self, id: str) -> bool:
        view = self.find(id)
        return view is not None and view.state in UP

    def gone(self, view: ChildView) -> bool:
        """OTP keeps no spec of a temporary child that is down; we show it as stopped."""
        return view.state is State.STOPPED and self.restarts.get(view.id) is Restart.TEMPORARY

    def page(self, answer: str) -> Page:
        return answer, self.take(), self.states()

    def take(self) -> tuple[str, ...]:
        taken, self.entries = tuple(self.entries), []
        return taken

    def states(self) -> tuple[str, ...]:
        """Every child in start order, a pool's by name; nothing below a supervisor that is down."""
        hidden = {self.top.id} if self.ended else set()
        shown: list[tuple[str, str]] = []
        for view in self.tree.children():
            above = self.above.get(view.id, "")
            if above in hidden or view.state not in UP:
                hidden.add(view.id)
            if above and above not in hidden and not self.gone(view):
                shown.append((above, f"{view.id}:{SEEN.get(view.state, view.state)}"))
        return tuple(
            word
            for above, group in groupby(shown, key=lambda item: item[0])
            for _, word in (sorted(group) if above in self.pools else group)
        )


def run(script: Script, law: Law = OTP) -> list[Page]:
    """The pages of a script."""
    side = Ours(script.tree, holds=script.holds, law=law)
    return [side.boot(script.at_boot), *map(side.play, script.events), side.end()]
