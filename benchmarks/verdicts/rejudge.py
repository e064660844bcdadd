"""Recorded evidence judged again by the real judge, as it would have been seen on a worse day. Pure but for the reader.

The picture: the film of a match shown to the same referee through rain. The film (supervisor/evidence/record.py) stays
what it is; per seed some ticks of the observer come late and nothing is seen meanwhile, some looks are lost, some pongs
are lost. Nobody acts in a replay, so a conviction counts where it is *advised*: a false one is of a bystander, or of
the unit of a scenario in which no restart is right. Seed 0 changes nothing and must give what was recorded.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

import msgspec

from benchmarks.verdicts.scenario import Deed, Scenario
from benchmarks.verdicts.score import SPARED, Rate, rate
from benchmarks.verdicts.story import Marks, Outcome, final_of, outcome, timeline
from supervisor.evidence.record import Anything, Began, Judged, Looked, Tick, read, rebuild
from supervisor.verdict import Evidence, Verdict, correlate, judge, suspicious
from supervisor.verdict.correlation import CANARY, COSTLY
from supervisor.verdict.correlation import Trial as TriedOut

CURABLE = frozenset({Deed.ACTOR, Deed.RESTART, Deed.SUBTREE})
LOOKS_LOST, PONGS_LOST = 0.05, 0.05
STALL_EVERY_S, STALL_MEAN_S, STALL_MOST_S = 20.0, 0.4, 4.0  # unscaled; most stalls are shorter than what voids a tick


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One recording judged with one seed. `convicted`: who would have lost a life without need, and for what."""

    id: str
    seed: int
    final: str
    right: bool
    judged: int
    convicted: tuple[str, ...] = ()


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """All trials. `same`: recordings that seed 0 judged as they were judged when recorded."""

    trials: int
    false: Rate
    false_spared: Rate
    right: Rate
    same: Rate
    examples: tuple[str, ...] = ()


def shake(frames: Iterable[Anything], seed: int) -> Iterator[Anything]:
    """The frames as a worse observer would have written them."""
    if seed == 0:
        yield from frames
        return
    rng, scale, blind_until, next_stall, due = Random(seed), 1.0, 0.0, 0.0, None
    pongs: dict[str, float | None] = {}
    lost: dict[tuple[str, float], bool] = {}
    for frame in frames:
        match frame:
            case Began():
                scale = frame.time_scale
                next_stall = frame.at + rng.expovariate(1 / STALL_EVERY_S) * scale
                yield frame
            case Tick():
                if frame.now >= next_stall:
                    stall_s = min(rng.expovariate(1 / STALL_MEAN_S), STALL_MOST_S) * scale
                    blind_until, due = frame.now + stall_s, frame.due if due is None else due
                    next_stall = blind_until + rng.expovariate(1 / STALL_EVERY_S) * scale
                if frame.now >= blind_until:
                    yield frame if due is None else msgspec.structs.replace(frame, due=min(due, frame.due))
                    due = None
            case Looked():
                if frame.look.at >= blind_until and rng.random() >= LOOKS_LOST:
                    yield frame
            case Judged():
                if frame.at >= blind_until:
                    yield _without_pongs(frame, rng, pongs, lost)
            case _:
                yield frame


def _without_pongs(
    frame: Judged, rng: Random, pongs: dict[str, float | None], lost: dict[tuple[str, float], bool]
) -> Judged:
    """The same with a pong that never came: the one before is the last, and its ping still waits."""
    ping, name = frame.evidence.ping, frame.evidence.name
    if ping.answered_at is None:
        return frame
    key = (name, ping.answered_at)
    if key not in lost:
        lost[key] = rng.random() < PONGS_LOST and pongs.get(name) is not None
    if not lost[key]:
        pongs[name] = ping.answered_at
        return frame
    waiting = min(ping.answered_at, ping.waiting_since or ping.answered_at)
    fewer = msgspec.structs.replace(ping, answered_at=pongs[name], waiting_since=waiting)
    return msgspec.structs.replace(frame, evidence=msgspec.structs.replace(frame.evidence, ping=fewer))


def judged_again(frames: Iterable[Anything]) -> Iterator[Judged]:
    """What the judge says to these frames, tick by tick as the root asks it: singly, then with the eye on all. An end
    between two ticks is judged by itself, as it was then."""
    before: dict[str, Verdict] = {}
    alive: dict[str, bool] = {}
    told: dict[str, tuple[Evidence, Verdict]] = {}
    tick, at, tried = 0, 0.0, None
    for moment in rebuild(frames):
        if (moment.tick, moment.at) != (tick, at):
            judged, tried = _together(told, before, alive, at, tried)
            yield from judged
            told, tick, at = {}, moment.tick, moment.at
        evidence = moment.evidence
        alive[evidence.name] = evidence.pid is not None
        told[evidence.name] = evidence, judge(evidence, moment.at, before.get(evidence.name))
    yield from _together(told, before, alive, at, tried)[0]


def _together(
    told: Mapping[str, tuple[Evidence, Verdict]],
    before: dict[str, Verdict],
    alive: Mapping[str, bool],
    at: float,
    tried: TriedOut | None,
) -> tuple[list[Judged], TriedOut | None]:
    """One tick, and who was tried out last (supervisor/runtime/watch.py, `_calmed`)."""
    seen = {name: evidence for name, (evidence, _) in told.items()}
    judged = {name: verdict for name, (_, verdict) in told.items()}
    if any(map(suspicious, judged.values())):
        live = {name: verdict for name, verdict in {**before, **judged}.items() if alive.get(name)}
        calmed = correlate(live, at, next(iter(seen.values())).timing, seen, tried)
        for name in judged:
            if name in calmed and calmed[name].rule == CANARY and calmed[name].action in COSTLY:
                tried = TriedOut(name, at)
        judged = {name: calmed.get(name, verdict) for name, verdict in judged.items()}
    before.update(judged)
    return [Judged(at=at, evidence=evidence, verdict=judged[name]) for name, evidence in seen.items()], tried


def trial(scenario: Scenario, marks: Marks, frames: Sequence[Anything], seed: int) -> Trial:
    """One recording, one seed."""
    unit, node = scenario.truth.unit, marks.node or scenario.truth.unit
    again = list(judged_again(shake(frames, seed)))
    others = [frame for frame in frames if not isinstance(frame, Judged | Looked | Tick)]
    last = final_of(timeline(_merged(again, others), unit, node, marks.began_at, _until(marks)), marks.scale)
    curable = bool(CURABLE & set(scenario.actions))
    convicted = {
        f"{frame.verdict.name}: {frame.verdict.kind} ({frame.verdict.cause})": None
        for frame in again
        if frame.verdict.action in COSTLY
        and frame.evidence.pid is not None  # to start one that is down takes no life
        and marks.began_at <= frame.at <= marks.ended_at
        and not (curable and frame.verdict.name in (unit, node))
    }
    final = str(last.kind) if last is not None else ""
    return Trial(
        id=scenario.id,
        seed=seed,
        final=final,
        right=final in scenario.truth.kinds,
        judged=len(again),
        convicted=tuple(convicted),
    )


def _until(marks: Marks) -> float:
    return marks.over_at or marks.ended_at


def _merged(judged: Sequence[Judged], others: Sequence[Anything]) -> list[Anything]:
    def at(frame: Anything) -> float:
        record = getattr(frame, "record", None)
        return float(record.at if record is not None else getattr(frame, "at", 0.0))

    return sorted((*judged, *others), key=at)


def recordings(
    folder: Path, scenarios: Iterable[Scenario], only: Container[str] | None = None
) -> Iterator[tuple[Scenario, Marks, list[Anything]]]:
    """Everything kept in a folder (`qt bench verdicts --keep`) of these scenarios; `only`: of these runs, by name."""
    known = {scenario.id: scenario for scenario in scenarios}
    for path in sorted(folder.glob("*.marks.json")):
        run = path.name.removesuffix(".marks.json")
        scenario = known.get(run.partition("-")[0])
        if scenario is not None and (only is None or run in only):
            marks = msgspec.json.decode(path.read_bytes(), type=Marks)
            yield scenario, marks, list(read(path.with_name(f"{run}.evidence")))


def outcomes(folder: Path, scenarios: Iterable[Scenario], load: str) -> Iterator[Outcome]:
    """The sheet of every run that was kept under this load, also of a bench that was ended before its end."""
    known = {scenario.id: scenario for scenario in scenarios}
    for path in sorted(folder.glob(f"*-{load}-*.marks.json")):
        run = path.name.removesuffix(".marks.json")
        for scenario, marks, frames in recordings(folder, known.values(), {run}):
            units = len(frames[0].children) if frames and isinstance(frames[0], Began) else 0
            yield outcome(scenario, marks, frames, units, int(run.rpartition("-")[2]), load)


def again(found: Iterable[tuple[Scenario, Marks, list[Anything]]], seeds: int) -> Again:
    """Every recording with seeds 0 to `seeds`."""
    trials: list[Trial] = []
    same: list[bool] = []
    for scenario, marks, frames in found:
        told = [trial(scenario, marks, frames, seed) for seed in range(seeds + 1)]
        recorded = final_of(
            timeline(frames, scenario.truth.unit, marks.node, marks.began_at, _until(marks)), marks.scale
        )
        same.append(told[0].final == (str(recorded.kind) if recorded else ""))
        trials += told[1:]
    spared = [one for one in trials if one.id[0] in SPARED]
    return Again(
        trials=len(trials),
        false=rate(bool(one.convicted) for one in trials),
        false_spared=rate(bool(one.convicted) for one in spared),
        right=rate(one.right for one in trials),
        same=rate(same),
        examples=tuple(f"{one.id} seed {one.seed}: {'; '.join(one.convicted)}" for one in trials if one.convicted)[:20],
    )


def lines(told: Again) -> Iterable[str]:
    """For a terminal."""
    yield f"judged again: {told.trials} trials with late ticks, lost looks and lost pongs"
    for name, one in (
        ("advised to end a life without need", told.false),
        ("the same in F, H, I, N", told.false_spared),
        ("final verdict right", told.right),
        ("unshaken as recorded", told.same),
    ):
        bound = f", under {one.bound:.2%} (3/n)" if one.bound is not None and one is not told.right else ""
        yield f"  {name}: {one.count} of {one.n}{bound}"
    yield from (f"  {example}" for example in told.examples)
