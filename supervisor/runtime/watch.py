"""The eye of the root: looks at every child, asks the judge, and says what to do. It touches nobody itself.

Ten times a second it reads the dials of all nodes (a microsecond each), once a second also the kernel's numbers (those
of suspects every time), folds them into each child's history, and has everybody judged. Its own lateness is part of
the evidence: a root that was late saw nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from supervisor.events import Cause
from supervisor.moves import ChildView
from supervisor.runtime import proc, vitals
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
from supervisor.verdict.timing import TICK_S
from supervisor.words import ExitKind, State, VerdictKind

KERNEL_EVERY_S = 1.0
JUDGE_EVERY_S = 0.5
CALM = frozenset({VerdictKind.HEALTHY, VerdictKind.STOPPED})
_NS = 1e-9


class Seen(msgspec.Struct, kw_only=True):
    """What is remembered of one child between looks."""

    spec: ChildSpec
    reader: vitals.Reader
    history: History = History()
    actors: list[vitals.ActorVitals] = []
    kernel_at: float = 0.0
    judged_at: float = 0.0
    judged_state: tuple[State, int] = (State.STOPPED, 0)
    verdict: Verdict | None = None
    checks: dict[tuple[str, str], CheckResult] = {}
    rates: tuple[float, float] = (0.0, 0.0)  # handled and sent per second
    cpu_ratio: float = 0.0
    counted: tuple[float, int, int, float] = (0.0, 0, 0, 0.0)  # at, handled, out, cpu_s


class Watch:
    """`tick` once per `TICK_S`; `verdicts` is what is believed now."""

    def __init__(self, home: Path, children: Mapping[str, ChildSpec]) -> None:
        self.observer = Observer()
        self.seen = {
            id: Seen(spec=spec, reader=vitals.Reader(home / "vitals" / vitals.file_name(id)))
            for id, spec in children.items()
        }
        self.parked: dict[str, Cause] = {}  # why a child was last quarantined, as the tree said
        self._asleep = _asleep_s()

    def tick(
        self, due: float, now: float, views: tuple[ChildView, ...], lives: Mapping[str, Life]
    ) -> list[tuple[Verdict, Verdict | None]]:
        """Look and judge. Returns (verdict, the one before) of every child that was judged in this tick."""
        asleep = _asleep_s()
        self.observer = self.observer.tick(due, now, asleep_s=max(0.0, asleep - self._asleep))
        self._asleep = asleep
        judged: dict[str, Verdict] = {}
        before: dict[str, Verdict | None] = {}
        workers = [view for view in views if view.id in self.seen]
        for view in workers:
            seen = self.seen[view.id]
            life = lives.get(view.id)
            suspect = seen.verdict is None or seen.verdict.kind not in CALM
            if life is not None and life.pid is not None:
                self._look(seen, life, life.pid, now, suspect)
            elif seen.actors:
                seen.actors, seen.rates, seen.cpu_ratio = [], (0.0, 0.0), 0.0
            place = (view.state, view.incarnation)
            if suspect or place != seen.judged_state or now - seen.judged_at >= JUDGE_EVERY_S:
                before[view.id] = seen.verdict
                judged[view.id] = judge(self._evidence(view, seen, life), now, seen.verdict)
                seen.judged_at, seen.judged_state = now, place
        live = {view.id: judged.get(view.id) or self.seen[view.id].verdict for view in workers if view.pid is not None}
        calmed = correlate({id: verdict for id, verdict in live.items() if verdict is not None}, now)
        result = []
        for id, verdict in judged.items():
            final = calmed.get(id, verdict)
            self.seen[id].verdict = final
            result.append((final, before[id]))
        return result

    def heard(self, answer: CheckResult) -> None:
        """An answer to a declared check."""
        seen = self.seen.get(answer.child)
        if seen is not None:
            seen.checks[(answer.kind, answer.target)] = answer

    def restarted(self, id: str) -> None:
        """A new incarnation: old answers say nothing about it."""
        if id in self.seen:
            self.seen[id].checks = {}

    def worked(self, id: str, incarnation: int) -> bool:
        """Whether an actor of this incarnation marked progress after it was ready. The page outlives its writer."""
        seen = self.seen.get(id)
        if seen is None:
            return False
        return any(0 < actor.ready_ns < actor.last_progress_ns for actor in seen.reader.read(incarnation))

    def _look(self, seen: Seen, life: Life, pid: int, now: float, suspect: bool) -> None:
        kernel = None
        if suspect or now - seen.kernel_at >= KERNEL_EVERY_S:
            kernel, seen.kernel_at = proc.sample(pid), now
        seen.actors = seen.reader.read(life.incarnation)
        actors = tuple(_sample(actor) for actor in seen.actors)
        seen.history = seen.history.add(Look(at=now, incarnation=life.incarnation, kernel=kernel, actors=actors))
        at, handled, out, cpu_s = seen.counted
        if kernel is not None and now - at >= KERNEL_EVERY_S:
            total_in, total_out = sum(a.handled for a in seen.actors), sum(a.out for a in seen.actors)
            if total_in >= handled and kernel.cpu_s >= cpu_s and at:
                seen.rates = ((total_in - handled) / (now - at), (total_out - out) / (now - at))
                seen.cpu_ratio = (kernel.cpu_s - cpu_s) / (now - at)
            seen.counted = (now, total_in, total_out, kernel.cpu_s)

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
