"""The rules of the judge, in the order they are asked; the first that finds something decides.

Each is a small question to `Facts` with a sentence as its answer. The order is docs/health.md's "order of judgement":
observer, wish, exit, kernel, start, ladder, function. A new verdict is a new rule at its place in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.verdict.conviction import all_turn, convict, frozen
from supervisor.verdict.dependency import AWAY, leans, upstream
from supervisor.verdict.endings import conflict, ended
from supervisor.verdict.evidence import CheckResult, Evidence
from supervisor.verdict.facts import Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.words import State, VerdictKind

Rule = Callable[[Evidence, Facts, Verdict | None], Finding | None]

_ALIVE = (State.STARTING, State.RUNNING, State.READY)


def _blind_observer(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """Rule 1. A blind observer convicts nobody; ends are kernel facts and stay valid."""
    left_s = evidence.observer.valid_since - facts.now
    if evidence.state not in _ALIVE or left_s <= 0:
        return None
    return Finding(
        kind=VerdictKind.OBSERVER_STALL,
        cause="settling",
        reason=f"the supervisor itself stood still for {evidence.observer.stall_s:.1f} s; "
        f"it looks again for {left_s:.1f} s before it judges {evidence.name}",
        speaks_for=(f"the root's tick was late by {evidence.observer.late_s:.1f} s",),
        action=Action.VOID,
        review_s=left_s,
        rule=AWAY if previous is not None and previous.rule == AWAY else "",
    )


def _wanted_down(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """Rule 2. Down because somebody asked."""
    if evidence.desired_up:
        return None
    if evidence.state is State.STOPPED:
        return Finding(kind=VerdictKind.STOPPED, reason="stopped, as asked", review_s=60.0)
    if evidence.state in (State.QUARANTINED, State.RESTARTING, State.ZOMBIE):
        return None
    return Finding(
        kind=VerdictKind.STOPPED, cause="stopping", reason=f"was asked to stop and is still {evidence.state}"
    )


def _not_looked_at(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """A live child nobody has looked at, or whose last look is old: the root's fault, not the child's."""
    if evidence.state is not State.READY:
        return None
    if facts.look_age_s is None:
        return Finding(kind=VerdictKind.UNSURE, cause="no-look", reason="nobody has looked at this incarnation yet")
    if facts.look_age_s > facts.suspect_s:
        return Finding(
            kind=VerdictKind.OBSERVER_STALL,
            cause="no-look",
            action=Action.VOID,
            reason=f"the supervisor last looked at it {facts.look_age_s:.1f} s ago (limit {facts.suspect_s:.1f} s)",
        )
    return None


def _kernel_state(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """Rule 4. Traced, stopped, or asleep where no signal reaches."""
    pid, held_s = evidence.pid, facts.kernel_state_s
    if facts.kernel_state == "t":
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
        return convict(
            facts, frozen(facts, facts.hang_s), cause="uninterruptible", reason=what, kernel=what, action=Action.KILL
        )
    return None


def _starting(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """Rule 5. Not ready: it may take its budget, and ten of them while it moves."""
    if evidence.state not in (State.STARTING, State.RUNNING):
        return None
    age_s = facts.now - max(evidence.state_since, evidence.observer.valid_since)
    budget_s = evidence.start_timeout_s * evidence.timing.scale * evidence.observer.factor
    quiet_s = min([actor.still_s for actor in facts.actors] + [actor.flat_s for actor in facts.actors] + [age_s])
    runs = facts.cpu is not None and not facts.rests
    moving = quiet_s < facts.timing.mark_s * evidence.observer.factor or runs
    if age_s <= budget_s or (moving and age_s <= budget_s * facts.timing.start_cap):
        cause = "" if moving else "quiet"
        return Finding(
            kind=VerdictKind.STARTING,
            cause=cause,
            reason=f"started {age_s:.1f} s ago, not ready yet (budget {budget_s:.0f} s)"
            + ("" if moving else f", no movement for {quiet_s:.0f} s"),
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
        kernel=_resting(facts),
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
        kind = VerdictKind.CHECK_FAULT if check.explained else VerdictKind.UNSURE
        return Finding(
            kind=kind,
            cause=(check.reason or "unexplained") if check.explained else "check-unexplained",
            reason=f"{_check_words(check)}; {alive}, no other witness",
            speaks_for=(_check_words(check),),
            withheld="restart: a failing check restarts nothing",
        )
    if facts.broken:
        return _stale(facts, alive)
    if facts.silent(facts.hang_s):
        return Finding(
            kind=VerdictKind.UNSURE,
            cause="main-thread-silent",
            reason=f"{alive}; no pong for {facts.pong_silent_s or 0.0:.1f} s, no other witness",
            withheld="dump+kill: one witness only",
        )
    if facts.kept or facts.passing or facts.answers:
        return Finding(kind=VerdictKind.HEALTHY, reason=f"{alive}; {_good_words(facts)}")
    return Finding(
        kind=VerdictKind.UNSURE,
        cause="no-witness",
        reason=f"{alive}; it declares no vitals, checks or promises, so whether it works cannot be told",
        review_s=10.0,
    )


def _ladder(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """Rule 8. Some loop has not turned: R1 splits interpreter from actor, the CPU spinning from blocked."""
    stuck = frozen(facts, facts.hang_s)
    if not stuck:
        return _suspicion(facts)
    worst = max(stuck, key=lambda actor: actor.still_s)
    names = ", ".join(actor.name for actor in stuck)
    all_frozen = len(stuck) == len(facts.actors)
    if facts.starved and worst.cpu_spent_s < facts.hang_s:
        return Finding(
            kind=VerdictKind.BUSY,
            cause="starved",
            reason=f"{names} has not turned for {worst.still_s:.1f} s, but it waits for a CPU "
            f"({_share(facts.run_queue)} of the time runnable, {_share(facts.cpu)} running)",
            speaks_for=(f"run-queue delay {_share(facts.run_queue)}, CPU {_share(facts.cpu)} of one core",),
            withheld="dump+kill: the host starves it; a restart would add load",
            actor=worst.name,
        )
    if facts.disk_s > 0 and worst.still_s < facts.timing.uninterruptible_s:
        return Finding(
            kind=VerdictKind.BUSY,
            cause="disk-wait",
            reason=f"{names} has not turned for {worst.still_s:.1f} s; a thread waits for the disk or another device "
            f"(state D for {facts.disk_s:.1f} s, limit {facts.timing.uninterruptible_s:.0f} s)",
            withheld="dump+kill: the kernel makes it wait",
            review_s=facts.timing.uninterruptible_s - worst.still_s,
            actor=worst.name,
        )
    if all_frozen and facts.mute(min(actor.still_s for actor in stuck)):
        silence = f"no pong for {facts.pong_silent_s or 0.0:.1f} s and no loop turns"
        if facts.cpu is None or facts.spins:
            held_s = min(actor.still_s for actor in stuck)
            if held_s < facts.gil_s:
                return Finding(
                    kind=VerdictKind.BUSY,
                    cause="gil-held",
                    reason=f"{silence} while {_share(facts.cpu)} of a core is used: "
                    f"one call holds the interpreter for {held_s:.1f} s (limit {facts.gil_s:.0f} s)",
                    speaks_for=(_cpu_words(facts),),
                    withheld="dump+kill: a long native call is allowed that much",
                    review_s=facts.gil_s - held_s,
                    actor=worst.name,
                )
            cause = "gil-spin"
        else:
            cause = "gil-blocked"
        reason = f"{silence}: the interpreter itself is held"
        return convict(facts, stuck, cause=cause, reason=reason, kernel=_resting(facts), action=Action.KILL)
    if facts.spins:
        cause = "livelock"
    elif len(stuck) > 1 and max(a.still_s for a in stuck) - min(a.still_s for a in stuck) <= facts.timing.suspect_s:
        cause = "deadlock"
    else:
        cause = "actor-stuck"
    held = f"message in hand for {worst.in_hand_s:.1f} s" if worst.in_hand_s is not None else "no message in hand"
    reason = (
        f"{names} has not turned for {worst.still_s:.1f} s (limit {facts.hang_s:.1f} s), {held}, {_cpu_words(facts)}"
    )
    if cause == "deadlock":
        reason += "; they stopped together"
    others_work = any(actor.still_s < facts.suspect_s for actor in facts.actors)
    return convict(
        facts,
        stuck,
        cause=cause,
        reason=reason,
        kernel=_resting(facts),
        action=Action.RESTART if others_work else Action.KILL,
    )


def _suspicion(facts: Facts) -> Finding | None:
    """Silence that is long enough to look closer and too short to judge."""
    quiet = [actor for actor in facts.actors if actor.still_s >= facts.suspect_s]
    if quiet:
        worst = max(quiet, key=lambda actor: min(actor.still_s, actor.flat_s))
        left_s = facts.hang_s - min(worst.still_s, worst.flat_s)
        if worst.flat_s < facts.suspect_s:
            return Finding(
                kind=VerdictKind.BUSY,
                cause="long-message",
                reason=f"the loop of {worst.name} has not turned for {worst.still_s:.1f} s, "
                f"but it worked {worst.flat_s:.1f} s ago",
                speaks_for=(f"work finished or progress marked {worst.flat_s:.1f} s ago",),
                review_s=left_s,
                actor=worst.name,
            )
        if worst.in_hand_s is not None:
            return Finding(
                kind=VerdictKind.BUSY,
                cause="long-message",
                reason=f"{worst.name} has one message in hand for {worst.in_hand_s:.1f} s (limit {facts.hang_s:.1f} s)",
                speaks_against=(f"the loop of {worst.name} has not turned for {worst.still_s:.1f} s",),
                review_s=left_s,
                actor=worst.name,
            )
        return Finding(
            kind=VerdictKind.BUSY if facts.starved else VerdictKind.UNSURE,
            cause="starved" if facts.starved else "loop-silent",
            reason=f"the loop of {worst.name} has not turned for {worst.still_s:.1f} s "
            f"(beat {facts.timing.beat_s} s, limit {facts.hang_s:.1f} s); {_cpu_words(facts)}",
            review_s=left_s,
            actor=worst.name,
        )
    unseen = [actor for actor in facts.actors if not actor.turned]
    if unseen:
        return Finding(
            kind=VerdictKind.UNSURE,
            cause="not-seen-yet",
            reason=f"the loop of {unseen[0].name} was not seen to turn yet, in {facts.watched_s:.1f} s of watching",
            review_s=facts.suspect_s,
            actor=unseen[0].name,
        )
    if facts.silent(facts.hang_s):
        return Finding(
            kind=VerdictKind.DEGRADED,
            cause="main-thread-silent",
            reason=f"no pong for {facts.pong_silent_s or 0.0:.1f} s, but its actors turn: orders may not reach it",
            speaks_against=("every actor's loop turns",),
            withheld="dump+kill: the actors work",
        )
    lazy = [actor for actor in facts.actors if actor.owes_s >= facts.hang_s and actor.in_hand_s is None]
    if lazy and not facts.kept:
        worst = max(lazy, key=lambda actor: actor.owes_s)
        return Finding(
            kind=VerdictKind.UNSURE,
            cause="takes-no-work",
            reason=f"the loop of {worst.name} turns, but {worst.queued} messages wait and none was finished "
            f"for {worst.owes_s:.1f} s",
            speaks_against=(f"the loop of {worst.name} turns",),
            withheld="restart: one witness only",
            actor=worst.name,
        )
    return None


def _function(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding:
    """Rule 7. Every loop turns. What it does counts; what a check says about it is only a remark."""
    good = _good_words(facts)
    if facts.failing:
        check = next((result for result in facts.failing if result.explained), facts.failing[0])
        words = _check_words(check)
        works = facts.handled > 0 or bool(facts.kept) or any(actor.works for actor in facts.actors)
        if works or check.explained:
            return Finding(
                kind=VerdictKind.CHECK_FAULT,
                cause=check.reason or "unexplained",
                reason=f"CHECK_FAULT {check.reason or 'unexplained'}: {check.detail or words}; "
                + (f"function works ({good})" if works else f"it is idle and answers ({good})"),
                speaks_for=(good,),
                speaks_against=(words,),
                withheld="restart: the check is at fault, not the child",
            )
        return Finding(
            kind=VerdictKind.UNSURE,
            cause="check-unexplained",
            reason=f"{words}; the child is idle, its loops turn, and nothing shows which of the two is wrong",
            speaks_for=(words,),
            speaks_against=(good,),
            withheld="restart: a failing check restarts nothing",
        )
    late = [actor for actor in facts.actors if actor.queue_age_s > facts.timing.queue_goal_s * evidence.observer.factor]
    if late:
        worst = max(late, key=lambda actor: actor.queue_age_s)
        return Finding(
            kind=VerdictKind.BUSY,
            cause="starved" if facts.starved else "queue",
            reason=f"{worst.name} works but is late: {worst.queued} messages wait, "
            f"the oldest for {worst.queue_age_s:.1f} s ({good})",
            speaks_for=(good,),
            withheld="restart: it would lose warm state and add load",
            actor=worst.name,
        )
    if facts.broken:
        return _stale(facts, good)
    return Finding(kind=VerdictKind.HEALTHY, cause="" if facts.handled else "idle", reason=good)


RULES: tuple[Rule, ...] = (
    _blind_observer,
    _wanted_down,
    ended,
    _not_looked_at,
    _kernel_state,
    _starting,
    _leftover,
    leans,
    _no_witness,
    _ladder,
    _function,
)


def _resting(facts: Facts) -> str:
    if not facts.rests:
        return ""
    return f"uses {_share(facts.cpu)} of a core and wants no more, though it should beat"


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"


def _cpu_words(facts: Facts) -> str:
    return "CPU unknown" if facts.cpu is None else f"CPU {facts.cpu:.0%} of one core"


def _good_words(facts: Facts) -> str:
    parts = []
    if facts.handled > 0:
        parts.append(f"{facts.handled} messages in {facts.handled_s:.0f} s")
    elif any(actor.works for actor in facts.actors):
        parts.append("work was finished a moment ago")
    parts.extend(f"{promise.topic} is fresh" for promise in facts.kept)
    if not parts and facts.actors:
        parts.append("idle, every loop turns")
    if facts.answers:
        parts.append("pings answered")
    parts.extend(f"{check.kind} {check.target} passes" for check in facts.passing)
    return ", ".join(parts) or "nothing speaks against it"


def _check_words(check: CheckResult) -> str:
    times = f", {check.failures} in a row" if check.failures > 1 else ""
    return f"check {check.kind} {check.target} fails{times}" + (f": {check.detail}" if check.detail else "")


def _stale(facts: Facts, good: str) -> Finding:
    promise = facts.broken[0]
    last = "never" if promise.last_at is None else f"{facts.now - promise.last_at:.1f} s ago"
    return Finding(
        kind=VerdictKind.DEGRADED,
        cause="stale",
        reason=f"{promise.topic} was last produced {last}, promised every {promise.at_least_every_s:g} s ({good})",
        speaks_for=tuple(f"promise {broken.topic} is broken" for broken in facts.broken),
        speaks_against=(good,),
        withheld="restart: it is alive; whether its source is quiet is not known",
    )
