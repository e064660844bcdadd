"""Judged again: akka's formula against its own figures, the rules of others, shaken recordings through the judge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.verdicts import baselines, rejudge
from benchmarks.verdicts.baselines import Accrual, Seen
from benchmarks.verdicts.scenario import Deed
from supervisor.evidence.record import Anything, Began, Judged, Looked, Tick
from supervisor.verdict import ActorSample, CheckResult, Evidence, Look, Ping
from supervisor.verdict.correlation import COSTLY
from supervisor.verdict.judge import judge
from supervisor.words import State, VerdictKind


@pytest.mark.parametrize(("deviation_s", "suspects_after_s"), [(0.1, 4.52), (0.25, 5.3), (0.5, 6.6), (1.0, 9.2)])
def test_phi_reaches_eight_after_the_silence_that_akkas_formula_gives(
    deviation_s: float, suspects_after_s: float
) -> None:
    silence = next(n / 100 for n in range(10_000) if baselines.phi(n / 100, 4.0, deviation_s) >= 8.0)
    assert silence == pytest.approx(suspects_after_s, abs=0.06)


@given(st.floats(0, 60), st.floats(0, 60), st.floats(0.1, 5))
def test_phi_never_falls_while_the_silence_goes_on(one: float, other: float, deviation_s: float) -> None:
    early, late = sorted((one, other))
    assert baselines.phi(early, 4.0, deviation_s) <= baselines.phi(late, 4.0, deviation_s) + 1e-6


def test_a_peer_that_was_never_heard_is_well_and_a_regular_one_is_suspected_at_four_and_a_half_seconds() -> None:
    assert Accrual().phi(1000.0) == 0.0
    peer = Accrual()
    for second in range(300):
        peer.beat(float(second))
    assert peer.phi(299.0 + 4.3) < 8.0 < peer.phi(299.0 + 4.7)


TICKS = tuple(n / 10 for n in range(600))
BEATS = tuple(float(n) for n in range(-300, 60))
WELL = Seen(ticks=TICKS, beats=BEATS, ends=60.0)
MUTE = Seen(ticks=TICKS, beats=BEATS[:310], mute=((10.0, 60.0),), still=((10.0, 60.0),), ends=60.0)
STILL = Seen(ticks=TICKS, beats=BEATS, still=((10.0, 60.0),), ends=60.0)
RED = Seen(ticks=TICKS, beats=BEATS, checks=tuple((float(n), False) for n in range(0, 60, 2)), ends=60.0)
SLOW_START = Seen(ticks=TICKS, unready=((0.0, 60.0),), ends=60.0)
PAUSED = Seen(ticks=tuple(at for at in TICKS if not 10 < at < 18), beats=BEATS, ends=60.0)
QUICK_LOOP = Seen(ticks=TICKS, exits=tuple((n / 10, 0.02, True) for n in range(3)), looped=True, ends=60.0)
SLOW_LOOP = Seen(ticks=TICKS, exits=tuple((n * 8.0, 8.0, True) for n in range(3)), looped=True, ends=60.0)
ZERO = Seen(ticks=TICKS, beats=BEATS[:310], exits=((10.0, 60.0, False),), ends=60.0)
N, R, P = Deed.NOTHING, Deed.RESTART, Deed.PARK


@pytest.mark.parametrize(
    ("film", "phi", "probe", "watchdog", "circus", "supervisord"),
    [
        (WELL, N, N, N, N, N),
        (MUTE, R, R, R, N, N),
        (STILL, N, N, R, N, N),
        (RED, N, R, N, N, N),
        (SLOW_START, N, R, N, N, N),
        (PAUSED, R, N, N, N, N),
        (QUICK_LOOP, N, R, P, R, P),
        (SLOW_LOOP, N, R, R, R, R),
        (ZERO, R, R, N, R, N),
    ],
    ids=["well", "mute", "still", "red check", "slow start", "paused observer", "quick loop", "slow loop", "exit 0"],
)
def test_each_of_the_others_does_what_its_rule_says(
    film: Seen, phi: Deed, probe: Deed, watchdog: Deed, circus: Deed, supervisord: Deed
) -> None:
    did = {name: judge(film).deed for name, judge in baselines.JUDGES.items()}
    assert list(did.values()) == [phi, probe, watchdog, circus, supervisord]


def recording(seconds: int) -> list[Anything]:
    """One healthy child, looked at ten times a second, pinged once."""
    frames: list[Anything] = [Began(at=0.0, wall=0.0, children=("worker",))]
    for n in range(1, seconds * 10):
        at = n / 10
        sample = ActorSample(name="worker", loops=n, handled=n, last_progress=at)
        evidence = Evidence(
            name="worker", state=State.READY, incarnation=1, pid=7, ping=Ping(answered_at=float(n // 10))
        )
        look = Look(at=at, incarnation=1, actors=(sample,))
        frames += [Tick(due=at, now=at), Looked(name="worker", look=look)]
        frames.append(Judged(at=at, evidence=evidence, verdict=judge(evidence, at)))
    return frames


def test_unshaken_frames_stay_as_they_are_and_the_same_seed_shakes_alike() -> None:
    frames = recording(60)
    assert list(rejudge.shake(frames, 0)) == frames
    assert list(rejudge.shake(frames, 3)) == list(rejudge.shake(frames, 3))
    assert len(list(rejudge.shake(frames, 3))) < len(frames)


def test_who_is_only_suspicious_is_compared_with_the_others_as_in_the_root() -> None:
    frames: list[Anything] = [Began(at=0.0, wall=0.0, children=("a", "b"))]
    for tick in range(100, 110):
        at = tick / 10
        frames.append(Tick(due=at, now=at))
        for name in ("a", "b"):
            red = CheckResult(child=name, kind="tcp", target="127.0.0.1:1", ok=False, at=at, failures=3)
            evidence = Evidence(name=name, state=State.READY, incarnation=1, pid=7, checks=(red,))
            frames.append(Looked(name=name, look=Look(at=at, incarnation=1)))
            frames.append(Judged(at=at, evidence=evidence, verdict=judge(evidence, at)))
    again = list(rejudge.judged_again(frames))
    assert {(one.verdict.kind, one.verdict.cause) for one in again} == {(VerdictKind.CHECK_FAULT, "many checks")}


def test_an_end_between_two_ticks_is_judged_by_itself() -> None:
    frames = recording(5)
    last = frames[-1]
    assert isinstance(last, Judged)
    at = last.at + 0.05
    evidence = Evidence(name="worker", state=State.STOPPED, incarnation=1)
    again = list(rejudge.judged_again([*frames, Judged(at=at, evidence=evidence, verdict=judge(evidence, at))]))
    assert [(one.at, one.verdict.kind) for one in again[-2:]] == [
        (last.at, VerdictKind.HEALTHY),
        (at, VerdictKind.STOPPED),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_child_is_convicted_on_no_worse_day(seed: int) -> None:
    again = list(rejudge.judged_again(rejudge.shake(recording(120), seed)))
    assert len(again) > 800
    assert not [one for one in again if one.verdict.action in COSTLY]
    assert {one.verdict.kind for one in again} <= {
        VerdictKind.HEALTHY,
        VerdictKind.BUSY,
        VerdictKind.UNSURE,
        VerdictKind.OBSERVER_STALL,
    }
