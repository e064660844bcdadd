"""Five other judges over the same recordings: phi, a Kubernetes probe, a systemd watchdog, circus, supervisord. Pure.

The picture: five referees of other leagues who are shown the same film. Each sees only what it would have had: phi a
heartbeat of the process, the prober a GET, the watchdog the turns of the main loop, the last two exits. Where our root
has cured a fault the film is stopped there and its last picture stands until the end: for the others it would go on.

Constants are those of the sources: akka `PhiAccrualFailureDetector` (threshold 8, minimal deviation 100 ms, acceptable
pause 3 s, first estimate 1 s, 200 samples, beat 1 s); Kubernetes probe defaults (10 s, 1 s, 3 failures) with restarts
by exit; systemd `WatchdogSec=10`, `Restart=on-failure`, 5 starts in 10 s; supervisord (`startretries=3` within
`startsecs=1`, exit code 0 expected); circus (`respawn`, its flapping plugin slows what it does not end: measured, see
anchors.py). They are rules only: timers that are late or races of the originals are not here.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from benchmarks.verdicts.rejudge import CURABLE
from benchmarks.verdicts.scenario import Deed, Scenario
from benchmarks.verdicts.score import SPARED, Rate, Score, by_group, rate
from benchmarks.verdicts.story import OURS, Marks
from supervisor.events import SupervisionKind
from supervisor.evidence.record import Acted, Anything, Exited, Happened, Judged, Looked, Tick
from supervisor.verdict import Action
from supervisor.words import ExitKind

THRESHOLD, MIN_DEVIATION_S, PAUSE_S, FIRST_S, SAMPLES = 8.0, 0.1, 3.0, 1.0, 200
BEAT_S = 1.0
STILL_S = 1.0  # a loop turns twice a second: what stood for less did not stand still
PROBE_EVERY_S, PROBE_TIMEOUT_S, STRIKES = 10.0, 1.0, 3
WATCHDOG_S, START_LIMIT, START_INTERVAL_S = 10.0, 5, 10.0
START_SECS, START_RETRIES = 1.0, 3


def phi(silence_s: float, mean_s: float, deviation_s: float) -> float:
    """Akka's phi: -log10 of the chance that the next beat comes later than this, by its logistic approximation of the
    normal distribution (`PhiAccrualFailureDetector.phi`)."""
    y = (silence_s - mean_s) / deviation_s
    e = math.exp(min(700.0, max(-700.0, -y * (1.5976 + 0.070566 * y * y))))
    if silence_s > mean_s:
        chance = e / (1.0 + e)
        return -math.log10(chance) if chance > 0 else math.inf
    return -math.log10(1.0 - 1.0 / (1.0 + e))


class Accrual:
    """One peer: the gaps between its beats. A peer that was never heard is treated as well, as akka does."""

    def __init__(self) -> None:
        self._gaps: deque[float] = deque([FIRST_S - FIRST_S / 4, FIRST_S + FIRST_S / 4], maxlen=SAMPLES)
        self._last: float | None = None

    def beat(self, at: float) -> None:
        """A heartbeat; one that comes after a suspicion teaches nothing (akka drops that gap)."""
        if self._last is not None and at > self._last and self.phi(at) < THRESHOLD:
            self._gaps.append(at - self._last)
        self._last = at if self._last is None else max(at, self._last)

    def phi(self, now: float) -> float:
        if self._last is None:
            return 0.0
        deviation = max(statistics.pstdev(self._gaps), MIN_DEVIATION_S)
        return phi(now - self._last, statistics.fmean(self._gaps) + PAUSE_S, deviation)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the others could have seen of one process; unscaled seconds after the fault began (negative: before)."""

    ticks: tuple[float, ...] = ()  # of the observer
    beats: tuple[float, ...] = ()  # heartbeats of the process (rung R1); between two known ones nobody misses any
    still: tuple[tuple[float, float], ...] = ()  # its loop did not turn
    mute: tuple[tuple[float, float], ...] = ()  # it answered no ping
    unready: tuple[tuple[float, float], ...] = ()  # it runs and has not said ready
    checks: tuple[tuple[float, bool], ...] = ()  # answers to its declared check
    exits: tuple[tuple[float, float, bool], ...] = ()  # (at, lived, failed)
    looped: bool = False  # it would go on dying so: our root has parked it
    ends: float = 0.0


class Deeds(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge did: restarts of a live process, restarts after an exit, or that it gave up."""

    killed_at: tuple[float, ...] = ()
    restarted: int = 0
    gave_up: bool = False

    @property
    def deed(self) -> Deed:
        if self.gave_up:
            return Deed.PARK
        return Deed.RESTART if self.killed_at or self.restarted else Deed.NOTHING


def seen(frames: Sequence[Anything], name: str, marks: Marks) -> Seen:
    """The film of one process, stopped where our root took its life."""

    def at(moment: float) -> float:
        return (moment - marks.began_at) / marks.scale

    ends = at(marks.ended_at)
    cut = min((when for when in _cures(frames, name) if when >= marks.began_at), default=math.inf)
    exits = []
    started, ready_for, looped = 0.0, 0, False
    unready: list[tuple[float, float]] = []
    for frame in frames:
        match frame:
            case Happened(record=r) if r.id == name and r.kind is SupervisionKind.STARTED:
                started, ready_for = r.at, r.incarnation
            case Happened(record=r) if r.id == name and r.kind is SupervisionKind.READY and started:
                unready.append((at(started), at(r.at)))
                ready_for = 0
            case Happened(record=r) if r.id == name and r.kind is SupervisionKind.QUARANTINED:
                looped = True
            case Exited(at=when, reason=reason) if frame.name == name and reason.kind not in OURS:
                exits.append((at(when), (when - started) / marks.scale, reason.kind is not ExitKind.NORMAL))
            case _:
                pass
    if ready_for and not exits:
        unready.append((at(started), ends))
    checks: dict[float, bool] = {}
    known: list[float] = []
    asked: list[tuple[float, float]] = []  # (when judged, since when a ping waits)
    loops: list[tuple[float, tuple[int, int]]] = []
    for frame in frames:
        if isinstance(frame, Judged) and frame.evidence.name == name and frame.at <= cut:
            checks.update({at(one.at): one.ok for one in frame.evidence.checks})
            ping = frame.evidence.ping
            known += [at(ping.answered_at)] if ping.answered_at is not None else []
            asked += [(at(frame.at), at(ping.waiting_since))] if ping.waiting_since is not None else []
        elif isinstance(frame, Looked) and frame.name == name and frame.look.at <= cut and frame.look.actors:
            loops.append((at(frame.look.at), (frame.look.incarnation, frame.look.actors[0].loops)))
    frozen = ends if cut < math.inf else None  # what stood still when the film stopped stands still for good
    mute = _mute(sorted(set(known)), asked, frozen)
    silent_from = min((when for when, _, _ in exits), default=ends)
    if any(other == name and verb == "stop" for _, verb, other in marks.ordered):
        silent_from = min(silent_from, at(cut))
    return Seen(
        ticks=tuple(at(f.now) for f in frames if isinstance(f, Tick) and f.now <= marks.ended_at),
        beats=tuple(_filled(unready[0][1] if unready else ends, mute, silent_from)),
        still=tuple(_still(loops, frozen)),
        mute=tuple(mute),
        unready=tuple(unready),
        checks=tuple(sorted(checks.items())),
        exits=tuple(exits),
        looped=looped,
        ends=ends,
    )


def _cures(frames: Iterable[Anything], name: str) -> Iterable[float]:
    """When our root took its life or told it to go on."""
    for frame in frames:
        match frame:
            case Exited(at=at, reason=reason) if frame.name == name and reason.kind in OURS:
                yield at
            case Acted(at=at, verdict=verdict) if frame.name == name and verdict.action is Action.CONTINUE:
                yield at
            case _:
                pass


def _mute(
    known: Sequence[float], asked: Sequence[tuple[float, float]], frozen: float | None
) -> list[tuple[float, float]]:
    """Times without an answer: from a ping that waited for over a second to the next answer."""
    found: dict[float, float] = {}
    for judged_at, since in asked:
        if judged_at - since > PROBE_TIMEOUT_S:
            after = min((beat for beat in known if beat > judged_at), default=None)
            found[since] = max(found.get(since, 0.0), after if after is not None else (frozen or judged_at))
    return sorted(found.items())


def _still(loops: Sequence[tuple[float, tuple[int, int]]], frozen: float | None) -> Iterable[tuple[float, float]]:
    """Times between looks in which the loop of one life read the same."""
    begun: float | None = None
    for (at, count), (_, after) in itertools.pairwise(loops):
        if after == count:
            begun = at if begun is None else begun
        elif begun is not None:
            yield begun, at
            begun = None
    if begun is not None and loops:
        last = loops[-1][0]
        yield begun, frozen if frozen is not None and last - begun > STILL_S else last


def _filled(begins: float, mute: Sequence[tuple[float, float]], ends: float) -> Iterable[float]:
    """A beat a second from the first ready on, but for the times when nobody answered, and none after the first end:
    this judge knows silence only."""
    beat = begins
    while beat < ends:
        if not any(begun < beat < over for begun, over in mute):
            yield beat
        beat += BEAT_S


def by_phi(film: Seen) -> Deeds:
    """Restart on suspicion; an end is seen as silence only. It judges before it reads what has come meanwhile."""
    detector, beats, heard = Accrual(), deque(film.beats), 0.0
    for tick in film.ticks:
        if tick > 0 and detector.phi(tick) >= THRESHOLD:
            return Deeds(killed_at=(tick,))
        while beats and beats[0] <= tick:
            heard = beats.popleft()
            detector.beat(heard)
    quiet = film.ends > 0 and detector.phi(film.ends) >= THRESHOLD
    return Deeds(killed_at=(film.ends,) if quiet else ())


def by_probe(film: Seen) -> Deeds:
    """Three failed probes in a row; an exit at once, with a backoff and for ever."""
    strikes, killed = 0, []
    for number in range(max(0, int(film.ends / PROBE_EVERY_S) + 1)):
        at = number * PROBE_EVERY_S + PROBE_EVERY_S / 2
        answers = [ok for when, ok in film.checks if at - 3 * PROBE_EVERY_S <= when <= at]
        silent = _within(at, film.mute, PROBE_TIMEOUT_S) or _within(at, film.unready, 0.0)
        bad = not answers[-1] if answers else silent
        strikes = strikes + 1 if bad and at <= film.ends else 0
        if strikes >= STRIKES:
            killed.append(at)
            strikes = 0
    return Deeds(killed_at=tuple(killed), restarted=len(film.exits))


def by_watchdog(film: Seen) -> Deeds:
    """No turn of the main loop for ten seconds; restart on failure; five starts in ten seconds are enough."""
    killed = tuple(begun + WATCHDOG_S for begun, over in film.still if over - begun >= WATCHDOG_S and over > 0)
    failed = [lived for _, lived, bad in film.exits if bad]
    quick = film.looped and bool(failed) and max(failed) < START_INTERVAL_S / START_LIMIT
    return Deeds(killed_at=killed, restarted=len(failed), gave_up=quick)


def by_exits(film: Seen) -> Deeds:
    """Restart what failed; exit 0 is expected; dead within a second four times in a row is FATAL."""
    counted = [lived for _, lived, bad in film.exits if bad or lived < START_SECS]
    quick = film.looped and bool(counted) and max(counted) < START_SECS
    return Deeds(restarted=len(counted), gave_up=quick)


def by_circus(film: Seen) -> Deeds:
    """Every end is followed by a start, exit 0 too, without an end."""
    return Deeds(restarted=len(film.exits))


def _within(at: float, times: Iterable[tuple[float, float]], after_s: float) -> bool:
    return any(begun + after_s <= at <= over for begun, over in times)


JUDGES: dict[str, Callable[[Seen], Deeds]] = {
    "phi accrual (akka)": by_phi,
    "liveness probe (k8s)": by_probe,
    "watchdog (systemd)": by_watchdog,
    "exits only (circus)": by_circus,
    "exits only (supervisord)": by_exits,
}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One judge over all recordings. `right`: it did what is right; `false`: it ended a life without need."""

    right: Rate
    false: Rate
    false_spared: Rate
    wrong: tuple[str, ...] = ()
    groups: dict[str, Rate] = {}  # right, by the first letter of the fault


def columns(found: Iterable[tuple[Scenario, Marks, Sequence[Anything]]]) -> dict[str, Column]:
    """Every judge over the same recordings."""
    rows: dict[str, list[tuple[str, bool, bool]]] = {name: [] for name in JUDGES}
    for scenario, marks, frames in found:
        own = seen(frames, marks.node or scenario.truth.unit, marks)
        crowd = [seen(frames, name, marks) for name in scenario.healthy]
        curable = bool(CURABLE & set(scenario.actions))
        for name, judge in JUDGES.items():
            did = judge(own)
            beside = any(judge(film).killed_at for film in crowd)
            false = beside or (bool(did.killed_at) and not curable)
            fits = did.deed in scenario.actions or (did.deed is Deed.RESTART and Deed.ACTOR in scenario.actions)
            rows[name].append((scenario.id, fits and not false, false))
    return {
        name: Column(
            right=rate(fits for _, fits, _ in told),
            false=rate(false for _, _, false in told),
            false_spared=rate(false for id, _, false in told if id[0] in SPARED),
            wrong=tuple(dict.fromkeys(id for id, fits, _ in told if not fits)),
            groups=by_group((id, fits) for id, fits, _ in told),
        )
        for name, told in rows.items()
    }


def lines(told: dict[str, Column], ours: Score) -> Iterable[str]:
    """For a terminal: what each did about the same faults, ours first."""
    yield f"{'who judged':<28} {'right deed':>12} {'false restarts':>16} {'in F, H, I, N':>14}"
    share = f"{ours.deeds_right:.0%}" if ours.deeds_right is not None else "-"
    spared, false = ours.false_restarts_spared, ours.false_restarts
    yield f"{'this supervisor':<28} {share:>12} {f'{false.count}/{false.n}':>16} {f'{spared.count}/{spared.n}':>14}"
    for name, one in told.items():
        right = f"{one.right.count / one.right.n:.0%}" if one.right.n else "-"
        false, spared = one.false, one.false_spared
        yield f"{name:<28} {right:>12} {f'{false.count}/{false.n}':>16} {f'{spared.count}/{spared.n}':>14}"
