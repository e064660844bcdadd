"""All that is known of one child, gathered from its page, the kernel, its neighbours and its past: an `Evidence`.

The picture: the clerk of the court. He reads the dials, sends for the kernel's numbers, asks the neighbours, takes the
old files out of the drawer, and lays all of it before the judge, each paper with the time it was written. He has no
opinion. Whose turn it is, watch.py says.
"""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from supervisor.events import Cause
from supervisor.evidence import host, kernel, vitals
from supervisor.evidence.echo import AGAIN_S, Knocker
from supervisor.evidence.tables import DependencyVitals, PromiseVitals
from supervisor.moves import ChildView
from supervisor.runtime.leftovers import Leftovers
from supervisor.runtime.life import Life
from supervisor.runtime.needs import Needs, declared_by
from supervisor.runtime.questions import Questions
from supervisor.spec import ChildSpec, NodeStart, Promise, members
from supervisor.verdict import SEEDS, ActorSample, CheckResult, Evidence, History, Look, Observer, Ping, Verdict
from supervisor.verdict.evidence import Death, Host, Peers, PromiseSample
from supervisor.verdict.fingerprint import Prior, prior
from supervisor.verdict.learning import Learned, limits
from supervisor.words import ExitKind, ExitReason, State, VerdictKind

DEATHS = 8
GAPS = 20
GAPS_LEAST = 3
STRANGE_GAP = 5.0  # times the learned median: no such gap is learned as normal
HOST_EVERY_S = 2.0
SERVED_LEAST = 3  # timed messages before a mean is worth comparing
SERVED_FOR_S = 60.0
NO_PAGE_S = 2.0  # ready for so long and no page
CALM = frozenset({VerdictKind.HEALTHY, VerdictKind.STOPPED})
SUSPECTS = frozenset({VerdictKind.HUNG, VerdictKind.UNSURE})
WORKING = frozenset({VerdictKind.HEALTHY, VerdictKind.BUSY})
_NS = 1e-9


class Rhythm(msgspec.Struct):
    """What is learned of one promised output."""

    count: int = 0
    at_ns: int = 0
    gaps: list[float] = []
    due_at: float | None = None  # when inputs of a conditional promise were first seen to wait for it

    def learn(self, told: PromiseVitals, good: bool, now: float = 0.0) -> None:
        """Mean gap since the last look, unless something was wrong meanwhile: no fault is learned as normal."""
        if told.count > self.count and self.count and good:
            gap_s = (told.at_ns - self.at_ns) * _NS / (told.count - self.count)
            if len(self.gaps) < GAPS_LEAST or gap_s <= STRANGE_GAP * statistics.median(self.gaps):
                self.gaps = [*self.gaps[-(GAPS - 1) :], gap_s]
        if told.count != self.count or told.inputs <= told.inputs_then:
            self.due_at = None
        if self.due_at is None and told.inputs > told.inputs_then:
            self.due_at = now
        self.count, self.at_ns = told.count, told.at_ns

    @property
    def median_s(self) -> float | None:
        return statistics.median(self.gaps) if len(self.gaps) >= GAPS_LEAST else None


class Seen(msgspec.Struct, kw_only=True):
    """What is remembered of one child between looks."""

    spec: ChildSpec
    reader: vitals.Reader
    history: History = History()
    actors: list[vitals.ActorVitals] = []
    promises: list[PromiseVitals] = []
    calls: dict[str, DependencyVitals] = {}
    rhythms: dict[tuple[str, str], Rhythm] = {}
    kernel_at: float = 0.0
    deep_at: float = 0.0
    uneasy_until: float = 0.0  # a glance found it still: watched closely for so long
    judged_at: float = 0.0
    verdict: Verdict | None = None
    checks: dict[tuple[str, str], CheckResult] = {}
    deaths: tuple[Death, ...] = ()
    rates: tuple[float, float] = (0.0, 0.0)  # handled and sent per second
    cpu_ratio: float = 0.0
    learned: Learned = Learned()
    counted: tuple[float, int, int, float] = (0.0, 0, 0, 0.0)  # at, handled, out, cpu_s
    served: tuple[float, int, int] = (0.0, 0, 0)  # at, timed messages, their nanoseconds
    service_s: float = 0.0  # mean seconds of work per message, 0: not known
    service_at: float = 0.0


class Witness:
    """`look` reads, `evidence` lays out. Both cost some hundred microseconds at most and wait for nobody."""

    def __init__(
        self,
        home: Path,
        seen: Mapping[str, Seen],
        find: Callable[[str], ChildView | None],
        fold: Callable[[Seen, Look], None],
        time_scale: float,
    ) -> None:
        self.needs = Needs(time_scale, find)
        self.questions = Questions()
        self.leftovers = Leftovers(home)
        self.knocker = Knocker()
        self.endpoint: Callable[[str], str] | None = None  # where a node publishes; set by the root
        self.parked: dict[str, Cause] = {}
        self.sentinel_late_s: Callable[[float], float | None] = lambda now: None
        self._home, self._seen, self._find, self._fold, self._scale = home, seen, find, fold, time_scale
        self._timing = SEEDS.scaled(time_scale)
        self._host = Host()
        self._peers: dict[tuple[str, str], set[str]] = {}  # (supervisor, classes) -> children
        self._kinds: dict[str, tuple[str, str]] = {}

    # -- what comes and goes --------------------------------------------------------------------------------------

    def know(self, id: str, spec: ChildSpec) -> None:
        """A new life begins."""
        self.questions.know(id, spec)
        view = self._find(id)
        if view is not None and isinstance(spec.start, NodeStart) and spec.start.actors:
            kind = (view.path.rpartition("/")[0], " ".join(start.path for start in spec.start.actors))
            self._kinds[id] = kind
            self._peers.setdefault(kind, set()).add(id)

    def forget(self, id: str) -> tuple[str, ...]:
        """This child is no more; which questions about dependencies nobody has any longer."""
        self.questions.forget(id)
        self.leftovers.forget(id)
        self.knocker.leave(id)
        self.parked.pop(id, None)
        kind = self._kinds.pop(id, None)
        if kind is not None:
            self._peers[kind].discard(id)
            if not self._peers[kind]:
                del self._peers[kind]
        return self.needs.forget(id)

    def ended(self, id: str, incarnation: int, reason: ExitReason, worked: bool, inputs: str) -> None:
        """An incarnation's end, at the moment the kernel told of it."""
        self.knocker.leave(id)
        seen, now = self._seen.get(id), time.monotonic()
        if seen is None:
            return
        if seen.reader.read(incarnation):
            self._read_tables(seen)  # its last words on the page
        crash = reason.crash
        looks = reason.prior
        if not looks and crash is not None:
            looks = str(prior(crash.exceptions, message=crash.message, phase=crash.phase))
        in_hand = crash.in_hand_id if crash is not None else ""
        if not in_hand and reason.kind not in (ExitKind.SHUTDOWN, ExitKind.NORMAL):
            in_hand = next((one.in_hand for one in seen.reader.read(incarnation) if one.in_hand), "")
        counted, oom = self._host.oom_kills, False
        if reason.signal == signal.SIGKILL and counted is not None:
            oom = (host.oom_kills() or 0) > counted
            self._host = msgspec.structs.replace(self._host, oom_kills=counted + oom)  # one kill explains one death
        death = Death(
            at=now,
            fingerprint=reason.fingerprint,
            prior=looks,
            worked=worked,
            in_hand=in_hand,
            inputs=inputs,
            oom=oom,
        )
        seen.deaths = (*seen.deaths[-(DEATHS - 1) :], death)
        seen.served, seen.service_s = (0.0, 0, 0), 0.0  # how slow the dead one was says nothing of the next
        ports = tuple(port for check in seen.spec.checks if (port := _port(check.kind, check.target)))
        self.leftovers.ended(id, msgspec.structs.replace(reason, prior=looks), now, ports)
        self.needs.told(id, seen.spec, seen.calls, looks == Prior.UPSTREAM)

    # -- looking --------------------------------------------------------------------------------------------------

    def look(self, seen: Seen, life: Life, pid: int, now: float, *, suspect: bool, kernel_every_s: float) -> None:
        """Read the page and, if it is due, the kernel's numbers, and fold them."""
        sampled = None
        if suspect or now - seen.kernel_at >= kernel_every_s:
            deep = now - seen.deep_at >= kernel_every_s / 2
            limit_mib = seen.spec.memory_limit_mib
            sampled = kernel.sample(pid, resources=deep, per_thread=deep and suspect, limit_mib=limit_mib)
            seen.kernel_at, seen.deep_at = now, now if deep else seen.deep_at
            before = seen.history.kernel
            if sampled is not None and not deep and before is not None and seen.history.incarnation == life.incarnation:
                sampled = msgspec.structs.replace(  # what was not read anew is as it was
                    sampled,
                    memory_limit_mib=before.memory_limit_mib,
                    descriptors=before.descriptors,
                    descriptor_limit=before.descriptor_limit,
                    per_thread=before.per_thread if suspect else (),
                )
        seen.actors = seen.reader.read(life.incarnation)
        self._read_tables(seen)
        self._fold(seen, Look(at=now, incarnation=life.incarnation, kernel=sampled, actors=samples(seen.actors)))
        self.count(seen, now, sampled.cpu_s if sampled is not None else None)
        if seen.calls:
            self.needs.told(life.id, seen.spec, seen.calls, died_of_it=False)

    def count(self, seen: Seen, now: float, cpu_s: float | None = None) -> None:
        """Rates over the time since they were last counted, a second at least."""
        at, handled, out, used_s = seen.counted
        if now - at < 1.0:
            return
        total_in, total_out = sum(one.handled for one in seen.actors), sum(one.out for one in seen.actors)
        fresh_s = used_s if cpu_s is None else cpu_s
        if total_in >= handled and fresh_s >= used_s and at:
            seen.rates = ((total_in - handled) / (now - at), (total_out - out) / (now - at))
            if cpu_s is not None:
                seen.cpu_ratio = (cpu_s - used_s) / (now - at)
        if cpu_s is not None or not at:
            seen.counted = (now, total_in, total_out, fresh_s)
        timed, busy_ns = sum(one.timed for one in seen.actors), sum(one.busy_ns for one in seen.actors)
        _, timed_then, busy_then = seen.served
        if timed < timed_then:
            timed_then = busy_then = 0
        if timed - timed_then >= SERVED_LEAST:
            seen.service_s, seen.service_at = (busy_ns - busy_then) * _NS / (timed - timed_then), now
            seen.served = (now, timed, busy_ns)

    def _read_tables(self, seen: Seen) -> None:
        seen.promises = seen.reader.promises()
        good = seen.verdict is not None and seen.verdict.kind in WORKING
        for told in seen.promises:
            seen.rhythms.setdefault((told.actor, told.what), Rhythm()).learn(told, good, time.monotonic())
        if seen.spec.depends or (isinstance(seen.spec.start, NodeStart) and seen.spec.start.group is not None):
            seen.calls = {told.name: told for told in seen.reader.dependencies()}

    # -- laying out -----------------------------------------------------------------------------------------------

    def evidence(self, view: ChildView, seen: Seen, life: Life | None, observer: Observer, now: float) -> Evidence:
        """All that is known of one child."""
        last = view.last_exit
        if now - self._host.at >= HOST_EVERY_S * self._scale:
            self._host = host.sample(now, self.sentinel_late_s(now))
        alive = life is not None and life.pid is not None
        return Evidence(
            name=view.id,
            state=view.state,
            desired_up=view.state is not State.STOPPED or (last is not None and last.kind is not ExitKind.SHUTDOWN),
            state_since=view.since,
            incarnation=view.incarnation,
            pid=view.pid,
            history=seen.history,
            ping=Ping(waiting_since=life.ping_since, answered_at=life.pong_at) if life is not None else Ping(),
            checks=tuple(seen.checks.values()),
            promises=self._promises(seen, now) if alive else (),
            observer=observer,
            timing=self._timing,
            limits=limits(seen.learned, self._timing, seen.spec.start_timeout_s),
            last_exit=last,
            crash_loop=self.parked.get(view.id) is Cause.CRASH_LOOP,
            next_retry_at=view.next_retry_at,
            hang_after_s=seen.spec.hang_after_s,
            start_timeout_s=seen.spec.start_timeout_s,
            echo=self._knock(seen, life, now) if life is not None and life.is_node else Ping(),
            canaries=self.questions.samples(view.id) if alive else (),
            dependencies=self.needs.samples(seen.spec, seen.calls, now),
            deaths=seen.deaths,
            holders=self.leftovers.holders(view.id),
            orphans=self.leftovers.orphans(view.id),
            peers=self._beside(view.id, seen, now) if alive else None,
            host=self._host,
            orders_unread_s=now - life.unread_since if life is not None and life.unread_since else 0.0,
            blind=self._blind(seen, life, now) if alive and life is not None else "",
        )

    def _knock(self, seen: Seen, life: Life, now: float) -> Ping:
        """Rung R0, of suspects only; whoever is calm again is left alone."""
        suspect = now < seen.uneasy_until or (seen.verdict is not None and seen.verdict.kind in SUSPECTS)
        if not suspect or life.ready_at is None or self.endpoint is None:
            self.knocker.leave(life.id)
            return Ping()
        return self.knocker.knock(life.id, life.incarnation, self.endpoint(life.id), now, AGAIN_S * self._scale)

    def _promises(self, seen: Seen, now: float) -> tuple[PromiseSample, ...]:
        if not seen.promises:
            return ()
        found = []
        declared = _declared(seen.spec)
        for told in seen.promises:
            promise = declared.get((told.actor, told.what)) or declared.get(("", told.what))
            if promise is None:
                continue
            last_at = told.at_ns * _NS if told.count else None
            limit_s = promise.at_least_every_s
            inputs = told.inputs - told.inputs_then
            late = last_at is None or now - last_at > limit_s
            found.append(
                PromiseSample(
                    topic=promise.topic,
                    at_least_every_s=limit_s,
                    last_at=last_at,
                    key=promise.key,
                    due=not promise.when or (inputs > 0 and now - told.input_at_ns * _NS <= limit_s),
                    count=told.count,
                    inputs=inputs if promise.when else None,
                    rhythm_s=seen.rhythms[told.actor, told.what].median_s,
                    elsewhere=self._elsewhere(seen, promise, now) if late else None,
                    changed_at=told.changed_at_ns * _NS if promise.changing and told.changed_at_ns else None,
                    actor=told.actor,
                    due_since=seen.rhythms[told.actor, told.what].due_at if promise.when else None,
                )
            )
        return tuple(found)

    def _elsewhere(self, of: Seen, promise: Promise, now: float) -> bool | None:
        """Whether another child that says the same class, or hears the same input, sees data now."""
        found: bool | None = None
        needs = {dependency.name for dependency in declared_by(of.spec)}
        for seen in self._seen.values():
            if seen is of or not seen.promises:
                continue
            others = {dependency.name for dependency in declared_by(seen.spec)}
            if needs and others and not needs & others:
                continue  # the same class from another venue is another source
            declared = _declared(seen.spec)
            for told in seen.reader.promises():
                other = declared.get((told.actor, told.what)) or declared.get(("", told.what))
                if other is None:
                    continue
                limit_s = min(other.at_least_every_s, promise.at_least_every_s)
                if other.topic == promise.topic:
                    found = found or now - told.at_ns * _NS <= limit_s
                elif promise.when and other.when == promise.when:
                    found = found or now - told.input_at_ns * _NS <= limit_s
        return found

    def _beside(self, id: str, seen: Seen, now: float) -> Peers | None:
        equals = self._peers.get(self._kinds.get(id, ("", "")), set())
        if len(equals) < 2 or not seen.service_s:
            return None
        others = [self._seen[other] for other in equals if other != id and other in self._seen]
        told = [one.service_s for one in others if one.service_s and now - one.service_at <= SERVED_FOR_S * self._scale]
        if not told or now - seen.service_at > SERVED_FOR_S * self._scale:
            return None
        return Peers(count=len(told), service_s=seen.service_s, median_s=statistics.median(told))

    def _blind(self, seen: Seen, life: Life, now: float) -> str:
        if seen.reader.blind or seen.actors or not life.is_node:
            return seen.reader.blind if not seen.actors else ""
        if life.ready_at is not None and now - life.ready_at > NO_PAGE_S * self._scale:
            folder = self._home / "vitals"
            return "its vitals page is gone" if folder.is_dir() else f"all vitals pages are gone with {folder}"
        return ""


def samples(actors: list[vitals.ActorVitals]) -> tuple[ActorSample, ...]:
    """Those that are to turn: inside a node that supervises its own an actor may be down, or start, while the node is
    well, and that is its business."""
    return tuple(_sample(one) for one in actors if one.started_ns and (one.ready_ns or not one.life))


def _sample(actor: vitals.ActorVitals) -> ActorSample:
    return ActorSample(
        name=actor.actor,
        loops=actor.loops,
        handled=actor.handled,
        queued=actor.queued,
        in_hand_since=actor.in_hand_since_ns * _NS if actor.in_hand_since_ns else None,
        in_hand_seq=actor.in_hand_seq,
        last_progress=actor.last_progress_ns * _NS if actor.last_progress_ns else None,
        oldest_queued=actor.oldest_queued_ns * _NS if actor.oldest_queued_ns else None,
        out=actor.out,
        repeats=actor.repeats,
        lease_until=actor.lease_until_ns * _NS if actor.lease_until_ns else None,
        lease_why=actor.lease_why,
        in_hand=actor.in_hand,
    )


def _declared(spec: ChildSpec) -> dict[tuple[str, str], Promise]:
    """(actor, what the page calls it) -> promise; those of the node itself under ""."""
    found = {("", f"{one.topic} {one.key}".strip()): one for one in spec.promises}
    for _, member in members(spec):
        found.update({(member.id, f"{one.topic} {one.key}".strip()): one for one in member.promises})
    return found


def _port(kind: str, target: str) -> int | None:
    try:
        if kind == "http":
            url = urlsplit(target)
            return url.port or (443 if url.scheme == "https" else 80)
        return int(target.rpartition(":")[2]) if kind == "tcp" else None
    except ValueError:
        return None
