"""The ping ladder: some loop has not turned. Which rung answers tells where it hangs.

The picture: knocking at a house floor by floor. R0, a thread without the interpreter, tells that the process runs at
all; R1, the node's main thread, that the interpreter switches threads; R2, an actor's own loop, that this actor takes
messages. CPU tells spinning from blocked, the switches of the waiting threads whether they wait for the interpreter
lock. What was declared (a lease) or is the host's doing (no CPU, no memory, a disk) is no hang.
"""

from __future__ import annotations

from supervisor.verdict.conviction import convict, frozen
from supervisor.verdict.evidence import Evidence
from supervisor.verdict.facts import ActorFacts, Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.testimony import MEMORY_PRESSURE, cpu_words, echo_words, late_word, resting, share
from supervisor.words import VerdictKind


def ladder(evidence: Evidence, facts: Facts, _: Verdict | None) -> Finding | None:
    """Some loop has not turned: R1 splits interpreter from actor, the CPU spinning from blocked."""
    stuck = frozen(facts, facts.hang_s)
    if not stuck:
        return _suspicion(evidence, facts)
    muted = len(stuck) == len(facts.actors) and facts.mute(min(actor.still_s for actor in stuck))
    leased = [actor for actor in (facts.actors if muted else stuck) if actor.lease_s > 0]
    if leased and not muted:
        stuck = tuple(actor for actor in stuck if actor not in leased)
    if leased and (muted or not stuck):
        return _lease(max(leased, key=lambda actor: actor.lease_s))
    worst = max(stuck, key=lambda actor: actor.still_s)
    names = ", ".join(actor.name for actor in stuck)
    if facts.starved and worst.cpu_spent_s < facts.hang_s:
        return Finding(
            kind=VerdictKind.BUSY,
            cause="starved",
            reason=f"{names} has not turned for {worst.still_s:.1f} s, but it waits for a CPU "
            f"({share(facts.run_queue)} of the time runnable, {share(facts.cpu)} running)",
            speaks_for=(f"run-queue delay {share(facts.run_queue)}, CPU {share(facts.cpu)} of one core",),
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
    pages = (evidence.host.memory_pressure or 0.0) >= MEMORY_PRESSURE and not facts.rests
    if pages and worst.still_s < facts.timing.uninterruptible_s:
        return Finding(
            kind=VerdictKind.BUSY,
            cause="memory",
            reason=f"{names} has not turned for {worst.still_s:.1f} s while the host pages "
            f"({share(evidence.host.memory_pressure)} of the time somebody waits for memory)",
            withheld="dump+kill: the host is short of memory; a restart would add load",
            review_s=facts.timing.uninterruptible_s - worst.still_s,
            actor=worst.name,
        )
    if muted:
        silence = f"no pong for {facts.pong_silent_s or 0.0:.1f} s and no loop turns{echo_words(facts)}"
        if facts.cpu is None or facts.spins:
            held_s = min(actor.still_s for actor in stuck)
            if held_s < facts.gil_s:
                return Finding(
                    kind=VerdictKind.BUSY,
                    cause="gil-held",
                    reason=f"{silence} while {share(facts.cpu)} of a core is used: "
                    f"one call holds the interpreter for {held_s:.1f} s (limit {facts.gil_s:.0f} s)",
                    speaks_for=(cpu_words(facts),),
                    withheld="dump+kill: a long native call is allowed that much",
                    review_s=facts.gil_s - held_s,
                    actor=worst.name,
                )
            cause = "gil-spin"
        elif facts.gil_wait is False:  # nobody waits for the interpreter: each of them waits for something else
            cause = "deadlock" if len(stuck) > 1 else "loop-blocked"
        else:
            cause = "gil-blocked"
        gil = cause.startswith("gil")
        reason = f"{silence}: " + ("the interpreter itself is held" if gil else "no thread waits for the interpreter")
        kernel = "threads wait for the interpreter lock (their switches)" if facts.gil_wait and gil else resting(facts)
        return convict(facts, stuck, cause=cause, reason=reason, kernel=kernel, action=Action.KILL)
    if facts.spins:
        cause = "livelock"
    elif len(stuck) > 1 and max(a.still_s for a in stuck) - min(a.still_s for a in stuck) <= facts.timing.suspect_s:
        cause = "deadlock"
    else:
        cause = "actor-stuck" if len(facts.actors) > 1 else "loop-blocked"
    held = f"message in hand for {worst.in_hand_s:.1f} s" if worst.in_hand_s is not None else "no message in hand"
    reason = (
        f"{names} has not turned for {worst.still_s:.1f} s (limit {facts.hang_s:.1f} s), {held}, {cpu_words(facts)}"
    )
    if cause == "deadlock":
        reason += "; they stopped together"
    unasked = _unasked(evidence, facts, worst) if not facts.spins else ""
    if unasked:
        return Finding(
            kind=VerdictKind.UNSURE,
            cause=cause,
            reason=f"{reason}; whether it waits for {unasked} is being asked",
            speaks_against=(f"dependency: {unasked} was not asked since the loop stands still",),
            withheld=f"dump+kill: {unasked} may be the cause and was not asked since",
            actor=worst.name,
        )
    others_work = any(actor.still_s < facts.suspect_s for actor in facts.actors)
    return convict(
        facts,
        stuck,
        cause=cause,
        reason=reason,
        kernel=resting(facts),
        action=Action.RESTART if others_work else Action.KILL,
    )


def _unasked(evidence: Evidence, facts: Facts, stuck: ActorFacts) -> str:
    """What it leans on and was not asked since it stands still: a conviction waits for the answer, though not for
    ever, and not for one that has never answered anything."""
    if stuck.still_s >= 2 * facts.hang_s:
        return ""
    since = facts.now - stuck.still_s
    late = (one.name for one in evidence.dependencies if one.probe_at is not None and one.probe_at < since)
    return next(late, "")


def _lease(actor: ActorFacts) -> Finding:
    return Finding(
        kind=VerdictKind.BUSY,
        cause="lease",
        reason=f"{actor.name} declared long work{f' ({actor.lease_why})' if actor.lease_why else ''}, "
        f"allowed for {actor.lease_s:.1f} s yet; its loop has not turned for {actor.still_s:.1f} s",
        speaks_for=(f"lease: {actor.lease_s:.1f} s left",),
        withheld="dump+kill: it said so before",
        review_s=actor.lease_s,
        actor=actor.name,
    )


def _suspicion(evidence: Evidence, facts: Facts) -> Finding | None:
    """Silence that is long enough to look closer and too short to judge."""
    quiet = [actor for actor in facts.actors if actor.still_s >= facts.suspect_s]
    if quiet and any(actor.lease_s > 0 for actor in quiet):
        return _lease(max(quiet, key=lambda actor: actor.lease_s))
    if quiet:
        worst = max(quiet, key=lambda actor: min(actor.still_s, actor.flat_s))
        left_s = facts.hang_s - min(worst.still_s, worst.flat_s)
        if worst.flat_s < facts.suspect_s:
            late = worst.queue_age_s > facts.timing.queue_goal_s * evidence.observer.factor
            return Finding(
                kind=VerdictKind.BUSY,
                cause=late_word(facts, evidence.host.memory_pressure) if late else "long-message",
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
            f"(beat {facts.timing.beat_s} s, limit {facts.hang_s:.1f} s); {cpu_words(facts)}",
            review_s=left_s,
            actor=worst.name,
        )
    unseen = [actor for actor in facts.actors if not actor.turned]
    if unseen and not facts.kept:  # an output is more than a turn
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
