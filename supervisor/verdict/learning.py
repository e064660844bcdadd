"""What is normal for this one child: limits that grow with its own rhythm, and learn nothing from its faults.

The picture: a nurse who knows her patient. One who always breathes slowly is not ill; but what she saw while he was
unconscious, or while she was asleep herself, she does not take for his way of breathing. Limits come from tail
quantiles (gaps are heavy-tailed, a normal fit would lie), only ever grow above their seeds, and end at a clamp.

Every sample waits for one window before it counts: if that window turns out void or HUNG, it is dropped, and so is the
first gap after a recovery (docs/health.md, "Limits that are learned").
"""

from __future__ import annotations

import msgspec

from supervisor.verdict.evidence import Evidence
from supervisor.verdict.finding import Verdict
from supervisor.verdict.timing import Limits, Timing
from supervisor.words import State, VerdictKind

TOP = 32  # longest samples kept
COUNT_MOST = 100_000  # then half of the past is forgotten
ACTORS_MOST = 16
PENDING_MOST = 64
GAPS_LEAST, SERVED_LEAST, STARTS_LEAST = 1000, 100, 3  # samples before a quantile means anything
SUSPECT_TIMES, HANG_TIMES, GIL_TIMES, START_TIMES = 1.5, 20.0, 3.0, 3.0
SUSPECT_MOST_S, HANG_MOST_S, GIL_MOST_S, START_MOST = 30.0, 600.0, 120.0, 10.0  # START_MOST: times the declared budget
_GOOD = frozenset({VerdictKind.HEALTHY, VerdictKind.BUSY, VerdictKind.CHECK_FAULT})
_HOSTS = frozenset({"starved", "memory", "disk-wait"})  # the host's doing: no way of the child


class Tail(msgspec.Struct, frozen=True):
    """The longest of many samples, enough for a high quantile; `count` are all, also the short ones nobody kept."""

    count: int = 0
    top: tuple[float, ...] = ()  # longest first

    def add(self, values: tuple[float, ...], of: int | None = None) -> Tail:
        """These samples; `of`: how many there were in all, where only the long ones were seen."""
        count = self.count + (len(values) if of is None else max(of, len(values)))
        top = tuple(sorted((*self.top, *values), reverse=True)[:TOP])
        return Tail(count // 2, top[1::2]) if count > COUNT_MOST else Tail(count, top)

    def quantile(self, q: float) -> float:
        """A lower bound where the rank is not among the kept ones."""
        rank = int((1.0 - q) * self.count)
        return self.top[rank] if rank < len(self.top) else 0.0


class Mark(msgspec.Struct, frozen=True):
    """Where one actor stood at the last look."""

    name: str
    loops_at: float
    handled: int
    in_hand_since: float | None


class Sample(msgspec.Struct, frozen=True):
    """Seen, and not believed yet."""

    at: float
    gaps: tuple[float, ...] = ()
    served: tuple[float, ...] = ()
    handled: int = 0
    gil_s: float = 0.0


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one child over all its lives; `marks` and `pending` belong to the present one."""

    gaps: Tail = Tail()
    served: Tail = Tail()
    gil_s: float = 0.0  # the longest hold of the interpreter that ended well
    starts: tuple[float, ...] = ()
    incarnation: int = 0
    looked_at: float = 0.0
    starting_since: float | None = None
    marks: tuple[Mark, ...] = ()  # () after a new life, a void window, a recovery: the first gap is not learned
    pending: tuple[Sample, ...] = ()


def learn(learned: Learned, evidence: Evidence, verdict: Verdict, previous: Verdict | None, now: float) -> Learned:
    """One more judgement of this child, folded."""
    known = _started(learned, evidence)
    void = evidence.observer.valid_since > now or evidence.observer.late_s > evidence.timing.late_s
    good = verdict.kind in _GOOD and verdict.cause not in _HOSTS
    if void or not good or evidence.state is not State.READY or evidence.incarnation != learned.incarnation:
        return msgspec.structs.replace(known, incarnation=evidence.incarnation, marks=(), pending=())
    history = evidence.history
    if history.at <= known.looked_at:
        return known
    marks = tuple(
        Mark(trace.sample.name, trace.loops_at, trace.sample.handled, trace.sample.in_hand_since)
        for trace in history.traces[:ACTORS_MOST]
    )
    pending = known.pending
    if known.marks and history.at - known.looked_at <= 2 * evidence.timing.beat_s:  # rarer looks see no gap
        sample = _sample(known, marks, verdict, previous, now)
        if sample.gaps or sample.served or sample.gil_s:
            pending = (*pending[-(PENDING_MOST - 1) :], sample)
    window_s = evidence.hang_after_s * evidence.timing.scale * evidence.observer.factor
    believed = tuple(sample for sample in pending if now - sample.at >= window_s)
    gaps, served, gil_s = known.gaps, known.served, known.gil_s
    for sample in believed:
        gaps = gaps.add(sample.gaps)
        served = served.add(sample.served, sample.handled)
        gil_s = max(gil_s, sample.gil_s)
    return msgspec.structs.replace(
        known,
        gaps=gaps,
        served=served,
        gil_s=gil_s,
        looked_at=history.at,
        marks=marks,
        pending=pending[len(believed) :],
    )


def limits(learned: Learned, timing: Timing, start_timeout_s: float) -> Limits:
    """The limits of this child, 0 where its seed is enough. Already in the time of the house."""
    gap_s = learned.gaps.quantile(0.999) if learned.gaps.count >= GAPS_LEAST else 0.0
    served_s = learned.served.quantile(0.99) if learned.served.count >= SERVED_LEAST else 0.0
    start_s = max(learned.starts) if len(learned.starts) >= STARTS_LEAST else 0.0
    return Limits(
        suspect_s=min(SUSPECT_TIMES * gap_s, SUSPECT_MOST_S * timing.scale),
        hang_s=min(HANG_TIMES * served_s, HANG_MOST_S * timing.scale),
        gil_s=min(GIL_TIMES * learned.gil_s, GIL_MOST_S * timing.scale),
        start_s=min(START_TIMES * start_s, START_MOST * start_timeout_s * timing.scale),
    )


def _started(learned: Learned, evidence: Evidence) -> Learned:
    """Remember how long good starts took: from the first state of a life to ready."""
    if evidence.state in (State.STARTING, State.RUNNING):
        since = learned.starting_since
        if since is None or evidence.incarnation != learned.incarnation:
            since = evidence.state_since
        return msgspec.structs.replace(learned, starting_since=since, incarnation=evidence.incarnation)
    if learned.starting_since is None:
        return learned
    starts = learned.starts
    if evidence.state is State.READY and evidence.state_since >= max(
        learned.starting_since, evidence.observer.valid_since
    ):
        starts = (*starts[-(TOP - 1) :], evidence.state_since - learned.starting_since)
    return msgspec.structs.replace(learned, starting_since=None, starts=starts)


def _sample(known: Learned, marks: tuple[Mark, ...], verdict: Verdict, previous: Verdict | None, now: float) -> Sample:
    before = {mark.name: mark for mark in known.marks}
    both = [(before[mark.name], mark) for mark in marks if mark.name in before]
    gaps = tuple(new.loops_at - old.loops_at for old, new in both if new.loops_at > old.loops_at)
    served = tuple(
        known.looked_at - old.in_hand_since
        for old, new in both
        if old.in_hand_since is not None and new.in_hand_since != old.in_hand_since
    )
    handled = sum(max(0, new.handled - old.handled) for old, new in both)
    held_s = 0.0
    if previous is not None and previous.cause == "gil-held" and verdict.cause != "gil-held":
        held_s = now - previous.cause_since
    return Sample(now, gaps, served, handled, held_s)
