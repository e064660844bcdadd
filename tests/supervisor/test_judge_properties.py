"""What must hold for every evidence there can be, whatever the rules are."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.verdict import (
    Action,
    CheckResult,
    Evidence,
    Look,
    Observer,
    Ping,
    PromiseSample,
    Verdict,
    correlate,
    judge,
)
from supervisor.verdict.causes import CAUSES
from supervisor.verdict.evidence import CanarySample, Death, DependencySample, Holder, Host, Peers
from supervisor.verdict.timing import Limits
from supervisor.words import ExitKind, ExitReason, State, VerdictKind
from tests.supervisor.test_judge import (
    BUG,
    FRESH,
    NOW,
    PASSING,
    UNEXPLAINED,
    WRONG_PORT,
    evidence,
    watched,
)

KILLING = (Action.KILL, Action.RESTART)
COSTLY = (*KILLING, Action.RESTART_ACTOR, Action.DRAIN)
LIVING = (State.STARTING, State.RUNNING, State.READY)
DRAINED = (
    (VerdictKind.EXHAUSTED, "memory"),
    (VerdictKind.EXHAUSTED, "descriptors"),
    (VerdictKind.DEGRADED, "outlier"),
)
WITNESSES = {"kernel", "ping", "loop", "function", "dependency"}

seconds = st.one_of(st.just(0.0), st.floats(0, 40), st.just(1e6))
stories = st.fixed_dictionaries(
    {
        "stuck_s": seconds,
        "flat_s": st.none() | seconds,
        "in_hand_s": st.none() | st.floats(0, 40),
        "queued": st.integers(0, 50),
        "queue_age_s": st.floats(0, 40),
        "progress_s": st.none() | st.floats(0, 60),
        "cpu": st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
        "run": st.sampled_from([0.0, 0.2, 0.6, 3.0]),
        "kernel": st.sampled_from(["S", "S", "S", "R", "D", "T", "t", "Z"]),
        "kernel_s": st.floats(0, 40),
        "disk_s": seconds,
        "last_look_s": st.sampled_from([0.0, 0.0, 0.0, 1.0, 10.0]),
        "others": st.integers(0, 2),
        "twins": st.integers(0, 2),
        "vitals": st.sampled_from([True, True, True, False]),
        "watched_s": st.sampled_from([2.0, 6.0, 20.0]),
    }
)
pings = st.builds(
    lambda waiting, answered: Ping(
        waiting_since=None if waiting is None else NOW - waiting,
        answered_at=None if answered is None else NOW - answered,
    ),
    st.none() | st.floats(0, 40),
    st.none() | st.floats(0, 40),
)
check_sets = st.lists(st.sampled_from([WRONG_PORT, UNEXPLAINED, PASSING]), max_size=3).map(tuple)
promises = st.one_of(
    st.just(FRESH),
    st.builds(
        PromiseSample,
        topic=st.just("Tick"),
        at_least_every_s=st.just(2.0),
        last_at=st.none() | st.floats(0, 100).map(lambda age: NOW - age),
        key=st.sampled_from(["", "x"]),
        due=st.booleans(),
        inputs=st.none() | st.integers(0, 100),
        due_since=st.none() | st.floats(0, 100).map(lambda age: NOW - age),
        rhythm_s=st.none() | st.floats(0.1, 10),
        elsewhere=st.none() | st.booleans(),
        changed_at=st.none() | st.floats(0, 100).map(lambda age: NOW - age),
    ),
)
promise_sets = st.lists(promises, max_size=4).map(tuple)
canaries = st.builds(
    CanarySample,
    name=st.just("price"),
    asked_at=st.floats(0, 60).map(lambda age: NOW - age),
    answered_at=st.none() | st.just(NOW),
    ok=st.none() | st.booleans(),
    failures=st.integers(0, 3),
)
dependencies = st.builds(
    DependencySample,
    name=st.sampled_from(["venue", "disk"]),
    probe_ok=st.none() | st.booleans(),
    probe_detail=st.sampled_from(["", "refused", "answered 429"]),
    owner_up=st.none() | st.booleans(),
    used_ok_at=st.none() | st.floats(0, 30).map(lambda age: NOW - age),
    used_failed_at=st.none() | st.floats(0, 30).map(lambda age: NOW - age),
    failures=st.integers(0, 9),
    error=st.sampled_from(["", "upstream", "code", "data", "clock", "exhaustion", "credential"]),
    users=st.integers(1, 3),
    users_failing=st.integers(0, 3),
)
deaths = st.builds(
    Death,
    at=st.floats(0, 1000).map(lambda age: NOW - age),
    fingerprint=st.sampled_from(["a", "b", ""]),
    prior=st.sampled_from(["", "code", "data", "upstream"]),
    worked=st.booleans(),
    in_hand=st.sampled_from(["", "x:Order:7"]),
)
hosts = st.builds(
    Host,
    at=st.just(NOW - 1),
    cpu_pressure=st.none() | st.floats(0, 1),
    memory_pressure=st.none() | st.floats(0, 1),
    sentinel_late_s=st.none() | st.floats(0, 60),
)
exits = st.sampled_from(
    [
        None,
        BUG,
        ExitReason(kind=ExitKind.KILLED, signal=9),
        ExitReason(kind=ExitKind.HUNG),
        ExitReason(kind=ExitKind.HUNG, detail="sticky: venue is back"),
        ExitReason(kind=ExitKind.CRASHED, code=1, prior="conflict"),
        ExitReason(kind=ExitKind.CRASHED, code=1, prior="exhaustion"),
    ]
)
evidences = st.builds(
    lambda story, **fields: evidence(watched(**story), **fields),
    stories,
    state=st.sampled_from([State.READY, State.READY, State.READY, State.RUNNING, *State]),
    desired_up=st.sampled_from([True, True, True, False]),
    state_since=st.floats(0, 1000).map(lambda age: NOW - age),
    ping=pings,
    checks=check_sets,
    promises=promise_sets,
    observer=st.builds(Observer, valid_since=st.floats(-100, 20).map(lambda at: NOW + at), factor=st.floats(1, 8)),
    last_exit=exits,
    crash_loop=st.booleans(),
    hang_after_s=st.sampled_from([0.5, 5.0, 30.0]),
    echo=pings,
    canaries=st.lists(canaries, max_size=3).map(tuple),
    dependencies=st.lists(dependencies, max_size=3).map(tuple),
    deaths=st.lists(deaths, max_size=6).map(tuple),
    holders=st.sampled_from([(), (), (Holder(what="port 80", pid=7, ours=True),), (Holder(what="port 80", pid=7),)]),
    orphans=st.sampled_from([(), (), (), (7,)]),
    peers=st.none() | st.builds(Peers, count=st.integers(1, 3), service_s=st.floats(0, 1), median_s=st.floats(0, 1)),
    host=hosts,
    orders_unread_s=st.sampled_from([0.0, 0.0, 9.0]),
    blind=st.sampled_from(["", "", "", "its page is gone"]),
    limits=st.sampled_from([Limits(), Limits(), Limits(hang_s=20.0, suspect_s=6.0)]),
)
previous = st.none() | st.builds(
    lambda kind, cause, age: Verdict(
        name="feed",
        kind=kind,
        cause=cause,
        reason="…",
        since=NOW - age,
        cause_since=NOW - age,
        next_review=NOW,
        rule="away" if cause == "sticky" else "",
    ),
    st.sampled_from(list(VerdictKind)),
    st.sampled_from(["", "stopped", "actor-stuck", "stale", "sticky", "livelock", "hollow", "outlier"]),
    st.floats(0, 100),
)
many = settings(max_examples=120, deadline=None)


@many
@given(evidences, previous)
def test_every_evidence_gets_a_verdict_with_a_reason_and_a_review(told: Evidence, before: Verdict | None) -> None:
    verdict = judge(told, NOW, before)

    assert verdict.reason
    assert verdict.cause in CAUSES.get(verdict.kind, {verdict.cause})
    assert NOW < verdict.next_review < NOW + 3600
    assert verdict.since <= NOW
    assert verdict == judge(told, NOW, before)


@many
@given(evidences, previous)
def test_whoever_is_killed_alive_has_two_witnesses_against_it_and_none_for_it(
    told: Evidence, before: Verdict | None
) -> None:
    verdict = judge(told, NOW, before)

    if verdict.action not in COSTLY:
        return
    classes = {sentence.partition(":")[0] for sentence in verdict.evidence_for}
    assert told.state in LIVING
    if verdict.action in KILLING:
        assert verdict.kind is VerdictKind.HUNG
        assert verdict.evidence_against == ()
        assert len(classes) >= 2
        assert classes <= WITNESSES
    elif verdict.action is Action.RESTART_ACTOR:
        assert verdict.kind in (VerdictKind.HUNG, VerdictKind.DEGRADED)
        assert len(classes & WITNESSES) >= 2
    else:
        assert (verdict.kind, verdict.cause) in DRAINED


@many
@given(evidences, previous, st.floats(-0.999, 1))
def test_nothing_seen_while_the_observer_was_blind_convicts(
    told: Evidence, before: Verdict | None, when: float
) -> None:
    limit_s = told.hang_after_s * told.observer.factor
    blind = msgspec.structs.replace(told.observer, valid_since=NOW + limit_s * when)

    verdict = judge(msgspec.structs.replace(told, observer=blind), NOW, before)

    assert verdict.action not in COSTLY
    if blind.valid_since > NOW and told.state in LIVING:
        assert verdict.kind is VerdictKind.OBSERVER_STALL


@many
@given(evidences, previous, check_sets)
def test_a_check_neither_convicts_nor_acquits(
    told: Evidence, before: Verdict | None, checks: tuple[CheckResult, ...]
) -> None:
    without = judge(msgspec.structs.replace(told, checks=()), NOW, before).action
    with_them = judge(msgspec.structs.replace(told, checks=checks), NOW, before).action

    assert (with_them if with_them in COSTLY else None) is (without if without in COSTLY else None)


def badness(verdict: Verdict) -> int:
    if verdict.action in (Action.CONTINUE, *COSTLY):
        order = [Action.CONTINUE, Action.DRAIN, Action.RESTART_ACTOR, Action.RESTART, Action.KILL]
        return 3 + order.index(verdict.action)
    return {
        VerdictKind.HEALTHY: 0,
        VerdictKind.STARTING: 0,
        VerdictKind.UNSURE: 2,
        VerdictKind.HUNG: 3,
    }.get(verdict.kind, 1)


@many
@given(evidences, previous, st.booleans())
def test_more_evidence_of_working_never_makes_a_verdict_worse(
    told: Evidence, before: Verdict | None, mark: bool
) -> None:
    turned = tuple(
        msgspec.structs.replace(
            trace.sample,
            loops=trace.sample.loops + 1,
            handled=trace.sample.handled + 1,
            last_progress=NOW if mark else trace.sample.last_progress,
        )
        for trace in told.history.traces
    )
    history = told.history.add(Look(at=told.history.at, incarnation=3, actors=turned))
    # the counters move at the last look: a look that comes later would also be news about the observer
    better = msgspec.structs.replace(told, history=history)

    assert badness(judge(better, NOW, before)) <= badness(judge(told, NOW, before))


@many
@given(evidences, previous)
def test_a_kept_promise_never_makes_a_verdict_worse(told: Evidence, before: Verdict | None) -> None:
    better = msgspec.structs.replace(told, promises=(FRESH,))

    assert badness(judge(better, NOW, before)) <= badness(judge(told, NOW, before))


crowds = st.lists(st.tuples(evidences, previous), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(crowds)
def test_many_at_once_are_never_all_acted_on_and_comparing_makes_nobody_guilty(
    crowd: list[tuple[Evidence, Verdict | None]],
) -> None:
    told = {f"c{n}": msgspec.structs.replace(one, name=f"c{n}") for n, (one, _) in enumerate(crowd)}
    alone = {f"c{n}": judge(told[f"c{n}"], NOW, before) for n, (_, before) in enumerate(crowd)}

    compared = correlate(alone, NOW, told=told)
    for name, verdict in compared.items():
        assert verdict.action not in COSTLY or verdict == alone[name]
    together = [v for v in alone.values() if v.action in COSTLY and v.since > NOW - 3]
    if len(together) >= max(2, (len(crowd) + 1) // 2):
        assert sum(v.action in COSTLY for v in compared.values() if v in together) == 0
