"""The function witness: every loop turns, so what does the child do, and what should it?

The picture: a shop whose lights are on. Promises are the deliveries it owes, canaries the customer who asks for
something whose answer he knows, a check the passer-by who says "closed". Deliveries count, the passer-by is a remark.
Whether an absent delivery is the shop's fault, the neighbours who buy from the same source can tell.
"""

from __future__ import annotations

from supervisor.verdict.conviction import tried
from supervisor.verdict.evidence import CanarySample, DependencySample, Evidence, PromiseSample
from supervisor.verdict.facts import Facts, is_frozen, limit_of
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.testimony import check_words, cpu_words, good_words, late_word
from supervisor.words import VerdictKind

REPEATS = 20  # times the very same message, in a row
OUTLIER_S = 0.02  # a message may cost so much more than its equals' without anybody caring
FRESH_GAPS = 10.0
FRESH_TERMS = 5.0  # a promised term is longer than the rhythm it stands for
CEASED = 2.5  # times T_fresh: what comes and goes within that is flapping, not gone
RETURN_WINDOWS = 3.0  # times T_hang after the last failed call to a dependency
FEW = 0.25  # share of its keys that fail: the rest is what counts


def function(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding:
    """It always has an answer: the last rule."""
    good = good_words(facts)
    return (
        _again(evidence, facts, previous)
        or _asked(evidence, facts, previous, good)
        or _deaf(evidence, facts, good)
        or _outlier(evidence, facts, previous, good)
        or _late(evidence, facts, good)
        or (stale(evidence, facts, good, previous) if facts.broken else None)
        or _check(facts, good)
        or Finding(kind=VerdictKind.HEALTHY, cause="" if facts.handled else "idle", reason=good)
    )


def _again(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """The same message again and again: the loop turns and nothing comes of it (C15)."""
    worst = max(facts.actors, key=lambda actor: actor.repeats, default=None)
    if worst is None or worst.repeats < REPEATS:
        return None
    what = f"the same message {worst.repeats} times in a row" + (f" ({worst.in_hand})" if worst.in_hand else "")
    return _two_keys(
        evidence,
        facts,
        previous,
        cause="livelock",
        reason=f"{worst.name} is given {what}",
        against=(f"loop: {what}", "function: nothing else was finished meanwhile"),
        action=Action.RESTART_ACTOR,  # what came by wire is handled, and does not come again
        actor=worst.name,
    )


def _two_keys(
    evidence: Evidence,
    facts: Facts,
    previous: Verdict | None,
    *,
    cause: str,
    reason: str,
    against: tuple[str, ...],
    action: Action,
    actor: str,
) -> Finding:
    """`conviction.convict` for a hang whose loop turns: both keys for the whole window, no promise kept meanwhile."""
    lasted_s = 0.0
    if previous is not None and previous.cause == cause:
        lasted_s = max(0.0, facts.now - max(previous.cause_since, evidence.observer.valid_since))
    favour = tuple(f"function: {kept.topic} was produced within the window" for kept in facts.kept)
    if action is Action.RESTART_ACTOR and tried(evidence, facts, cause):
        action = Action.RESTART  # as one convicted of a hang: the tree counts it, and parks one that does it on and on
    missing = ""
    if min(lasted_s, facts.watched_s) < facts.hang_s:
        missing = f"it was seen for {lasted_s:.1f} s, the window is {facts.hang_s:.1f} s"
    elif favour:
        missing = favour[0]
    return Finding(
        kind=VerdictKind.UNSURE if missing else VerdictKind.HUNG,
        cause=cause,
        reason=reason,
        speaks_for=against,
        speaks_against=favour,
        action=Action.NONE if missing else action,
        withheld=f"{action}: {missing}" if missing else "",
        actor=actor,
    )


def _asked(evidence: Evidence, facts: Facts, previous: Verdict | None, good: str) -> Finding | None:
    """Questions with a known answer."""
    wrong = [one for one in evidence.canaries if one.ok is not True and one.failures >= 2]
    silent = [one for one in evidence.canaries if _unanswered(one, evidence, facts)]
    if wrong:
        first = wrong[0]
        few = len(evidence.canaries) > 2 and len(wrong) <= FEW * len(evidence.canaries)
        action, withheld = _once(evidence, facts, previous, "wrong")
        if few:
            action, withheld = Action.NONE, "restart: the rest of its answers is right"
        return Finding(
            kind=VerdictKind.DEGRADED,
            cause="partial" if few else "wrong",
            reason=f"asked {first.name} it answers {first.answer!r}, right is {first.expect!r}, "
            f"{first.failures} times in a row ({good})",
            speaks_for=tuple(f"function: canary {one.name} is wrong" for one in wrong),
            action=action,
            withheld=withheld,
            actor=first.actor,
        )
    if silent:
        first = silent[0]
        works = facts.handled > 0 or bool(facts.kept)
        return Finding(
            kind=VerdictKind.DEGRADED if works else VerdictKind.UNSURE,
            cause="canary-silent",
            reason=f"{first.name} was asked {facts.now - first.asked_at:.1f} s ago and is not answered ({good})",
            speaks_for=(f"function: canary {first.name} is not answered",),
            speaks_against=("loop: every loop turns",),
            withheld="restart: one witness only",
            actor=first.actor,
        )
    return None


def _unanswered(one: CanarySample, evidence: Evidence, facts: Facts) -> bool:
    if one.answered_at is not None and one.answered_at >= one.asked_at:
        return False
    since = max(one.asked_at, evidence.observer.valid_since)
    return facts.now - since > max(one.timeout_s * evidence.observer.factor, facts.hang_s)


def _deaf(evidence: Evidence, facts: Facts, good: str) -> Finding | None:
    """It works, and our orders to it are not read."""
    if evidence.orders_unread_s < facts.hang_s:
        return None
    return Finding(
        kind=VerdictKind.DEGRADED,
        cause="deaf",
        reason=f"its link has been full for {evidence.orders_unread_s:.1f} s: our orders are not read ({good})",
        speaks_for=("ping: orders wait unread",),
        speaks_against=(good,),
        withheld="restart: it works",
    )


def _outlier(evidence: Evidence, facts: Facts, previous: Verdict | None, good: str) -> Finding | None:
    """Far slower than its equals at the same kind of work: fail-slow. With fewer than two equals nobody can tell."""
    peers = evidence.peers
    was = previous is not None and previous.cause == "outlier"
    times = facts.timing.outlier * (0.6 if was else 1.0)
    if peers is None or peers.count < 2 or facts.starved or peers.service_s - peers.median_s < OUTLIER_S:
        return None
    if peers.service_s < times * max(peers.median_s, 1e-4):
        return None
    lasted_s = facts.now - max(previous.cause_since, evidence.observer.valid_since) if was and previous else 0.0
    again = tried(evidence, facts, "outlier")
    ready = min(lasted_s, facts.watched_s) >= facts.hang_s
    withheld = "" if ready else f"drain: it was seen for {max(lasted_s, 0.0):.1f} s, not {facts.hang_s:.1f} s"
    if again:
        withheld = "drain: it was restarted for this already, and it did not help"
    return Finding(
        kind=VerdictKind.DEGRADED,
        cause="outlier",
        reason=f"it needs {peers.service_s * 1e3:.1f} ms per message, its {peers.count} equals "
        f"{peers.median_s * 1e3:.1f} ms ({good})",
        speaks_for=(f"function: {peers.service_s / max(peers.median_s, 1e-4):.1f} times slower than its equals",),
        speaks_against=(good,),
        action=Action.ALERT if again else Action.DRAIN if ready else Action.NONE,
        withheld=withheld,
    )


def _late(evidence: Evidence, facts: Facts, good: str) -> Finding | None:
    """Work is done, and it is done late."""
    goal_s = facts.timing.queue_goal_s * evidence.observer.factor
    late = [actor for actor in facts.actors if actor.queue_age_s > goal_s]
    if not late:
        return None
    worst = max(late, key=lambda actor: actor.queue_age_s)
    return Finding(
        kind=VerdictKind.BUSY,
        cause=late_word(facts, evidence.host.memory_pressure),
        reason=f"{worst.name} works but is late: {worst.queued} messages wait, "
        f"the oldest for {worst.queue_age_s:.1f} s ({good})",
        speaks_for=(good,),
        action=Action.SHED if facts.growing and not facts.starved else Action.NONE,
        withheld="restart: it would lose warm state and add load",
        actor=worst.name,
    )


def stale(evidence: Evidence, facts: Facts, good: str, previous: Verdict | None = None) -> Finding:
    """A promised output is absent. Others see data: its own fault. Nobody does: the source. Nobody knows: said."""
    promise = facts.broken[0]
    said = tuple(f"function: {_name(broken)} is absent" for broken in facts.broken)
    checks = tuple(check_words(check) for check in facts.failing)
    reason = _absence(evidence, facts, promise) + f" ({good})"
    never = all(broken.last_at is None for broken in facts.broken)
    seen = [broken for broken in facts.broken if broken.elsewhere]
    if never and not seen and not facts.kept and facts.now - evidence.state_since < facts.timing.early_ready_s:
        return Finding(
            kind=VerdictKind.STARTING,
            cause="early-ready",
            reason=f"it said ready {facts.now - evidence.state_since:.1f} s ago and has produced nothing yet; {reason}",
            speaks_for=said,
            withheld="restart: it may still be starting",
        )
    if not seen and any(broken.elsewhere is False for broken in facts.broken) and not facts.kept:
        return Finding(
            kind=VerdictKind.UPSTREAM,
            cause="source",
            reason=f"{reason}; no other user of the source sees data either",
            speaks_for=said,
            action=Action.GATE,
            withheld="restart: the source itself is silent",
        )
    every = len(facts.broken) + len(facts.kept)
    if not seen and len(facts.broken) <= FEW * every:
        return Finding(
            kind=VerdictKind.DEGRADED,
            cause="partial",
            reason=f"{len(facts.broken)} of {every} promised outputs are absent: {reason}",
            speaks_for=said,
            speaks_against=tuple(f"function: {_name(kept)} is fresh" for kept in facts.kept[:3]),
            withheld="restart: the rest of its work would stop too",
        )
    mine = seen or [broken for broken in facts.broken if broken.inputs] or _ceased(evidence, facts)
    if mine and facts.spins and not facts.kept:
        return _two_keys(
            evidence,
            facts,
            previous,
            cause="hollow",
            reason=f"it burns {cpu_words(facts)} and {reason}",
            against=(f"kernel: {cpu_words(facts)}", *said),
            action=Action.RESTART_ACTOR,
            actor=mine[0].actor,
        )
    return _own_fault(evidence, facts, previous, mine, said, checks, good, reason)


def _own_fault(
    evidence: Evidence,
    facts: Facts,
    previous: Verdict | None,
    mine: list[PromiseSample],
    said: tuple[str, ...],
    checks: tuple[str, ...],
    good: str,
    reason: str,
) -> Finding:
    """DEGRADED.stale: the one actor is started again if two witnesses hold it for the whole window, and once only."""
    why = ""
    if mine and mine[0].elsewhere:
        why = "the others who hear the same source see data"
    elif mine and mine[0].inputs:
        why = "its inputs come in"
    elif mine:
        why = f"it came every {mine[0].rhythm_s or mine[0].at_least_every_s:.2g} s, and nothing it depends on is away"
    action, withheld = _once(evidence, facts, previous, "stale")
    failed = next((one for one in evidence.dependencies if _failed_lately(one, facts)), None)
    if failed is not None and action is Action.RESTART_ACTOR:
        action = Action.NONE
        withheld = f"restart actor: its calls to {failed.name} failed a moment ago, it may be on its way back"
    if not mine:
        action, withheld = Action.NONE, "restart: it is alive; whether its source is quiet is not known"
    return Finding(
        kind=VerdictKind.DEGRADED,
        cause="stale",
        reason=f"{reason}; {why}" if mine else reason,
        speaks_for=(*said, f"dependency: {why}") if mine else said,
        speaks_against=(*checks, good),
        action=action,
        withheld=withheld,
        actor=(mine or facts.broken)[0].actor,
    )


def _once(evidence: Evidence, facts: Facts, previous: Verdict | None, cause: str) -> tuple[Action, str]:
    """The one restart of an actor that a lasting complaint about its work is worth: (advice, what is withheld)."""
    if tried(evidence, facts, cause):
        return Action.ALERT, "restart actor: it was restarted for this already, and it did not help"
    lasted_s = 0.0
    if previous is not None and previous.cause == cause:
        lasted_s = max(0.0, facts.now - max(previous.cause_since, evidence.observer.valid_since))
    if min(lasted_s, facts.watched_s) < facts.hang_s:
        return Action.NONE, f"restart actor: it was seen for {lasted_s:.1f} s, not {facts.hang_s:.1f} s"
    return Action.RESTART_ACTOR, ""


def _failed_lately(one: DependencySample, facts: Facts) -> bool:
    """Its last real call that failed is so recent that it may still be on its way back (a retry waits some seconds)."""
    return one.used_failed_at is not None and facts.now - one.used_failed_at <= RETURN_WINDOWS * facts.hang_s


def _ceased(evidence: Evidence, facts: Facts) -> list[PromiseSample]:
    """Outputs promised without a condition that came in a rhythm of their own and ceased: ten times its length ago,
    and 2.5 times T_fresh (docs/health.md), while all it declares to depend on is known to answer. Before a rhythm is
    learned five promised terms count; one that was never kept at all is no output that ceased."""
    if any(one.probe_ok is not True and one.owner_up is not True for one in evidence.dependencies):
        return []
    found = []
    for broken in facts.broken:
        long_s = FRESH_GAPS * broken.rhythm_s if broken.rhythm_s else FRESH_TERMS * broken.at_least_every_s
        since = broken.changed_at if broken.changed_at is not None else broken.last_at
        if broken.inputs is not None or broken.elsewhere is False or since is None:
            continue
        if facts.now - since >= max(CEASED * facts.timing.fresh_s, long_s):
            found.append(broken)
    return found


def _name(promise: PromiseSample) -> str:
    return f"{promise.topic} {promise.key}".strip()


def _absence(evidence: Evidence, facts: Facts, promise: PromiseSample) -> str:
    limit_s = limit_of(promise) * evidence.observer.factor
    since = max(evidence.state_since, evidence.observer.valid_since)
    comes = promise.last_at is not None and facts.now - promise.last_at <= limit_s
    if comes and promise.changed_at is not None and is_frozen(promise, facts.now, since, limit_s):
        return f"{_name(promise)} comes, but has said the same for {facts.now - promise.changed_at:.1f} s"
    last = "never" if promise.last_at is None else f"{facts.now - promise.last_at:.1f} s ago"
    return f"{_name(promise)} was last produced {last}, promised every {promise.at_least_every_s:g} s"


def _flaky(facts: Facts, good: str) -> Finding:
    """It says no now and then, and its child works: told with its rate (F27)."""
    check = facts.flaky[0]
    rate = f"{check.refused} of {check.asked} questions, {check.episodes} times anew"
    often = f"{check.kind} {check.target} said no to {rate}"
    return Finding(
        kind=VerdictKind.CHECK_FAULT,
        cause="flaky",
        reason=f"CHECK_FAULT flaky: {often}; function works ({good})",
        speaks_for=(good,),
        speaks_against=(often,),
        action=Action.STRIP_CHECK,
        withheld="restart: the check is at fault, not the child",
    )


def _check(facts: Facts, good: str) -> Finding | None:
    """What a check says about a child that works."""
    if not facts.failing:
        return _flaky(facts, good) if facts.flaky and (facts.handled > 0 or facts.kept) else None
    check = next((result for result in facts.failing if result.explained), facts.failing[0])
    words = check_words(check)
    works = facts.handled > 0 or bool(facts.kept) or any(actor.works for actor in facts.actors)
    if works or check.explained:
        return Finding(
            kind=VerdictKind.CHECK_FAULT,
            cause=check.reason or "unexplained",
            reason=f"CHECK_FAULT {check.reason or 'unexplained'}: {check.detail or words}; "
            + (f"function works ({good})" if works else f"it is idle and answers ({good})"),
            speaks_for=(good,),
            speaks_against=(words,),
            action=Action.STRIP_CHECK,
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
