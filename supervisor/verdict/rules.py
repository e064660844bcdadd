"""The rules of the judge, in the order they are asked; the first that finds something decides.

Each is a small question to `Facts` with a sentence as its answer. The order is docs/health.md's "order of judgement":
observer, wish, exit, kernel, start, ladder, function. A new verdict is a new rule at its place in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.verdict.conviction import all_turn, convict, frozen
from supervisor.verdict.dependency import leans, upstream
from supervisor.verdict.endings import conflict, ended
from supervisor.verdict.evidence import Evidence
from supervisor.verdict.facts import Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.function import function, stale
from supervisor.verdict.ladder import ladder
from supervisor.verdict.observer import blind, house_stands_still, not_looked_at, settling
from supervisor.verdict.resources import resources
from supervisor.verdict.testimony import ago, asleep, check_words, good_words, resting
from supervisor.words import State, VerdictKind

Rule = Callable[[Evidence, Facts, Verdict | None], Finding | None]


def _stuck_stopping(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """It was asked to stop while it hung: a message in hand since before, and no turn since. It cannot obey."""
    if evidence.state is not State.STOPPING:
        return None
    age_s = max(0.0, facts.now - evidence.state_since)
    # that it stood still already is told by its message: a calm one may first have been looked at after the order
    stuck = [a for a in facts.actors if a.still_s >= facts.hang_s and (a.in_hand_s or 0.0) >= age_s]
    stopped = facts.kernel_state == "T" and facts.kernel_state_s >= facts.timing.stopped_s
    if not stuck and not stopped:
        return None
    what = "it is stopped (state T)" if stopped else f"{stuck[0].name} has not turned for {stuck[0].still_s:.1f} s"
    known = previous.cause if previous is not None and previous.kind is VerdictKind.HUNG else ""
    return Finding(
        kind=VerdictKind.HUNG,
        cause=known or "while-stopping",  # what it was convicted of is why it is asked to stop
        reason=f"was asked to stop {age_s:.1f} s ago and cannot obey: {what}",
        speaks_for=(f"kernel: {what}" if stopped else f"loop: {what}",),
        withheld="dump+kill: the kill at the end of shutdown_s is under way",
        actor=stuck[0].name if stuck else "",
    )


def _wanted_down(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """Down because somebody asked."""
    if evidence.desired_up:
        return None
    if evidence.state is State.STOPPED:
        asked = evidence.state_since > 0 or evidence.last_exit is not None
        words = "stopped, as asked" if asked else "not started since the server began"
        return Finding(kind=VerdictKind.STOPPED, reason=words, review_s=60.0)
    if evidence.state in (State.QUARANTINED, State.RESTARTING, State.ZOMBIE):
        return None
    return Finding(
        kind=VerdictKind.STOPPED, cause="stopping", reason=f"was asked to stop and is still {evidence.state}"
    )


def _kernel_state(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """Traced, stopped, or asleep where no signal reaches."""
    pid, held_s = evidence.pid, facts.kernel_state_s
    if facts.kernel_state == "t" or facts.traced:
        return Finding(
            kind=VerdictKind.UNSURE,
            cause="debug-hold",
            reason=f"a debugger holds pid {pid}; nothing is done while it is attached",
            withheld="any action: a tracer is attached",
        )
    if facts.kernel_state in ("Z", "X"):
        return Finding(
            kind=VerdictKind.UNSURE, cause="exit-pending", reason=f"pid {pid} has ended; its exit is awaited"
        )
    if facts.kernel_state == "T" and held_s >= facts.timing.stopped_s:
        what = f"pid {pid} is stopped (state T) for {held_s:.1f} s"
        tried_s = (
            facts.now - max(previous.cause_since, evidence.observer.valid_since)
            if previous is not None and previous.cause == "stopped"
            else 0.0
        )
        if tried_s < facts.hang_s:
            return Finding(
                kind=VerdictKind.HUNG,
                cause="stopped",
                reason=f"{what}; it is told to continue",
                speaks_for=(what,),
                action=Action.CONTINUE,
                withheld=f"dump+kill: SIGCONT comes first, the next step is due in {facts.hang_s - tried_s:.1f} s",
                review_s=facts.hang_s - tried_s,
            )
        return convict(
            facts,
            facts.actors,
            cause="stopped",
            reason=f"{what} and did not continue for {tried_s:.1f} s after SIGCONT",
            kernel=what,
            action=Action.KILL,
        )
    if facts.disk_s >= facts.timing.uninterruptible_s and not all_turn(facts):
        what = f"a thread of pid {pid} is in uninterruptible sleep (state D) for {facts.disk_s:.1f} s"
        what += f", {where}" if (where := asleep(facts)) else ""
        return convict(
            facts, frozen(facts, facts.hang_s), cause="uninterruptible", reason=what, kernel=what, action=Action.KILL
        )
    return None


def _starting(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """Not ready: it may take its budget, ten of them while it moves, and what it declared as long work."""
    if evidence.state not in (State.STARTING, State.RUNNING):
        return None
    age_s = facts.now - max(evidence.state_since, evidence.observer.valid_since)
    budget_s = max(evidence.start_timeout_s * evidence.timing.scale, evidence.limits.start_s) * evidence.observer.factor
    quiet_s = min([actor.still_s for actor in facts.actors] + [actor.flat_s for actor in facts.actors] + [age_s])
    runs = facts.cpu is not None and not facts.rests
    moving = quiet_s < facts.timing.mark_s * evidence.observer.factor or runs
    if age_s <= budget_s or (moving and age_s <= budget_s * facts.timing.start_cap):
        cause = ("contention" if facts.starved else "") if moving else "quiet"
        return Finding(
            kind=VerdictKind.STARTING,
            cause=cause,
            reason=f"started {age_s:.1f} s ago, not ready yet (budget {budget_s:.0f} s)"
            + ("" if moving else f", no movement for {quiet_s:.0f} s"),
        )
    leased = max(facts.actors, key=lambda actor: actor.lease_s, default=None)
    if leased is not None and leased.lease_s > 0:
        why = f" ({leased.lease_why})" if leased.lease_why else ""
        return Finding(
            kind=VerdictKind.STARTING,
            reason=f"started {age_s:.1f} s ago, not ready yet (budget {budget_s:.0f} s); {leased.name} declared long "
            f"work{why}, allowed for {leased.lease_s:.1f} s yet",
            speaks_for=(f"lease: {leased.lease_s:.1f} s left",),
            withheld="dump+kill: it said so before",
            review_s=leased.lease_s,
            actor=leased.name,
        )
    gated = upstream(evidence, facts)
    if gated is not None:
        return gated
    return convict(
        facts,
        facts.actors,
        cause="startup-hang",
        reason=f"not ready {age_s:.0f} s after its start (budget {budget_s:.0f} s), "
        + ("although it still moves" if moving else f"no movement for {quiet_s:.0f} s"),
        kernel=resting(facts),
        function=f"init has not finished in {age_s:.0f} s",
        action=Action.KILL,
        starting=True,
    )


def _leftover(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """It lives, and so does what an earlier incarnation left behind: two of them act in one name."""
    if evidence.state is not State.READY or not evidence.orphans:
        return None
    return conflict(evidence, f"while {evidence.name} runs as pid {evidence.pid}")


def _no_witness(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """A program that declares no vitals: its existence is known, its work is not."""
    if facts.actors:
        return None
    alive = f"pid {evidence.pid} exists (state {facts.kernel_state or 'unknown'})"
    if facts.failing:
        check = facts.failing[0]
        if check.reason == SERVER_GONE:
            return Finding(
                kind=VerdictKind.CONFLICT,
                cause="wrapper",
                reason=f"{check.detail}; what is supervised is not what does the work ({alive})",
                speaks_for=(f"{check_words(check)}, {ago(facts.now, check.at)}",),
                action=Action.ALERT,
                withheld="restart: what we supervise has not ended; let it exec the program and its end is seen",
            )
        kind = VerdictKind.CHECK_FAULT if check.explained else VerdictKind.UNSURE
        return Finding(
            kind=kind,
            cause=(check.reason or "unexplained") if check.explained else "check-unexplained",
            reason=f"{check_words(check)}; {alive}, no other witness",
            speaks_for=(f"{check_words(check)}, {ago(facts.now, check.at)}",),
            action=Action.STRIP_CHECK if check.explained else Action.NONE,
            withheld="restart: a failing check restarts nothing",
        )
    if facts.broken:
        return stale(evidence, facts, alive)
    if facts.silent(facts.hang_s):
        works = bool(facts.kept)
        return Finding(
            kind=VerdictKind.DEGRADED if works else VerdictKind.UNSURE,
            cause="main-thread-silent",
            reason=f"{alive}; no pong for {facts.pong_silent_s or 0.0:.1f} s, "
            + (f"but {good_words(facts)}" if works else "no other witness"),
            withheld="dump+kill: it works" if works else "dump+kill: one witness only",
        )
    if facts.kept or facts.passing or facts.answers:
        return Finding(kind=VerdictKind.HEALTHY, reason=f"{alive}; {good_words(facts)}")
    return Finding(
        kind=VerdictKind.UNSURE,
        cause="no-witness",
        reason=f"{alive}; it declares no vitals, checks or promises, so whether it works cannot be told",
        review_s=10.0,
    )


SERVER_GONE = "server gone"  # a reason of evidence/counterprobe.py


RULES: tuple[Rule, ...] = (
    settling,
    _stuck_stopping,
    _wanted_down,
    ended,
    not_looked_at,
    _kernel_state,
    blind,
    house_stands_still,
    _starting,
    _leftover,
    leans,
    _no_witness,
    ladder,
    resources,
    function,
)
