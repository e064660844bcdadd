"""What the judge is told: frozen values, each with the time it was seen. Nothing here decides anything.

The picture: the root takes a `Look` at a child (kernel sample and vitals) and folds it into the child's `History`,
which remembers *since when* something has not moved. A look costs microseconds and the memory is bounded, so a child
can be watched for weeks. All times are seconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine.
"""

from __future__ import annotations

import msgspec

from supervisor.verdict.timing import SEEDS, Limits, Observer, Timing
from supervisor.words import ExitReason, State

POINTS = 40  # remembered kernel readings, `Timing.point_every_s` apart: about 20 s


class ActorSample(msgspec.Struct, frozen=True, kw_only=True):
    """One actor's vitals at one look; the counters are its own, written by its own thread."""

    name: str
    loops: int
    handled: int
    queued: int = 0
    in_hand_since: float | None = None  # when the message in hand was taken; None: no message in hand
    in_hand_seq: int = 0
    last_progress: float | None = None  # the last `ctx.progress`
    oldest_queued: float | None = None  # when the oldest waiting message came in
    out: int = 0  # messages it has published
    repeats: int = 0  # times in a row that it was given the very same message (0: the last one was a new one)
    lease_until: float | None = None  # declared long work (`ctx.lease`) is allowed until then
    lease_why: str = ""
    in_hand: str = ""  # "sender:Kind:sequence" of a recorded message in hand


class ThreadSample(msgspec.Struct, frozen=True):
    """One thread, read only in a deep look. While one thread holds the GIL each waiting one shows about 196 voluntary
    switches per second, in a deadlock its usual rate (measured; docs/health.md)."""

    id: int
    state: str
    cpu_s: float
    voluntary: int


class KernelSample(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel says of a process. CPU and run-queue delay are sums over its threads."""

    state: str  # R S D T t Z X I, of the main thread
    started_ticks: int  # start time in clock ticks after boot: with the pid, the identity of a process
    cpu_s: float  # user and system time used so far
    run_delay_s: float = 0.0  # time so far spent runnable without a CPU
    wchan: str = ""  # where in the kernel its threads sleep, each place once; "" if hidden or running
    threads: int = 1
    uninterruptible: int = 0  # threads in state D
    runnable: int = 0  # threads in state R: they run, or wait for a CPU
    traced: bool = False  # a debugger holds it
    rss_mib: float | None = None
    memory_limit_mib: float | None = None  # the nearest limit on its memory that is known; None: none
    descriptors: int | None = None
    descriptor_limit: int | None = None
    per_thread: tuple[ThreadSample, ...] = ()  # () where the look was no deep one
    faults: int = 0  # page faults so far, also those that needed no disk


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One observation of one incarnation. `kernel` may be left out of a look to save its cost."""

    at: float
    incarnation: int
    kernel: KernelSample | None = None
    actors: tuple[ActorSample, ...] = ()


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """When each counter of one actor was last seen to move, and the CPU time its process had used by then."""

    sample: ActorSample
    first_at: float
    loops_at: float
    handled_at: float
    cpu_at_loop_s: float


class Point(msgspec.Struct, frozen=True):
    """One remembered reading."""

    at: float
    cpu_s: float
    run_delay_s: float
    handled: int
    queued: int = 0
    rss_mib: float | None = None
    descriptors: int | None = None
    faults: int = 0


class Deep(msgspec.Struct, frozen=True):
    """The threads at one deep look."""

    at: float
    threads: tuple[ThreadSample, ...]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All looks at one incarnation, folded. A look at another incarnation starts it anew."""

    incarnation: int = 0
    at: float = 0.0
    kernel: KernelSample | None = None
    kernel_at: float = 0.0
    kernel_state_since: float = 0.0
    disk_since: float | None = None  # since when some thread was seen in state D at every look
    traces: tuple[Trace, ...] = ()
    points: tuple[Point, ...] = ()
    deep: tuple[Deep, ...] = ()  # the last two deep looks

    def add(self, look: Look, timing: Timing = SEEDS) -> History:
        """Fold one look. A look older than the last one is ignored; a counter that fell counts as moved."""
        if look.incarnation != self.incarnation:
            return History(incarnation=look.incarnation).fold(look, timing)
        return self if look.at < self.at else self.fold(look, timing)

    def fold(self, look: Look, timing: Timing = SEEDS) -> History:
        kernel, kernel_at = self.kernel, self.kernel_at
        state_since, disk_since = self.kernel_state_since, self.disk_since
        if look.kernel is not None:
            if kernel is None or kernel.state != look.kernel.state:
                state_since = look.at
            if look.kernel.uninterruptible == 0:
                disk_since = None
            elif disk_since is None:
                disk_since = look.at
            kernel, kernel_at = look.kernel, look.at
        cpu_s = kernel.cpu_s if kernel is not None else 0.0
        traces = self.traces
        if look.actors:
            known = {trace.sample.name: trace for trace in self.traces}
            traces = tuple(_moved(known.get(sample.name), sample, look.at, cpu_s) for sample in look.actors)
        points = self.points
        if look.kernel is not None:
            handled = sum(trace.sample.handled for trace in traces)
            told = look.kernel
            queued = sum(trace.sample.queued for trace in traces)
            point = Point(
                look.at,
                told.cpu_s,
                told.run_delay_s,
                handled,
                queued,
                told.rss_mib,
                told.descriptors,
                told.faults,
            )
            if len(points) >= 2 and look.at - points[-2].at < timing.point_every_s:
                points = (*points[:-1], point)
            else:
                points = (*points[-(POINTS - 1) :], point)
        deep = self.deep
        threads = look.kernel.per_thread if look.kernel is not None else ()
        if threads and (not deep or deep[-1].threads != threads):
            deep = (*deep[-1:], Deep(look.at, threads))
        return History(
            incarnation=look.incarnation,
            at=look.at,
            kernel=kernel,
            kernel_at=kernel_at,
            kernel_state_since=state_since,
            disk_since=disk_since,
            traces=traces,
            points=points,
            deep=deep,
        )


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """Rung R1: the node's main thread answers pings. `waiting_since`: when the oldest unanswered ping was sent."""

    waiting_since: float | None = None
    answered_at: float | None = None  # when the last pong came in


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to a declared check: this question got this answer, no more.

    `reason` is the class a counter-probe found ("wrong port", "missing client" …), `detail` the sentence with its
    proof. `explained`: another route showed that the question is wrong, whatever the child may be.
    """

    child: str
    kind: str
    target: str
    ok: bool
    at: float
    took_s: float = 0.0
    reason: str = ""
    detail: str = ""
    explained: bool = False
    failures: int = 0  # in a row, this one included
    every_s: float = 2.0
    asked: int = 0  # of this life, the last hundred at most …
    refused: int = 0  # … of these answered with a no …
    episodes: int = 0  # … and how often that began anew


class PromiseSample(msgspec.Struct, frozen=True, kw_only=True):
    """When a promised output was last produced; None: never in this incarnation.

    `due` is False while its condition does not hold (`Promise.when`): nothing came in, so nothing need come out.
    """

    topic: str
    at_least_every_s: float
    last_at: float | None = None
    key: str = ""  # one instrument or channel of the topic, "" for any
    due: bool = True
    count: int = 0  # produced in this incarnation
    inputs: int | None = None  # messages of `when` that came in meanwhile, None without a condition
    rhythm_s: float | None = None  # its own learned median gap; None: not learned yet
    elsewhere: bool | None = None  # another user of the same source sees data now; None: no other user is known
    changed_at: float | None = None  # when its content last differed from the one before; None: not compared
    actor: str = ""  # whose promise, in a node with a group
    due_since: float | None = None  # when the first of `inputs` was seen; None: not known


class CanarySample(msgspec.Struct, frozen=True, kw_only=True):
    """A question with a known answer, put through the actor's own inbox and locks."""

    name: str
    asked_at: float
    answered_at: float | None = None  # None: not yet
    ok: bool | None = None  # whether the answer was the known one; None: no answer yet
    answer: str = ""
    expect: str = ""
    failures: int = 0  # wrong answers in a row
    actor: str = ""
    timeout_s: float = 5.0


class DependencySample(msgspec.Struct, frozen=True, kw_only=True):
    """Something the child cannot work without: a venue, a database, another child.

    `probe_ok` is our own question to it (D1), `used_ok_at`/`used_failed_at` what the child says of its real calls (D2,
    `ctx.outcome`), `owner_up` the state of the child of ours that provides it.
    """

    name: str
    probe_ok: bool | None = None  # None: not asked, or asked too long ago
    probe_at: float | None = None
    probe_detail: str = ""
    owner: str = ""  # the child of ours that provides it, "" for the world outside
    owner_up: bool | None = None
    used_ok_at: float | None = None
    used_failed_at: float | None = None
    failures: int = 0  # real calls failed in a row
    error: str = ""  # whose fault the last failure looks like: a `fingerprint.Prior`
    cause: str = ""  # what it did then, in one word (`fingerprint.upstream_cause`), "" where nobody told
    users: int = 1  # children that declare it
    users_failing: int = 0  # those whose last real call failed


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """One earlier incarnation's end, by the kernel's clock."""

    at: float
    fingerprint: str
    prior: str  # a `fingerprint.Prior`
    worked: bool  # useful work between ready and the end
    in_hand: str = ""  # identity of the message in hand, "" for none
    inputs: str = ""  # digest of code, models and configuration it ran with
    oom: bool = False  # killed, and the kernel's count of its kills for want of memory rose with it


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has what this child needs and cannot get."""

    what: str  # "port 127.0.0.1:8080", "lock /…/x.lock"
    pid: int | None  # None: somebody we may not look at
    name: str = ""
    ours: bool = False  # left over by an earlier incarnation of this very child


class Peers(msgspec.Struct, frozen=True, kw_only=True):
    """This child beside its equals: same class, same supervisor, same kind of work."""

    count: int
    service_s: float  # mean seconds of work per message, this child
    median_s: float  # of the equals


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine. Hints only: they say that somebody suffers, never who."""

    at: float = 0.0
    cpu_pressure: float | None = None  # share of time in which somebody waited (PSI, some, ten seconds)
    memory_pressure: float | None = None
    oom_kills: int | None = None  # since boot
    sentinel_late_s: float | None = None  # how late the child that only beats is now; None: there is none


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one child at one moment. Optional means "not looked at", never "fine"."""

    name: str
    state: State
    desired_up: bool = True
    state_since: float = 0.0
    incarnation: int = 0
    pid: int | None = None
    history: History = History()
    ping: Ping = Ping()
    checks: tuple[CheckResult, ...] = ()  # the last answer of each declared check
    promises: tuple[PromiseSample, ...] = ()
    observer: Observer = Observer()
    timing: Timing = SEEDS
    limits: Limits = Limits()  # learned of this child
    last_exit: ExitReason | None = None
    crash_loop: bool = False  # the tree parked it for equal fingerprints (not for a spent budget)
    next_retry_at: float | None = None
    hang_after_s: float = 5.0
    start_timeout_s: float = 60.0
    echo: Ping = Ping()  # rung R0: a thread without the interpreter answers
    canaries: tuple[CanarySample, ...] = ()
    dependencies: tuple[DependencySample, ...] = ()
    deaths: tuple[Death, ...] = ()  # the last few, oldest first
    holders: tuple[Holder, ...] = ()
    orphans: tuple[int, ...] = ()  # processes an earlier incarnation left behind
    peers: Peers | None = None
    host: Host = Host()
    orders_unread_s: float = 0.0  # how long the root's words have waited because the child's link is full
    blind: str = ""  # why the root itself cannot see it now ("no descriptor left for its page")


def _moved(old: Trace | None, sample: ActorSample, at: float, cpu_s: float) -> Trace:
    if old is None:
        return Trace(sample=sample, first_at=at, loops_at=at, handled_at=at, cpu_at_loop_s=cpu_s)
    looped = old.sample.loops != sample.loops
    handled = old.sample.handled != sample.handled
    return Trace(
        sample=sample,
        first_at=old.first_at,
        loops_at=at if looped else old.loops_at,
        handled_at=at if handled else old.handled_at,
        cpu_at_loop_s=cpu_s if looped else old.cpu_at_loop_s,
    )
