"""From frames to an outcome, from outcomes to figures: pure, so a table each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from benchmarks.verdicts import score
from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.story import Marks, Outcome, explained, outcome
from supervisor.events import Cause, SupervisionKind, supervision
from supervisor.evidence.record import Anything, Exited, Happened, Judged
from supervisor.spec import Backoff
from supervisor.verdict import Action, Evidence, Verdict
from supervisor.words import ExitKind, ExitReason, State, VerdictKind

K = VerdictKind


def judged(at: float, kind: VerdictKind, cause: str = "", name: str = "worker", **more: Any) -> Judged:
    verdict = Verdict(
        name=name, kind=kind, cause=cause, reason=cause, since=at, cause_since=at, next_review=at + 1, **more
    )
    return Judged(at=at, evidence=Evidence(name=name, state=State.READY), verdict=verdict)


def exited(at: float, kind: ExitKind, name: str = "worker", **more: Any) -> Exited:
    return Exited(at=at, name=name, incarnation=1, reason=ExitReason(kind=kind, **more))


def happened(at: float, kind: SupervisionKind, incarnation: int = 2, name: str = "worker") -> Happened:
    record = supervision(kind, id=name, path=f"root/{name}", incarnation=incarnation, at=at, cause=Cause.EXIT)
    return Happened(record=record)


def told(frames: Sequence[Anything], kind: VerdictKind, action: Deed = Deed.RESTART, **more: Any) -> Outcome:
    scenario = Scenario(
        id="X01",
        title="",
        children=(worker("worker"), *CROWD),
        inject=lambda stage: None,
        truth=Truth(unit="worker", kind=kind, **more),
        action=action,
        healthy=OTHERS,
    )
    return outcome(scenario, Marks(began_at=10.0, ended_at=40.0), frames, 3, 0, "idle")


HUNG = judged(15.0, K.HUNG, "actor-stuck", action=Action.KILL)
CURED: list[Anything] = [
    judged(5.0, K.HEALTHY),
    judged(13.0, K.BUSY, "long-message"),
    HUNG,
    exited(15.2, ExitKind.HUNG),
    happened(15.3, SupervisionKind.STARTING),
    judged(15.4, K.STARTING),
    judged(15.5, K.UNSURE, "not-seen-yet"),
    judged(15.9, K.HEALTHY),
]


def test_a_hang_that_was_cured_is_told_with_its_times_and_its_deed() -> None:
    found = told(CURED, K.HUNG, causes=("actor-stuck",))
    assert (found.first, found.first_s) == ("BUSY", 3.0)
    assert (found.final, found.right_s, found.named) == ("HUNG", 5.0, True)
    assert (found.deed, found.deed_right, found.false_restarts) == (Deed.RESTART, True, ())


@pytest.mark.parametrize(
    ("frames", "final"),
    [
        ([judged(5, K.HEALTHY)], K.HEALTHY),
        ([judged(5, K.HEALTHY), judged(20, K.BUSY), judged(20.2, K.HEALTHY)], K.HEALTHY),
        ([judged(5, K.HEALTHY), judged(20, K.BUSY), judged(23, K.HEALTHY)], K.BUSY),
        ([judged(5, K.HEALTHY), judged(20, K.UNSURE, "no-witness"), judged(23, K.HEALTHY)], K.HEALTHY),
        ([judged(5, K.HEALTHY), judged(20, K.UNSURE, "no-witness")], K.UNSURE),
        ([judged(5, K.HEALTHY), judged(20, K.UNSURE, "no-witness"), judged(21, K.HUNG)], K.HUNG),
        ([judged(5, K.HEALTHY), judged(20, K.CHECK_FAULT), judged(30, K.BUSY)], K.CHECK_FAULT),
        ([judged(5, K.HEALTHY), judged(20, K.HUNG), judged(30, K.UPSTREAM)], K.UPSTREAM),
        ([exited(12, ExitKind.KILLED, signal=9), judged(12.5, K.HEALTHY)], K.CRASHED),
        ([exited(12, ExitKind.CRASHED), judged(12.1, K.UPSTREAM, "refused")], K.UPSTREAM),
        ([exited(12, ExitKind.SHUTDOWN), judged(12.1, K.STOPPED)], K.STOPPED),
        ([judged(50, K.HUNG)], ""),
    ],
)
def test_the_final_verdict_is_the_last_of_the_highest_rank(frames: list[Anything], final: str) -> None:
    assert told(frames, K.HEALTHY).final == final


def test_a_life_that_was_ended_without_need_is_a_false_restart() -> None:
    assert told(CURED, K.HEALTHY, Deed.NOTHING).false_restarts == ("worker incarnation 1: hung",)
    beside = [*CURED, exited(20.0, ExitKind.HUNG, name="bystander")]
    assert told(beside, K.HUNG).false_restarts == ("bystander incarnation 1: hung",)
    assert told([exited(12.0, ExitKind.CRASHED)], K.HEALTHY, Deed.NOTHING).false_restarts == ()


@pytest.mark.parametrize(
    ("frames", "deed"),
    [
        ([judged(12, K.CHECK_FAULT)], Deed.NOTHING),
        ([judged(12, K.UPSTREAM, action=Action.GATE)], Deed.GATE),
        ([happened(12, SupervisionKind.STARTING)], Deed.RESTART),
        ([happened(12, SupervisionKind.STARTING, incarnation=1)], Deed.NOTHING),
        ([happened(12, SupervisionKind.STARTING), happened(13, SupervisionKind.QUARANTINED)], Deed.PARK),
        ([happened(12, SupervisionKind.STARTING), happened(12, SupervisionKind.EXITED, name="other")], Deed.SUBTREE),
    ],
)
def test_what_was_done_is_told_by_its_cost(frames: list[Anything], deed: Deed) -> None:
    assert told(frames, K.HUNG).deed is deed


@pytest.mark.parametrize(("starts", "deed"), [(0, Deed.GATE), (9, Deed.GATE), (10, Deed.RESTART)])
def test_a_gate_is_booked_where_no_more_starts_followed_than_the_waits_of_the_child_explain(
    starts: int, deed: Deed
) -> None:
    frames: list[Anything] = [judged(12, K.UPSTREAM, action=Action.GATE)]
    frames += [happened(12.5 + number, SupervisionKind.STARTING, incarnation=2 + number) for number in range(starts)]
    assert told(frames, K.UPSTREAM, Deed.GATE).deed is deed


def test_a_start_before_the_advice_or_after_the_repair_speaks_against_no_gate() -> None:
    before: list[Anything] = [happened(11.0 + number / 100, SupervisionKind.STARTING) for number in range(20)]
    assert told([*before, judged(12, K.UPSTREAM, action=Action.GATE)], K.UPSTREAM, Deed.GATE).deed is Deed.GATE


@pytest.mark.parametrize(
    ("within_s", "backoff", "most"),
    [
        (0.0, Backoff(), 1),
        (0.2, Backoff(), 2),
        (60.0, Backoff(), 11),
        (120.0, Backoff(), 16),
        (60.0, Backoff(initial_s=10.0, factor=1.0, cap_s=10.0), 31),
    ],
)
def test_the_waits_of_a_backoff_explain_one_start_and_one_for_each_wait(
    within_s: float, backoff: Backoff, most: int
) -> None:
    assert explained(within_s, backoff) == most


def test_what_was_wrongly_believed_of_a_bystander_is_a_mistake_with_its_length() -> None:
    beside = [
        judged(9, K.UPSTREAM, "refused", name="bystander"),  # true of what was before
        judged(12, K.HEALTHY, name="bystander"),
        judged(20, K.HUNG, "actor-stuck", name="other"),
        judged(22, K.DEGRADED, "partial", name="other"),
        judged(23, K.BUSY, name="other"),
        judged(30, K.HUNG, name="other"),
        judged(31, K.HEALTHY, name="other"),
    ]
    found = told(sorted([*CURED[:3], *beside], key=lambda frame: getattr(frame, "at", 0.0)), K.HUNG)
    assert (found.mistakes, found.mistaken_s, found.bystanders, found.disturbed) == (2, 4.0, 2, ())
    figures = score.score([found]).service
    assert figures.unit_hours == pytest.approx(3 * 30 / 3600)
    assert figures.recurrence_h == pytest.approx(2 * 30 / 3600 / 2)
    assert figures.query_accuracy == pytest.approx(1 - 4 / 60)


def test_false_restarts_are_told_by_the_hour_and_without_mistakes_there_is_no_recurrence() -> None:
    figures = score.score([told(CURED, K.HEALTHY, Deed.NOTHING)]).service
    assert figures.false_restarts_per_unit_hour == pytest.approx(1 / (3 * 30 / 3600))
    assert (figures.recurrence_h, figures.query_accuracy) == (None, 1.0)
    assert score.score([]).service == score.Service()


def test_latencies_are_told_for_each_cause_with_their_percentiles() -> None:
    runs = [run(K.HUNG, "HUNG", cause="actor-stuck", right_s=float(n)) for n in range(1, 101)]
    figures = score.score([*runs, run(K.UPSTREAM, "UPSTREAM", cause="refused", right_s=2.0), run(K.BUSY, "BUSY")])
    assert list(figures.to_verdict) == ["HUNG.actor-stuck", "UPSTREAM.refused"]
    one = figures.to_verdict["HUNG.actor-stuck"]
    assert (one.n, one.median_s, one.p95_s, one.p99_s, one.most_s) == (100, 50.5, 96.0, 100.0, 100.0)
    assert score.OVERHEAD in score.lines(figures)


def run(truth: VerdictKind, final: str, **more: Any) -> Outcome:
    return Outcome(id=more.pop("id", "A01"), truth=(truth,), final=final, actions=(Deed.NOTHING,), **more)


def test_macro_f1_weighs_every_true_kind_alike_and_leaves_abstentions_out() -> None:
    runs = [run(K.HUNG, "HUNG")] * 8 + [run(K.HUNG, "BUSY")] * 2 + [run(K.BUSY, "BUSY"), run(K.BUSY, "UNSURE")]
    figures = score.score(runs)
    assert figures.macro_f1 == pytest.approx((2 * 8 / (16 + 2) + 2 / (2 + 2)) / 2)
    assert figures.unsure == pytest.approx(1 / 12)
    assert figures.accuracy == pytest.approx(9 / 11)


@pytest.mark.parametrize(
    ("runs", "fails"),
    [
        ([run(K.HUNG, "HUNG", deed_right=True)], ""),
        ([run(K.HUNG, "BUSY", deed_right=True)], "final verdict right"),
        ([run(K.HUNG, "HUNG", deed_right=False)], "right action"),
        ([run(K.HUNG, "HUNG", deed_right=True, named=False)], "sub-cause named"),
        ([run(K.HUNG, "HUNG", deed_right=True, id="F01", false_restarts=("x",))], "false restarts in F, H, I, N"),
        ([run(K.HUNG, "HUNG", deed_right=True), run(K.HUNG, "", void="no root")], "runs that could not be played"),
    ],
)
def test_a_gate_that_fails_is_named(runs: list[Outcome], fails: str) -> None:
    figures = score.score(runs)
    failed = [gate.name for gate in figures.gates if gate.holds is False]
    assert (fails in failed) if fails else not failed
    assert figures.passed is not bool(failed)
    assert list(score.lines(figures))


def test_none_of_n_is_told_with_the_rule_of_three_and_nothing_passes_without_runs() -> None:
    assert score.rate([False] * 300).bound == pytest.approx(0.01)
    assert score.rate([True, False]).bound is None
    assert not score.score([]).passed
    assert msgspec.json.encode(score.score([]))
