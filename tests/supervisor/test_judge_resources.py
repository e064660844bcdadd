"""Limits, equals, and what comes and goes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from supervisor.verdict import SEEDS, Action, ActorSample, Evidence, History, KernelSample, Look, Verdict, judge
from supervisor.verdict.evidence import DependencySample, Peers
from supervisor.words import ExitKind, ExitReason, VerdictKind
from tests.supervisor.test_judge import BROKEN, FRESH, NOW, evidence


def filling(rss_mib: Callable[[float], float], descriptors: Callable[[float], float] = lambda t: 10) -> History:
    """A working child for 20 s (t from 0 to 1) with a limit of 100 MiB and 64 descriptors."""
    history = History()
    for step in range(41):
        t = step / 40
        kernel = KernelSample(
            state="S",
            started_ticks=1,
            cpu_s=10 + t,
            rss_mib=rss_mib(t),
            memory_limit_mib=100.0,
            descriptors=int(descriptors(t)),
            descriptor_limit=64,
        )
        actor = ActorSample(name="feed", loops=step, handled=step)
        history = history.add(Look(at=NOW - 20 + 20 * t, incarnation=3, kernel=kernel, actors=(actor,)))
    return history


@pytest.mark.parametrize(
    ("history", "kind", "cause", "action"),
    [
        (filling(lambda t: 95.0), VerdictKind.EXHAUSTED, "memory", Action.DRAIN),
        (filling(lambda t: 40 + 30 * t), VerdictKind.EXHAUSTED, "memory", Action.DRAIN),  # full in 20 s
        (filling(lambda t: 20 + 30 * t), VerdictKind.HEALTHY, "", Action.NONE),  # half full: time enough
        (filling(lambda t: 60 + 2 * t), VerdictKind.HEALTHY, "", Action.NONE),  # full in six minutes
        (filling(lambda t: 85 * (1 - 0.01**t)), VerdictKind.HEALTHY, "", Action.NONE),  # a warm-up that levels off
        (filling(lambda t: 70.0 if t < 1 else 71.0), VerdictKind.HEALTHY, "", Action.NONE),
        (filling(lambda t: 20, lambda t: 60), VerdictKind.EXHAUSTED, "descriptors", Action.DRAIN),
        (filling(lambda t: 20, lambda t: 20 + 30 * t), VerdictKind.EXHAUSTED, "descriptors", Action.DRAIN),
    ],
)
def test_a_limit_that_is_near_or_has_a_date_is_met_in_order_and_a_warm_up_is_not_touched(
    history: History, kind: VerdictKind, cause: str, action: Action
) -> None:
    verdict = judge(evidence(history), NOW)

    assert (verdict.kind, verdict.cause, verdict.action) == (kind, cause, action), verdict.reason


@pytest.mark.parametrize(
    ("ended_for", "ready_s", "action"),
    [
        ("memory: 95 of 100 MiB memory used", 60.0, Action.ALERT),  # full again within ten minutes
        ("memory: 95 of 100 MiB memory used", 700.0, Action.DRAIN),
        ("descriptors: 60 of 64", 60.0, Action.DRAIN),  # for something else
        ("an operator asked for it", 60.0, Action.DRAIN),
    ],
)
def test_a_limit_that_is_reached_again_soon_after_a_drain_for_it_is_told_and_not_drained_for_ever(
    ended_for: str, ready_s: float, action: Action
) -> None:
    last = ExitReason(kind=ExitKind.SHUTDOWN, detail=ended_for)
    verdict = judge(evidence(filling(lambda t: 95.0), last_exit=last, state_since=NOW - ready_s), NOW)

    assert (verdict.cause, verdict.action) == ("memory", action)


@pytest.mark.parametrize(("name", "cause", "action"), [("disk", "disk", Action.ALERT), ("venue", "ports", Action.SHED)])
def test_calls_that_fail_because_something_is_used_up_are_no_reason_to_restart(
    name: str, cause: str, action: Action
) -> None:
    need = DependencySample(name=name, failures=4, used_failed_at=NOW - 1, error="exhaustion")

    verdict = judge(evidence(dependencies=(need,)), NOW)
    assert (verdict.kind, verdict.cause, verdict.action) == (VerdictKind.EXHAUSTED, cause, action)


def after(told: list[Evidence], every_s: float = 1.0) -> list[Verdict]:
    said: list[Verdict] = []
    for n, one in enumerate(told):
        said.append(judge(one, NOW - every_s * (len(told) - 1 - n), said[-1] if said else None))
    return said


SLOW = Peers(count=3, service_s=0.1, median_s=0.01)


def test_who_is_far_slower_than_its_equals_is_stopped_in_order_once_that_lasted() -> None:
    told = evidence(peers=SLOW)

    first, last = after([told] * 8)[0], after([told] * 8)[-1]
    assert (first.kind, first.cause, first.action) == (VerdictKind.DEGRADED, "outlier", Action.NONE)
    assert last.action is Action.DRAIN
    drained = ExitReason(kind=ExitKind.SHUTDOWN, detail="outlier: ten times slower")
    assert after([msgspec.structs.replace(told, last_exit=drained)] * 8)[-1].action is Action.ALERT


@pytest.mark.parametrize("peers", [Peers(count=1, service_s=1, median_s=0.01), Peers(count=3, service_s=3, median_s=1)])
def test_one_equal_or_a_little_slower_proves_nothing(peers: Peers) -> None:
    assert judge(evidence(peers=peers), NOW).kind is VerdictKind.HEALTHY


QUICK = msgspec.structs.replace(SEEDS, suspect_s=0.3)
GOOD, BAD = evidence(promises=(FRESH,), timing=QUICK), evidence(promises=(BROKEN,), timing=QUICK)


def test_good_and_bad_in_turn_is_one_trouble_and_its_good_moments_are_no_recovery() -> None:
    in_turn = [told for _ in range(4) for told in (GOOD, BAD)]

    said = after(in_turn, every_s=0.4)
    assert [verdict.cause for verdict in said[:4]] == ["", "stale", "", "stale"]
    assert {verdict.cause for verdict in said[4:]} == {"flapping"}
    assert said[-1].action is Action.ALERT
    assert after([*in_turn, *[GOOD] * 130])[-1].kind is VerdictKind.HEALTHY


def test_what_lasts_less_than_a_suspicion_is_no_phase_and_not_flapping() -> None:
    in_turn = [told for _ in range(8) for told in (GOOD, BAD)]

    assert "flapping" not in {verdict.cause for verdict in after(in_turn, every_s=0.2)}


def test_one_bad_time_and_a_recovery_is_no_flapping() -> None:
    assert {verdict.cause for verdict in after([GOOD, BAD, BAD, GOOD, GOOD])} == {"", "stale"}
