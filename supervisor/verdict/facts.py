"""What follows from evidence by arithmetic alone: how long has nothing moved, who wants the CPU, who answers.

Two rules make every duration honest: what was not looked at did not stand still (durations end at the last look), and
what a blind observer did not see is not evidence (durations start when the observer became valid).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from supervisor.verdict.evidence import CheckResult, Evidence, History, PromiseSample, Trace
from supervisor.verdict.timing import SEEDS, SHARES_LEAST_S, Timing

TICKS_S = 0.025  # CPU time is counted in ticks of 10 ms: less than this may be one tick and its rounding
GIL_WAIT = (140.0, 260.0)  # voluntary switches per second of a thread that waits for the interpreter lock
FRESH_TIMES, FRESH_MOST_S = 10.0, 3600.0
RHYTHMS = 3.0  # times its own median gap: no silence yet
DEEP_OLD_S = 3.0
DEEP_MOST_S = 20.0  # two deep looks further apart tell no rate


FLAKY = 3  # times among its last hundred answers that a check began to say no: no outage, a habit
FAULTS = 200_000  # page faults per second of CPU: at half a microsecond each, a tenth of its time and more
STARVED_CPU = 0.1  # share of a core: whoever is runnable and got less waits for it


class ActorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One actor, in seconds."""

    name: str
    still_s: float  # its loop has not turned
    flat_s: float  # it has finished no message and marked no progress
    in_hand_s: float | None  # age of the message in hand
    queued: int
    queue_age_s: float  # age of the oldest waiting message, 0 without one
    handled: int
    turned: bool  # its loop was seen to turn since the observer is valid
    works: bool  # it was seen to finish something, or marked progress, within `FRESH_S`
    repeats: int  # times in a row that it was given the very same message
    in_hand: str  # which that is
    lease_s: float  # declared long work is allowed for so long yet
    lease_why: str
    cpu_spent_s: float  # CPU its process used since the loop last turned

    @property
    def waits(self) -> bool:
        """There is work to do."""
        return self.queued > 0 or self.in_hand_s is not None

    @property
    def owes_s(self) -> float:
        """How long work has waited *and* nothing was finished; an idle hour before the message is no debt."""
        return min(self.flat_s, max(self.in_hand_s or 0.0, self.queue_age_s)) if self.waits else 0.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One child. None means unknown."""

    now: float
    timing: Timing = SEEDS
    hang_s: float
    suspect_s: float
    gil_s: float
    look_age_s: float | None  # None: no look at this incarnation
    watched_s: float  # how long this incarnation has been watched by a valid observer
    kernel_state: str
    runnable: int  # threads that run or want to
    kernel_state_s: float
    kernel_at: float | None  # when its numbers were last read
    disk_s: float  # some thread has been in state D
    cpu: float | None  # share of one core used within the window
    run_queue: float | None  # share of the window spent waiting for a core (sum over threads)
    faults: float | None  # page faults per second of CPU that it used
    gil_wait: bool | None  # threads wait for the interpreter lock, by their switch rate; None: not looked at
    cpu_floor: float  # a share that a single clock tick of the kernel makes
    traced: bool
    wchan: str  # where in the kernel its threads sleep, "" if hidden
    echo_silent_s: float | None  # R0: age of the oldest unanswered one; None: never asked
    growing: bool  # more messages wait than at the beginning of the window
    pong_silent_s: float | None  # age of the oldest unanswered ping; 0: all answered; None: never pinged
    pong_age_s: float | None
    actors: tuple[ActorFacts, ...]
    handled: int  # messages finished within `handled_s`
    handled_s: float
    failing: tuple[CheckResult, ...]  # checks that count
    flaky: tuple[CheckResult, ...]  # those that fail now and then, and never for long
    passing: tuple[CheckResult, ...]
    broken: tuple[PromiseSample, ...]
    kept: tuple[PromiseSample, ...]

    @property
    def starved(self) -> bool:
        """It wanted the CPU and did not get it: nearly all its time went into the run queue, or it stands there now and
        has hardly run. The kernel counts a wait only when it is over, so who gets nothing at all shows none."""
        if self.cpu is None:
            return False
        if self.runnable and self.cpu < STARVED_CPU:
            return True
        return self.run_queue is not None and self.run_queue >= self.timing.run_queue and self.run_queue > 2 * self.cpu

    @property
    def spins(self) -> bool:
        """It wants a good part of a core, whether it gets it or not."""
        return self.cpu is not None and self.cpu + (self.run_queue or 0.0) >= self.timing.cpu_spin

    @property
    def churns(self) -> bool:
        """A good part of the CPU it uses goes into page faults: it fills and drops memory instead of working."""
        return self.faults is not None and self.faults >= FAULTS and (self.cpu or 0.0) >= STARVED_CPU

    @property
    def rests(self) -> bool:
        """It neither runs nor wants to."""
        return (
            self.cpu is not None
            and self.cpu < max(self.timing.cpu_idle, self.cpu_floor)
            and (self.run_queue or 0.0) < 0.1
        )

    @property
    def answers(self) -> bool:
        """Rung R1: the main thread answered a ping lately."""
        return (
            self.pong_age_s is not None
            and self.pong_age_s < max(self.hang_s, self.suspect_s)
            and (self.pong_silent_s or 0.0) < self.suspect_s
        )

    def mute(self, still_s: float) -> bool:
        """Rung R1: a ping waits, and no pong came since the loops stand still. Pings are rarer than looks, so at the
        moment of judgement no ping may have waited for the whole window yet."""
        waits = self.pong_silent_s is not None and self.pong_silent_s > 0
        return waits and (self.pong_age_s is None or self.pong_age_s >= still_s - self.timing.beat_s)

    def silent(self, limit_s: float) -> bool:
        """Rung R1: a ping has gone unanswered for `limit_s`."""
        return self.pong_silent_s is not None and self.pong_silent_s >= limit_s


def derive(evidence: Evidence, now: float) -> Facts:
    """All durations and shares of one child; limits already carry the observer's local-health factor."""
    observer, timing = evidence.observer, evidence.timing
    history = evidence.history
    if history.incarnation != evidence.incarnation:  # a look at somebody who is no more
        history = History(incarnation=evidence.incarnation)
    seen = history.at if history.at > 0 else None
    end = min(history.at, now)
    start = observer.valid_since
    learned, factor = evidence.limits, observer.factor
    hang_s = max(max(evidence.hang_after_s, 0.0) * timing.scale, learned.hang_s) * factor

    def lasted(since: float | None) -> float:
        return 0.0 if since is None else max(0.0, end - max(since, start))

    cpu_s = history.kernel.cpu_s if history.kernel is not None else 0.0
    kernel_fresh = history.kernel is not None and end - history.kernel_at <= timing.suspect_s
    disk_since = history.kernel_at if history.disk_since is None else history.disk_since
    first = history.traces[0].first_at if history.traces else (history.points[0].at if history.points else end)
    cpu, run_queue, faults = _shares(history, end - max(hang_s, timing.suspect_s), start, timing)
    handled, handled_s = _handled(history, start, timing)
    window = [point for point in history.points if point.at >= max(start, end - timing.fresh_s)]
    waiting_since, answered_at = evidence.ping.waiting_since, evidence.ping.answered_at
    known = waiting_since is not None or answered_at is not None
    failing, passing, flaky = _checks(evidence, now)
    broken, kept = _promises(evidence, now)
    return Facts(
        now=now,
        timing=timing,
        hang_s=hang_s,
        suspect_s=min(max(timing.suspect_s, learned.suspect_s) * factor, hang_s),
        gil_s=max(max(timing.gil_s, learned.gil_s) * factor, hang_s),
        look_age_s=None if seen is None else max(0.0, now - seen),
        watched_s=lasted(first),
        runnable=history.kernel.runnable if history.kernel is not None and kernel_fresh else 0,
        kernel_state=history.kernel.state if history.kernel is not None and kernel_fresh else "",
        kernel_state_s=max(0.0, history.kernel_at - max(history.kernel_state_since, start)),
        kernel_at=None if history.kernel is None else history.kernel_at,
        disk_s=max(0.0, history.kernel_at - max(disk_since, start)) if kernel_fresh else 0.0,
        cpu=cpu,
        run_queue=run_queue,
        faults=faults,
        gil_wait=_gil_wait(history, start),
        cpu_floor=TICKS_S / max(hang_s, timing.suspect_s, timing.shares_s),
        traced=history.kernel is not None and kernel_fresh and history.kernel.traced,
        wchan=history.kernel.wchan if history.kernel is not None and kernel_fresh else "",
        echo_silent_s=None
        if evidence.echo.waiting_since is None and evidence.echo.answered_at is None
        else (0.0 if evidence.echo.waiting_since is None else max(0.0, now - max(evidence.echo.waiting_since, start))),
        growing=len(window) > 1 and window[-1].queued > 1.1 * window[0].queued + 1,
        pong_silent_s=None
        if not known
        else (0.0 if waiting_since is None else max(0.0, now - max(waiting_since, start))),
        pong_age_s=None if answered_at is None else max(0.0, now - answered_at),
        actors=tuple(_actor(trace, lasted, start, end, cpu_s, _fresh_s(evidence)) for trace in history.traces),
        handled=handled,
        handled_s=handled_s,
        failing=failing,
        flaky=flaky,
        passing=passing,
        broken=broken,
        kept=kept,
    )


def _fresh_s(evidence: Evidence) -> float:
    """How long work proves something: ten times the rhythm of its outputs, where that is slower than the seed."""
    rhythms = sorted(promise.rhythm_s for promise in evidence.promises if promise.rhythm_s)
    slow_s = FRESH_TIMES * rhythms[len(rhythms) // 2] if rhythms else 0.0
    return max(evidence.timing.fresh_s, min(slow_s, FRESH_MOST_S * evidence.timing.scale))


def _actor(
    trace: Trace, lasted: Callable[[float | None], float], start: float, end: float, cpu_s: float, fresh_s: float
) -> ActorFacts:
    sample = trace.sample
    finished_at = max(trace.handled_at if trace.handled_at > trace.first_at else 0.0, sample.last_progress or 0.0)
    return ActorFacts(
        name=sample.name,
        still_s=lasted(trace.loops_at),
        flat_s=lasted(max(trace.handled_at, trace.first_at, sample.last_progress or 0.0)),
        in_hand_s=None if sample.in_hand_since is None else lasted(sample.in_hand_since),
        queued=sample.queued,
        queue_age_s=lasted(sample.oldest_queued) if sample.queued > 0 else 0.0,
        handled=sample.handled,
        turned=trace.loops_at > trace.first_at and trace.loops_at >= start,
        works=finished_at > 0 and finished_at >= max(start, end - fresh_s),
        repeats=sample.repeats,
        in_hand=sample.in_hand,
        lease_s=max(0.0, (sample.lease_until or 0.0) - end),
        lease_why=sample.lease_why,
        cpu_spent_s=max(0.0, cpu_s - trace.cpu_at_loop_s),
    )


def _shares(
    history: History, since: float, start: float, timing: Timing
) -> tuple[float | None, float | None, float | None]:
    """CPU and run-queue shares and faults per second of CPU over the window; unknown below `shares_s` of readings."""
    points = [point for point in history.points if point.at >= max(since, start)]
    if (
        len(points) < 2
        or points[-1].at - points[0].at < timing.shares_s
        or history.at - points[-1].at > timing.suspect_s
    ):
        return None, None, None
    first, last = points[0], points[-1]
    span = last.at - first.at
    used_s = max(0.0, last.cpu_s - first.cpu_s)
    return (
        used_s / span,
        max(0.0, last.run_delay_s - first.run_delay_s) / span,
        (last.faults - first.faults) / used_s if used_s > 0 else None,
    )


def _gil_wait(history: History, start: float) -> bool | None:
    """Whether threads wait for the interpreter lock: each of them wakes every 5 ms to ask for it, about 196 times a
    second (measured; docs/health.md). The interpreter's switch interval is no limit of ours, so it is not scaled."""
    if len(history.deep) < 2 or history.deep[0].at < start:
        return None
    first, last = history.deep
    span_s = last.at - first.at
    if history.at - last.at > DEEP_OLD_S or not SHARES_LEAST_S <= span_s <= DEEP_MOST_S:
        return None
    before = {thread.id: thread for thread in first.threads}
    both = [(before[thread.id], thread) for thread in last.threads if thread.id in before]
    if len(both) < 2:
        return None
    return any(GIL_WAIT[0] <= (new.voluntary - old.voluntary) / span_s <= GIL_WAIT[1] for old, new in both)


def _handled(history: History, start: float, timing: Timing) -> tuple[int, float]:
    points = [point for point in history.points if point.at >= max(start, history.at - timing.fresh_s)]
    if len(points) < 2:
        return 0, 0.0
    return max(0, points[-1].handled - points[0].handled), points[-1].at - points[0].at


def _checks(
    evidence: Evidence, now: float
) -> tuple[tuple[CheckResult, ...], tuple[CheckResult, ...], tuple[CheckResult, ...]]:
    """Answers about this incarnation, given in the observer's valid time, not too old. One unexplained failure in a
    row counts for nothing: five in a hundred fail somewhere for no reason. `FLAKY` of them are a habit."""
    since = max(evidence.state_since, evidence.observer.valid_since)
    valid = [
        result
        for result in evidence.checks
        if result.at >= since
        and now - result.at <= evidence.timing.fresh_s + evidence.timing.check_fresh * result.every_s
    ]
    failing = tuple(result for result in valid if not result.ok and (result.explained or result.failures >= 2))
    passing = tuple(result for result in valid if result.ok)
    return failing, passing, tuple(result for result in valid if result.episodes >= FLAKY and result not in failing)


def _promises(evidence: Evidence, now: float) -> tuple[tuple[PromiseSample, ...], tuple[PromiseSample, ...]]:
    """Broken and kept. One whose first term has not passed yet, or for which nothing came in, is neither."""
    since = max(evidence.state_since, evidence.observer.valid_since)
    broken, kept = [], []
    for promise in evidence.promises:
        limit_s = limit_of(promise) * evidence.observer.factor
        frozen = is_frozen(promise, now, since, limit_s)
        if promise.last_at is not None and now - promise.last_at <= limit_s and not frozen:
            kept.append(promise)
            continue
        waited_s = now - max(since, promise.last_at or since, promise.due_since or since)
        if frozen or (promise.due and waited_s > limit_s):
            broken.append(promise)
    return tuple(broken), tuple(kept)


def limit_of(promise: PromiseSample) -> float:
    """As promised, or as its own rhythm shows where that is slower."""
    return max(promise.at_least_every_s, RHYTHMS * (promise.rhythm_s or 0.0))


def is_frozen(promise: PromiseSample, now: float, since: float, limit_s: float) -> bool:
    """It comes, but its content has been the same for longer than two terms."""
    return promise.changed_at is not None and now - max(promise.changed_at, since) > 2 * limit_s
