"""Outcomes to figures: the tables of a report, and whether the gates hold. Pure.

The gates are those of health.md 5.3 as far as one run can show them. A rate of zero in n trials is told with its bound
3/n (95 %, the rule of three); a share of nothing is None, never 1.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.verdicts.scenario import Deed
from benchmarks.verdicts.story import Outcome
from supervisor.words import VerdictKind

SCHEMA = 1
RIGHT_LEAST, DEEDS_LEAST, NAMED_LEAST, UNSURE_MOST = 0.95, 0.97, 0.90, 0.03
SPARED = frozenset("FHIN")  # groups in which nothing is to be restarted
OVERHEAD = "overhead is a bench of its own: python -m benchmarks.overhead, figures in docs/benchmarks.md"
KINDS = tuple(str(kind) for kind in VerdictKind)


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """So many of n; `bound`: 3/n where it is none at all."""

    count: int
    n: int
    bound: float | None = None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, as on a server at its usual pace."""

    n: int
    median_s: float
    p95_s: float
    p99_s: float
    most_s: float


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """`value` against `limit`; `holds` None where there was nothing to measure."""

    name: str
    value: float | None
    limit: float
    holds: bool | None


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of the detector in time (Chen, Toueg, Aguilera), from the fault to the end of each run.

    A mistake is a time in which something worse than BUSY was believed of a healthy bystander. None: nothing to divide
    by; without any mistake its recurrence is longer than all `bystander_hours`.
    """

    unit_hours: float = 0.0
    false_restarts_per_unit_hour: float | None = None
    bystander_hours: float = 0.0
    mistakes: int = 0
    recurrence_h: float | None = None  # bystander-hours from one mistake to the next, on average
    query_accuracy: float | None = None  # share of the bystanders' time in which no mistake stood


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The report. `confusion` is truth -> what was believed at the end -> runs."""

    schema: int = SCHEMA
    runs: int
    void: tuple[str, ...] = ()
    confusion: dict[str, dict[str, int]] = {}
    confusion_first: dict[str, dict[str, int]] = {}
    confusion_at_action: dict[str, dict[str, int]] = {}
    accuracy: float | None = None
    macro_f1: float | None = None
    unsure: float | None = None
    deeds: dict[str, dict[str, int]] = {}
    deeds_right: float | None = None
    groups: dict[str, Rate] = {}  # right deeds, by the first letter of the fault
    false_restarts: Rate
    false_restarts_spared: Rate  # in the groups where none is right
    missed: Rate
    futile: Rate
    over_scope: Rate
    disturbed: Rate
    named: float | None = None
    service: Service = Service()
    to_suspicion: dict[str, Latency] = {}
    to_verdict: dict[str, Latency] = {}
    to_action: dict[str, Latency] = {}
    to_recovery: dict[str, Latency] = {}
    gates: tuple[Gate, ...] = ()
    wrong: tuple[str, ...] = ()  # a sentence for each run that was not right

    @property
    def passed(self) -> bool:
        return all(gate.holds is not False for gate in self.gates) and self.runs > 0


def is_right(outcome: Outcome) -> bool:
    return outcome.final in outcome.truth


def label(outcome: Outcome) -> str:
    """The row of the confusion matrix: of several true kinds the one that was believed, else the first."""
    return outcome.final if is_right(outcome) else str(outcome.truth[0])


def share(count: int, n: int) -> float | None:
    return count / n if n else None


def rate(outcomes: Iterable[bool]) -> Rate:
    told = list(outcomes)
    count = sum(told)
    return Rate(count=count, n=len(told), bound=min(1.0, 3 / len(told)) if told and not count else None)


def by_group(told: Iterable[tuple[str, bool]]) -> dict[str, Rate]:
    """Rates of (id, whether it was right), by the first letter of the id."""
    found: dict[str, list[bool]] = {}
    for id, right in told:
        found.setdefault(id[0], []).append(right)
    return {group: rate(found[group]) for group in sorted(found)}


def matrix(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for truth, said in pairs:
        found.setdefault(truth, Counter())[said or "-"] += 1
    return {truth: dict(found[truth]) for truth in sorted(found)}


def macro_f1(confusion: dict[str, dict[str, int]]) -> float | None:
    """The mean over the true kinds of F1; abstentions (UNSURE said where it is not the truth) are left out."""
    scores = []
    for truth in confusion:
        hit = confusion[truth].get(truth, 0)
        missed = sum(n for said, n in confusion[truth].items() if said not in (truth, VerdictKind.UNSURE))
        wrongly = sum(row.get(truth, 0) for other, row in confusion.items() if other != truth)
        if hit + missed == 0:
            continue
        scores.append(2 * hit / (2 * hit + missed + wrongly))
    return statistics.fmean(scores) if scores else None


def latency(values: Iterable[float | None]) -> Latency | None:
    told = sorted(value for value in values if value is not None)
    if not told:
        return None
    p95_s, p99_s = (told[min(len(told) - 1, int(part * len(told)))] for part in (0.95, 0.99))
    return Latency(n=len(told), median_s=statistics.median(told), p95_s=p95_s, p99_s=p99_s, most_s=told[-1])


def service(runs: Sequence[Outcome]) -> Service:
    """Over all runs together."""
    hours = sum(one.units * one.watched_s for one in runs) / 3600
    beside = sum(one.bystanders * one.watched_s for one in runs) / 3600
    mistakes = sum(one.mistakes for one in runs)
    mistaken = sum(one.mistaken_s for one in runs) / 3600
    return Service(
        unit_hours=hours,
        false_restarts_per_unit_hour=sum(len(one.false_restarts) for one in runs) / hours if hours else None,
        bystander_hours=beside,
        mistakes=mistakes,
        recurrence_h=beside / mistakes if mistakes else None,
        query_accuracy=1 - mistaken / beside if beside else None,
    )


def score(outcomes: Sequence[Outcome]) -> Score:
    """The figures of these runs. Void runs are named and not counted; too many of them are a gate."""
    runs = [one for one in outcomes if not one.void]
    confusion = matrix((label(one), one.final) for one in runs)
    spared = [one for one in runs if one.id[0] in SPARED]
    told = [one for one in runs if one.named is not None]
    unsure = sum(one.final == VerdictKind.UNSURE and VerdictKind.UNSURE not in one.truth for one in runs)
    sure = [one for one in runs if one.final != VerdictKind.UNSURE or VerdictKind.UNSURE in one.truth]
    false_spared = rate(bool(one.false_restarts) for one in spared)
    figures = Score(
        runs=len(runs),
        void=tuple(f"{one.id} seed {one.seed} at {one.load}: {one.void}" for one in outcomes if one.void),
        confusion=confusion,
        confusion_first=matrix((str(one.truth[0]), one.first) for one in runs),
        confusion_at_action=matrix((str(one.truth[0]), one.at_action) for one in runs if one.action_s is not None),
        accuracy=share(sum(map(is_right, sure)), len(sure)),
        macro_f1=macro_f1(confusion),
        unsure=share(unsure, len(runs)),
        deeds=matrix((label(one), str(one.deed)) for one in runs),
        deeds_right=share(sum(one.deed_right for one in runs), len(runs)),
        groups=by_group((one.id, one.deed_right) for one in runs),
        false_restarts=rate(bool(one.false_restarts) for one in runs),
        false_restarts_spared=false_spared,
        missed=rate(one.deed is Deed.NOTHING for one in runs if Deed.NOTHING not in one.actions),
        futile=rate(one.futile > 0 for one in runs),
        over_scope=rate(one.over_scope for one in runs),
        disturbed=rate(bool(one.disturbed) for one in runs),
        named=share(sum(bool(one.named) for one in told), len(told)),
        service=service(runs),
        to_suspicion=_latencies(runs, "first_s"),
        to_verdict=_latencies(runs, "right_s"),
        to_action=_latencies(runs, "action_s"),
        to_recovery=_latencies(runs, "recovered_s"),
        wrong=tuple(sentence for one in runs if (sentence := complaint(one))),
    )
    return msgspec.structs.replace(figures, gates=_gates(figures, len(outcomes)))


def complaint(one: Outcome) -> str:
    """What was not right about a run, "" when nothing was."""
    said = f"{one.final or 'nothing'}{f' ({one.cause})' if one.cause else ''}"
    parts = []
    if not is_right(one):
        parts.append(f"believed {said}, true is {' or '.join(one.truth)}")
    elif one.named is False:
        parts.append(f"{said} is not one of {', '.join(one.truth_causes)}")
    if not one.deed_right:
        parts.append(f"did {one.deed}, right is {' or '.join(one.actions)}")
    parts += [f"false restart of {text}" for text in one.false_restarts]
    if one.futile:
        parts.append(f"{one.starts} starts")
    parts += [f"{name} was disturbed" for name in one.disturbed]
    return f"{one.id} seed {one.seed} at {one.load}: {'; '.join(parts)}" if parts else ""


def _latencies(runs: Sequence[Outcome], field: str) -> dict[str, Latency]:
    """Per kind and cause as they were told, of the runs that were right."""
    found: dict[str, list[float | None]] = {}
    for one in filter(is_right, runs):
        name = one.final + (f".{one.cause}" if one.cause else "")
        found.setdefault(name, []).append(getattr(one, field))
    return {name: told for name in sorted(found) if (told := latency(found[name])) is not None}


def _gates(figures: Score, played: int) -> tuple[Gate, ...]:
    def least(name: str, value: float | None, limit: float) -> Gate:
        return Gate(name=name, value=value, limit=limit, holds=None if value is None else value >= limit)

    def most(name: str, value: float | None, limit: float) -> Gate:
        return Gate(name=name, value=value, limit=limit, holds=None if value is None else value <= limit)

    spared = figures.false_restarts_spared
    return (
        least("final verdict right", figures.accuracy, RIGHT_LEAST),
        least("macro-F1", figures.macro_f1, RIGHT_LEAST),
        most("UNSURE", figures.unsure, UNSURE_MOST),
        least("right action", figures.deeds_right, DEEDS_LEAST),
        least("sub-cause named", figures.named, NAMED_LEAST),
        most("false restarts in F, H, I, N", spared.count if spared.n else None, 0),
        most("runs that could not be played", share(len(figures.void), played), 0.02),
    )


def lines(figures: Score) -> Iterable[str]:
    """The report for a terminal."""
    yield f"{figures.runs} runs, {len(figures.void)} could not be played"
    yield from table("truth \\ believed at the end", figures.confusion, KINDS)
    yield from table("truth \\ done", figures.deeds, tuple(str(deed) for deed in Deed))
    for title, found in (
        ("seconds to the first suspicion", figures.to_suspicion),
        ("seconds to the verdict", figures.to_verdict),
        ("seconds to the action", figures.to_action),
        ("seconds until it works again", figures.to_recovery),
    ):
        if found:
            yield f"{title:<36} {'n':>4} {'median':>8} {'p95':>8} {'p99':>8} {'most':>8}"
            for name, one in found.items():
                times = (one.median_s, one.p95_s, one.p99_s, one.most_s)
                yield f"  {name:<34} {one.n:>4} " + " ".join(f"{time:>8.2f}" for time in times)
    for name, one_rate in (
        ("false restarts", figures.false_restarts),
        ("false restarts in F, H, I, N", figures.false_restarts_spared),
        ("missed", figures.missed),
        ("more starts than needed", figures.futile),
        ("restarted more than needed", figures.over_scope),
        ("bystanders disturbed", figures.disturbed),
    ):
        bound = f", under {one_rate.bound:.2%} (3/n)" if one_rate.bound is not None else ""
        yield f"{name}: {one_rate.count} of {one_rate.n}{bound}"
    told = figures.service
    if told.false_restarts_per_unit_hour is not None:
        often = f"{told.false_restarts_per_unit_hour:.3g}"
        yield f"false restarts an hour and unit: {often} ({told.unit_hours:.2f} unit-hours)"
    if told.query_accuracy is not None:
        apart = "none" if told.recurrence_h is None else f"one in {told.recurrence_h:.3g} h"
        yield f"mistakes about bystanders: {apart} ({told.bystander_hours:.2f} bystander-hours)"
        yield f"query accuracy: {told.query_accuracy:.3%} of the bystanders' time without a mistake"
    yield OVERHEAD
    yield from figures.void
    yield from figures.wrong
    for gate in figures.gates:
        verdict = {True: "holds", False: "FAILS", None: "not measured"}[gate.holds]
        value = "-" if gate.value is None else f"{gate.value:.3g}"
        yield f"gate {gate.name}: {value} (limit {gate.limit:g}) {verdict}"


def table(title: str, rows: dict[str, dict[str, int]], columns: Sequence[str]) -> Iterable[str]:
    """Only columns with something in them."""
    used = [name for name in (*columns, "-") if any(row.get(name) for row in rows.values())]
    if not used:
        return
    yield f"{title:<28}" + "".join(f" {name[:15]:>15}" for name in used)
    for truth, row in rows.items():
        yield f"  {truth:<26}" + "".join(f" {row.get(name) or '.':>15}" for name in used)
