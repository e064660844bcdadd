"""The two stories this house was built for, replayed by the judge and the parking rule alone, with their clocks."""

from __future__ import annotations

from supervisor.policy import parking
from supervisor.verdict import (
    Action,
    ActorSample,
    CheckResult,
    History,
    KernelSample,
    Look,
    Observer,
    Ping,
    Verdict,
    judge,
)
from supervisor.verdict.evidence import Death, Evidence
from supervisor.words import CrashRecord, ExitKind, ExitReason, State, VerdictKind

MINUTE_S = 60.0


def test_three_services_work_for_33_hours_under_a_red_check_and_none_is_restarted() -> None:
    """The check asks at the wrong place from the first minute; whoever believes it restarts them all day."""
    reasons = {"api": "wrong address family", "feed": "missing client", "risk": "wrong port"}
    histories, said = dict.fromkeys(reasons, History()), dict[str, Verdict]()
    kinds, actions, handled = set(), set(), 0
    for minute in range(33 * 60):
        for name, reason in reasons.items():
            for look in range(3):
                now = minute * MINUTE_S + look
                handled += 1
                actor = ActorSample(name=name, loops=int(now * 2), handled=handled)
                kernel = KernelSample(state="S", started_ticks=1, cpu_s=0.05 * now)
                histories[name] = histories[name].add(Look(at=now, incarnation=1, kernel=kernel, actors=(actor,)))
            red = CheckResult(
                child=name, kind="exec", target="curl -f http://localhost:8080/health", ok=False, at=now - 0.5,
                reason=reason, detail="the same question by another route is answered 200", explained=True,
                failures=minute + 1,
            )  # fmt: skip
            told = Evidence(
                name=name,
                state=State.READY,
                state_since=-MINUTE_S,
                incarnation=1,
                pid=100,
                history=histories[name],
                ping=Ping(answered_at=now - 0.2),
                checks=(red,),
                observer=Observer(valid_since=-MINUTE_S),
            )
            said[name] = verdict = judge(told, now, said.get(name))
            kinds.add(verdict.kind)
            actions.add(verdict.action)
            assert verdict.cause == reason
    assert kinds == {VerdictKind.CHECK_FAULT}
    assert actions == {Action.STRIP_CHECK}
    assert all(verdict.since == 2.0 for verdict in said.values())  # one trouble for 33 hours, not two thousand


BRIDGE = ExitReason(
    kind=ExitKind.START_FAILED,
    code=1,
    crash=CrashRecord(
        phase="import",
        exceptions=("AttributeError",),
        message="module 'bridge' has no attribute 'start'",
        frame="bridge:<module>",
        location="bridge.py:41",
        traceback="",
    ),
    fingerprint="import | code 1 | AttributeError | bridge:<module>",
    prior="code",
)


def test_a_bridge_that_cannot_be_imported_is_started_twice_and_then_parked() -> None:
    """Another supervisor started it eighteen times in a minute, a third one for ever."""
    streak, starts, deaths, now = parking.NONE, 0, (), 0.0
    verdict: Verdict | None = None
    while not parking.is_loop(streak):
        starts, now = starts + 1, now + 0.5
        streak = parking.follow(streak, BRIDGE, worked=False, inputs="v1")
        deaths = (*deaths, Death(at=now, fingerprint=BRIDGE.fingerprint, prior="code", worked=False))
        state = State.QUARANTINED if parking.is_loop(streak) else State.RESTARTING
        told = Evidence(
            name="bridge", state=state, last_exit=BRIDGE, deaths=deaths, crash_loop=state is State.QUARANTINED
        )
        verdict = judge(told, now, verdict)
    assert starts == 2
    assert verdict is not None
    assert (verdict.kind, verdict.cause, verdict.action) == (VerdictKind.CRASH_LOOP, "code", Action.PARK)
    assert "bridge.py:41" in verdict.reason
    assert parking.follow(streak, BRIDGE, worked=False, inputs="v2").count == 1  # new code is a new chance
