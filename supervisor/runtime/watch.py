"""The eye of the root: looks at every child, asks the judge, and says what to do. It touches nobody itself.

Ten times a second it reads the dials of some nodes (a microsecond each), once a second also the kernel's numbers (those
of suspects every time), folds them into each child's history, and has them judged. Its own lateness is part of the
evidence: a root that was late saw nothing.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from supervisor.events import Cause
from supervisor.evidence import kernel, record, vitals
from supervisor.evidence.record import Recorder
from supervisor.moves import ChildView
from supervisor.runtime.life import Life
from supervisor.spec import ChildSpec
from supervisor.verdict import (
    ActorSample,
    CheckResult,
    Evidence,
    History,
    Look,
    Observer,
    Ping,
    Verdict,
    correlate,
    judge,
)
from supervisor.verdict.timing import SUSPECT_S, TICK_S
from supervisor.words import ExitKind, State, VerdictKind

KERNEL_EVERY_S = 1.0
JUDGE_EVERY_S = 0.4
GLANCE_EVERY_S = 1.0
DOWN_EVERY_S = 1.0  # one that is down changes by reports only, but for the words about its next retry
UNEASY_S = SUSPECT_S + 0.5
LOOKS = 100  # restless ones per tick; a look with its judgement costs 0.2 ms
TURN_COST = 8  # of a look at a calm child, and one more for each of its actors
TURNS_COST = 27  # per tick: three nodes of one actor, so that up to 15 of them are judged every half second
MANY = 15  # with more nodes than that half of it will do: the glances find who needs a look
PINGS = 40  # calm ones per second
CALM = frozenset({VerdictKind.HEALTHY, VerdictKind.STOPPED})
_NS = 1e-9


class Seen(msgspec.Struct, kw_only=True):
    """What is remembered of one child between looks."""

    spec: ChildSpec
    reader: vitals.Reader
    history: History = History()
    actors: list[vitals.ActorVitals] = []
    kernel_at: float = 0.0
    uneasy_until: float = 0.0  # a glance found it still: watched closely for so long
    judged_at: float = 0.0
    judged_state: tuple[State, int] = (State.STOPPED, 0)
    verdict: Verdict | None = None
    checks: dict[tuple[str, str], CheckResult] = {}
    rates: tuple[float, float] = (0.0, 0.0)  # handled and sent per second
    cpu_ratio: float = 0.0
    counted: tuple[float, int, int, float] = (0.0, 0, 0, 0.0)  # at, handled, out, cpu_s


class Watch:
    """`tick` once per `TICK_S`; `seen[name].verdict` is what is believed now. `find` gives the present view of a name.

    Whom to look at is bounded, so that a thousand children cost little more than ten. The restless (no calm verdict, or
    something was reported of them) come first, the calm ones in turn. Between turns a glance at the dials of a calm
    one, once a second, finds whoever has stopped turning or sits on work, and makes it restless.
    """

    def __init__(self, home: Path, children: Mapping[str, ChildSpec], find: Callable[[str], ChildView | None]) -> None:
        self.observer = Observer()
        self.seen: dict[str, Seen] = {}
        self.recorder: Recorder | None = None
        self.parked: dict[str, Cause] = {}  # why a child was last quarantined, as the tree said
        self._home, self._find = home, find
        self._restless: dict[str, None] = {}
        self._credit = 0
        self._turns, self._glances, self._pings = _Ring(self.seen), _Ring(self.seen), _Ring(self.seen)
        self._asleep = _asleep_s()
        for id, spec in children.items():
            self.know(id, spec)

    def know(self, id: str, spec: ChildSpec) -> None:
        """A new life begins: of a child known or not known yet, by this spec. Old answers say nothing about it."""
        seen = self.seen.get(id)
        if seen is None:
            reader = vitals.Reader(self._home / "vitals" / vitals.file_name(id))
            self.seen[id] = Seen(spec=spec, reader=reader)
        else:
            seen.spec, seen.checks = spec, {}
        self.touch(id)

    def forget(self, id: str) -> None:
        """This child is no more."""
        if self.seen.pop(id, None) is not None:
            self._restless.pop(id, None)
            self.parked.pop(id, None)

    def touch(self, id: str) -> None:
        """Something was reported of it: look at it in the next tick."""
        if id in self.seen:
            self.seen[id].judged_at = 0.0
            self._restless[id] = None

    def tick(self, due: float, now: float, lives: Mapping[str, Life]) -> list[tuple[Verdict, Verdict | None]]:
        """Look and judge. Returns (verdict, the one before) of every child that was judged in this tick."""
        asleep = _asleep_s()
        asleep_s = max(0.0, asleep - self._asleep)
        self.observer = self.observer.tick(due, now, asleep_s=asleep_s)
        self._asleep = asleep
        if self.recorder is not None:
            self.recorder.write(record.Tick(due=due, now=now, asleep_s=asleep_s))
            self.recorder.flush(now)
        self._glance_at_some(now, lives)
        judged: dict[str, Verdict] = {}
        before: dict[str, Verdict | None] = {}
        told: dict[str, Evidence] = {}
        for id in self._due(now, lives):
            view, seen, life = self._find(id), self.seen[id], lives.get(id)
            if view is None:
                self._restless.pop(id, None)
                continue
            place = (view.state, view.incarnation)
            suspect = seen.verdict is None or seen.verdict.kind not in CALM
            if life is not None and life.pid is not None:
                self._look(seen, life, life.pid, now, suspect)
            elif seen.actors:
                seen.actors, seen.rates, seen.cpu_ratio = [], (0.0, 0.0), 0.0
            before[id] = seen.verdict
            told[id] = evidence = self._evidence(view, seen, life)
            judged[id] = judge(evidence, now, seen.verdict)
            seen.judged_at, seen.judged_state = now, place
        result = []
        for id, verdict in self._calmed(judged, lives, now).items():
            self.seen[id].verdict = verdict
            if self.recorder is not None:
                self.recorder.judged(now, told[id], verdict)
            if verdict.kind in CALM and now >= self.seen[id].uneasy_until:
                self._restless.pop(id, None)
            else:
                self._restless[id] = None
            result.append((verdict, before[id]))
        return result

    def heard(self, answer: CheckResult) -> None:
        """An answer to a declared check."""
        seen = self.seen.get(answer.child)
        if seen is not None:
            seen.checks[(answer.kind, answer.target)] = answer
            if not answer.ok:
                self.touch(answer.child)

    def worked(self, id: str, incarnation: int) -> bool:
        """Whether an actor of this incarnation marked progress after it was ready. The page outlives its writer."""
        seen = self.seen.get(id)
        if seen is None:
            return False
        return any(0 < actor.ready_ns < actor.last_progress_ns for actor in seen.reader.read(incarnation))

    def wants_pings(self) -> tuple[str, ...]:
        """Whom to ping this second: the restless, and some of the calm in turn."""
        return tuple(dict.fromkeys((*self._restless, *self._pings.next(PINGS))))

    def _due(self, now: float, lives: Mapping[str, Life]) -> list[str]:
        """Whom to look at in this tick: at most `LOOKS` restless ones, longest waiting first, and a few calm ones."""
        chosen = list(itertools.islice(self._restless, LOOKS))
        if len(self._restless) > LOOKS:
            for id in chosen:  # to the end of the line
                del self._restless[id]
                self._restless[id] = None
        chosen = [id for id in chosen if id in lives or now - self.seen[id].judged_at >= DOWN_EVERY_S]
        credit = TURNS_COST if len(self.seen) <= MANY else TURNS_COST // 2
        self._credit = min(self._credit + credit, credit)  # a node of many actors pays over several ticks
        for _ in range(min(len(self.seen), TURNS_COST)):
            if self._credit <= 0:
                break
            for id in self._turns.next(1):
                if id not in self._restless and now - self.seen[id].judged_at >= JUDGE_EVERY_S:
                    self._credit -= TURN_COST + len(self.seen[id].actors)
                    chosen.append(id)
        return chosen

    def _glance_at_some(self, now: float, lives: Mapping[str, Life]) -> None:
        """A tenth of all, so that each calm one is glanced at once a second."""
        for id in self._glances.next(math.ceil(len(self.seen) * TICK_S / GLANCE_EVERY_S)):
            life = lives.get(id)
            if life is None or id in self._restless or not life.is_node:
                continue
            if not self.seen[id].reader.calm(life.incarnation, now):
                self.seen[id].uneasy_until = now + UNEASY_S
                self._restless[id] = None

    def _calmed(self, judged: dict[str, Verdict], lives: Mapping[str, Life], now: float) -> dict[str, Verdict]:
        """With the eye on all that live: many suspects at once are one event. Nobody accused, nothing to compare."""
        if all(verdict.kind is not VerdictKind.HUNG for verdict in judged.values()):
            return judged
        live = {
            id: judged.get(id) or self.seen[id].verdict for id, life in lives.items() if life.pid and id in self.seen
        }
        calmed = correlate({id: verdict for id, verdict in live.items() if verdict is not None}, now)
        return {id: calmed.get(id, verdict) for id, verdict in judged.items()}

    def _look(self, seen: Seen, life: Life, pid: int, now: float, suspect: bool) -> None:
        sampled = None
        if suspect or now - seen.kernel_at >= KERNEL_EVERY_S:
            sampled, seen.kernel_at = kernel.sample(pid), now
        seen.actors = seen.reader.read(life.incarnation)
        # Inside a node that supervises its own an actor may be down, or start, while the node is well: its business.
        turning = [actor for actor in seen.actors if actor.started_ns and (actor.ready_ns or not actor.life)]
        actors = tuple(_sample(actor) for actor in turning)
        self._fold(seen, Look(at=now, incarnation=life.incarnation, kernel=sampled, actors=actors))
        at, handled, out, cpu_s = seen.counted
        if sampled is not None and now - at >= KERNEL_EVERY_S:
            total_in, total_out = sum(a.handled for a in seen.actors), sum(a.out for a in seen.actors)
            if total_in >= handled and sampled.cpu_s >= cpu_s and at:
                seen.rates = ((total_in - handled) / (now - at), (total_out - out) / (now - at))
                seen.cpu_ratio = (sampled.cpu_s - cpu_s) / (now - at)
            seen.counted = (now, total_in, total_out, sampled.cpu_s)

    def _fold(self, seen: Seen, look: Look) -> None:
        seen.history = seen.history.add(look)
        if self.recorder is not None:
            self.recorder.write(record.Looked(name=seen.spec.id, look=look))

    def _evidence(self, view: ChildView, seen: Seen, life: Life | None) -> Evidence:
        last = view.last_exit
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
            observer=self.observer,
            last_exit=last,
            crash_loop=self.parked.get(view.id) is Cause.CRASH_LOOP,
            next_retry_at=view.next_retry_at,
            hang_after_s=seen.spec.hang_after_s,
            start_timeout_s=seen.spec.start_timeout_s,
        )


class _Ring:
    """Names of a dictionary in turn, a few at a time; those that come and go are no trouble."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names
        self._left: deque[str] = deque()  # of this round

    def next(self, most: int) -> list[str]:
        """The next few, fewer at the end of a round."""
        if not self._left:
            self._left.extend(self._names)
        found: list[str] = []
        while self._left and len(found) < most:
            id = self._left.popleft()
            if id in self._names:
                found.append(id)
        return found


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
    )


def _asleep_s() -> float:
    """How long this machine has been suspended since it booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


__all__ = ["TICK_S", "Seen", "Watch"]
