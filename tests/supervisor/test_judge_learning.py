"""Limits that grow with a child's own rhythm, and learn nothing from its faults."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.verdict import SEEDS, ActorSample, Evidence, History, Look, Observer, PromiseSample, Verdict, judge
from supervisor.verdict.learning import COUNT_MOST, TOP, Learned, Tail, learn, limits
from supervisor.verdict.timing import Limits
from supervisor.words import State, VerdictKind
from tests.supervisor.test_judge import BLOCKED, NOW, evidence, watched

STEP_S = 0.25


class Life:
    """A child that is looked at every quarter of a second, judged each time as the story says."""

    def __init__(self) -> None:
        self.learned, self.now, self.history = Learned(), NOW, History()
        self.previous: Verdict | None = None
        self.loops = self.handled = 0

    def live(
        self,
        for_s: float,
        *,
        gap_s: float = STEP_S,
        kind: VerdictKind = VerdictKind.HEALTHY,
        cause: str = "",
        serves_s: float = 0.0,
        **fields: Any,
    ) -> Life:
        since = self.now
        while self.now < since + for_s:
            self.now += STEP_S
            self.loops = int((self.now - NOW) / gap_s)
            taken = None
            if serves_s:
                begun = self.now - (self.now - NOW) % (serves_s + STEP_S)
                taken = begun if self.now - begun < serves_s else None
                self.handled = int((self.now - NOW) / (serves_s + STEP_S))
            actor = ActorSample(name="feed", loops=self.loops, handled=self.handled, in_hand_since=taken)
            self.history = self.history.add(Look(at=self.now, incarnation=3, actors=(actor,)))
            told = evidence(self.history, **{"observer": Observer(valid_since=NOW - 99), **fields})
            verdict = Verdict(
                name="feed", kind=kind, cause=cause, reason="…", since=since, cause_since=since, next_review=self.now
            )
            self.learned = learn(self.learned, told, verdict, self.previous, self.now)
            self.previous = verdict
        return self

    @property
    def limits(self) -> Limits:
        return limits(self.learned, SEEDS, 60.0)


def test_a_child_that_turns_slowly_by_nature_is_suspected_later() -> None:
    slow = Life().live(3000, gap_s=2.5).limits
    assert 3.0 < slow.suspect_s <= 4.5
    assert slow.hang_s == 0.0
    assert Life().live(100, gap_s=2.5).limits == Limits()  # too few samples to know its ways


def test_a_child_whose_messages_take_long_is_hung_later_up_to_ten_minutes() -> None:
    assert 15 <= Life().live(600, serves_s=1.0).limits.hang_s <= 21
    assert Life().live(6000, serves_s=40.0).limits.hang_s == 600.0


FAULTS: dict[str, dict[str, Any]] = {
    "hung": {"kind": VerdictKind.HUNG, "cause": "loop-blocked"},
    "unsure": {"kind": VerdictKind.UNSURE, "cause": "loop-silent"},
    "observer stalled": {"kind": VerdictKind.OBSERVER_STALL, "cause": "settling"},
    "void": {"observer": Observer(valid_since=NOW + 1e6)},
    "late tick": {"observer": Observer(valid_since=NOW - 99, late_s=2.0)},
    "starved": {"kind": VerdictKind.BUSY, "cause": "starved"},
    "starting": {"state": State.RUNNING},
}


@pytest.mark.parametrize("fault", list(FAULTS.values()), ids=list(FAULTS))
def test_no_fault_is_learned_as_normal_nor_the_first_gap_after_it(fault: dict[str, Any]) -> None:
    life = Life().live(500)
    before = life.learned

    life.live(300, gap_s=5.0, serves_s=20.0, **fault).live(STEP_S)
    assert (life.learned.gaps, life.learned.served, life.learned.gil_s) == (before.gaps, before.served, 0.0)


def test_a_window_that_turns_out_hung_is_forgotten_as_a_whole() -> None:
    life = Life().live(500)
    before = life.learned.gaps

    life.live(4, gap_s=1.75).live(10, gap_s=1e9, kind=VerdictKind.HUNG, cause="loop-blocked").live(60)
    assert max(life.learned.gaps.top) == max(before.top)


def test_a_long_native_call_that_ended_well_gives_the_next_one_more_time() -> None:
    life = Life().live(20).live(8, kind=VerdictKind.BUSY, cause="gil-held").live(20)

    assert 20 < life.limits.gil_s < 30


def test_good_starts_lengthen_the_budget_of_the_next() -> None:
    life = Life()
    for n in range(4):
        born = NOW + 1000 * n
        starting = evidence(History(), state=State.RUNNING, state_since=born, incarnation=n)
        ready = evidence(History(), state=State.READY, state_since=born + 50, incarnation=n)
        fine = Verdict(name="feed", kind=VerdictKind.STARTING, reason="…", since=0, cause_since=0, next_review=0)
        for told, at in ((starting, born + 10), (ready, born + 51)):
            life.learned = learn(life.learned, told, fine, None, at)

    assert life.limits.start_s == 150.0


def test_the_judge_uses_what_was_learned() -> None:
    told = evidence(watched(**BLOCKED))
    assert judge(told, NOW).kind is VerdictKind.HUNG

    patient = judge(msgspec.structs.replace(told, limits=Limits(hang_s=60.0)), NOW)
    assert patient.kind is not VerdictKind.HUNG
    late = evidence(watched(stuck_s=100, cpu=0.0), state=State.RUNNING, state_since=NOW - 90)
    assert judge(late, NOW).kind is VerdictKind.HUNG
    assert judge(msgspec.structs.replace(late, limits=Limits(start_s=150.0)), NOW).kind is VerdictKind.STARTING


def test_an_output_with_a_slow_rhythm_keeps_its_function_witness_fresh_for_longer() -> None:
    slow = PromiseSample(topic="Hour", at_least_every_s=400.0, last_at=NOW - 60, rhythm_s=120.0)
    told: Evidence = evidence(watched(watched_s=200, flat_s=100))

    assert judge(told, NOW).cause == "idle"
    assert "a moment ago" in judge(msgspec.structs.replace(told, promises=(slow,)), NOW).reason


@given(st.lists(st.floats(0, 1e4), max_size=200), st.floats(0, 1))
def test_a_tail_is_bounded_and_never_tells_more_than_it_saw(values: list[float], q: float) -> None:
    tail = Tail()
    for value in values:
        tail = tail.add((value,))
    assert len(tail.top) <= TOP
    assert tail.quantile(q) <= max(values, default=0.0)
    assert Tail(COUNT_MOST, (1.0,) * TOP).add((2.0,)).count <= COUNT_MOST


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.01, 2))
def test_learned_limits_end_at_their_clamps(gap_s: float, served_s: float, gil_s: float, scale: float) -> None:
    learned = Learned(
        gaps=Tail(2000, (gap_s,) * TOP), served=Tail(2000, (served_s,) * TOP), gil_s=gil_s, starts=(gap_s,) * 3
    )
    found = limits(learned, SEEDS.scaled(scale), 60.0)
    assert found.suspect_s <= 30 * scale * 1.001
    assert found.hang_s <= 600 * scale * 1.001
    assert found.gil_s <= 120 * scale * 1.001
    assert found.start_s <= 600 * scale * 1.001
