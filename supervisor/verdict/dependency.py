"""Is it the child, or what it leans on? Dependencies, asked by us (D1) and told of by all who use them (D2).

The picture: a tap without water. Before the tap is taken apart one asks the neighbours and looks at the mains. While
the mains are dry the gate stays closed: nobody is restarted for it. When the neighbours have water again and this one
tap stays dry, it is the tap (`HUNG.sticky`), and then taking it apart is right.
"""

from __future__ import annotations

from supervisor.verdict.conviction import frozen
from supervisor.verdict.evidence import DependencySample, Evidence
from supervisor.verdict.facts import Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.fingerprint import Prior, upstream_cause
from supervisor.words import ExitKind, State, VerdictKind

FAILS_LEAST = 3  # real calls in a row: fewer are a bad moment
AWAY = "away"  # name of the rule that saw it down; remembered in the verdict until the calls go well again
_FOREIGN = frozenset({Prior.UPSTREAM, Prior.CREDENTIAL, Prior.DATA, Prior.CLOCK})
_OF_PRIOR: dict[str, str] = {
    Prior.UPSTREAM: "error",
    Prior.CREDENTIAL: "credential",
    Prior.DATA: "data",
    Prior.CLOCK: "clock",
}


def leans(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """What this child depends on is the cause, or was and is not any more."""
    if evidence.state is not State.READY or not evidence.dependencies:
        return None
    stuck = frozen(facts, facts.hang_s)
    if stuck and (facts.spins or (len(stuck) == len(facts.actors) and facts.mute(min(a.still_s for a in stuck)))):
        return None  # it burns, or its interpreter is held: no dependency does that
    troubled = [one for one in evidence.dependencies if trouble(one, facts)]
    down = [one for one in troubled if not _only_mine(one, facts, previous)]
    if down and (_hurts(down, facts) or stuck):
        return _upstream(evidence, facts, down, blocked=bool(stuck))
    sticky = [one for one in troubled if one not in down]
    if sticky:
        return _sticky(evidence, facts, sticky[0], previous)
    return None


def upstream(evidence: Evidence, facts: Facts) -> Finding | None:
    """For one that is not ready and should be by now: what it waits for is not there."""
    down = [one for one in evidence.dependencies if trouble(one, facts)]
    return _upstream(evidence, facts, down, blocked=False) if down else None


def trouble(one: DependencySample, facts: Facts) -> str:
    """What speaks against it, "" for nothing. A real call that went well since is worth more than our own question:
    it asks what the child needs, by the child's way."""
    if _answered(one, facts) and not _calls_fail(one, facts):
        return ""
    if one.owner_up is False:
        return f"{one.owner}, which provides {one.name}, is down"
    if one.probe_ok is False:
        return f"{one.name} does not answer us: {one.probe_detail or 'no detail'}"
    if _calls_fail(one, facts):
        return f"{one.failures} calls to {one.name} failed in a row" + (f" ({_told(one)})" if one.error else "")
    if one.users_failing >= 2 and one.failures:
        return f"{one.users_failing} of {one.users} users of {one.name} fail together"
    return ""


def _answered(one: DependencySample, facts: Facts) -> bool:
    if one.used_ok_at is None or facts.now - one.used_ok_at > facts.timing.fresh_s:
        return False
    asked_later_s = one.probe_at - one.used_ok_at if one.probe_at is not None else 0.0
    return one.probe_ok is not False or asked_later_s < facts.hang_s / 2  # it went away after that call


def _calls_fail(one: DependencySample, facts: Facts) -> bool:
    """Its real calls fail now, in a way that is not plainly its own bug."""
    failed_at, fresh_s = one.used_failed_at, max(facts.timing.fresh_s, facts.hang_s)
    if failed_at is None or facts.now - failed_at > fresh_s or one.failures < FAILS_LEAST:
        return False
    return one.error in _FOREIGN and (one.used_ok_at is None or one.used_ok_at < failed_at)


def _only_mine(one: DependencySample, facts: Facts, previous: Verdict | None) -> bool:
    """The dependency is well, as we or the other users see it, and only this child's calls fail."""
    if not _calls_fail(one, facts) or one.error != Prior.UPSTREAM:
        return False
    if one.owner_up is False or one.probe_ok is False or one.users_failing >= 2:
        return False
    if one.users >= 2:  # the others are content
        return True
    return previous is not None and previous.rule == AWAY and bool(one.probe_ok or one.owner_up)


def _hurts(down: list[DependencySample], facts: Facts) -> bool:
    """A dependency that nobody misses is no cause: the child's calls fail, or what it should do is not done."""
    if any(one.failures for one in down) or facts.broken:
        return True
    works = facts.handled > 0 or facts.kept or (not facts.actors and facts.passing)
    return not works and any(one.probe_ok is False for one in down)


def _upstream(evidence: Evidence, facts: Facts, down: list[DependencySample], *, blocked: bool) -> Finding:
    first = down[0]
    said = tuple(f"dependency: {trouble(one, facts)}" for one in down)
    others = [one.name for one in evidence.dependencies if one not in down]
    absent = facts.broken and not facts.kept
    away = any(one.owner_up is False or one.probe_ok is False for one in down)
    cause = _cause(first, blocked=blocked)
    if others and not absent and not blocked:
        names = ", ".join(one.name for one in down)
        return Finding(
            kind=VerdictKind.DEGRADED,
            cause="clock" if cause == "clock" else "partial",
            reason=f"{names} fails, {', '.join(others)} works: {trouble(first, facts)}",
            speaks_for=said,
            speaks_against=tuple(f"dependency: {name} works" for name in others),
            action=Action.ALERT if cause == "clock" else Action.NONE,
            withheld="restart: the rest of its work would stop too",
            rule=AWAY if away else "calls",
        )
    kind = VerdictKind.DEGRADED if cause == "clock" else VerdictKind.UPSTREAM
    return Finding(
        kind=kind,
        cause=cause,
        reason=f"{trouble(first, facts)}; a restart of {evidence.name} would not help",
        speaks_for=said,
        speaks_against=("loop: it does not turn",) if blocked else (),
        action=Action.ALERT if cause == "clock" else Action.GATE,
        withheld="restart: what it depends on is the cause",
        rule=AWAY if away else "calls",
    )


def _cause(one: DependencySample, *, blocked: bool) -> str:
    if blocked:
        return "blocked"
    if one.owner_up is False:
        return "sibling"
    if one.probe_ok is False:
        return upstream_cause((), one.probe_detail)
    return _told(one)


def _told(one: DependencySample) -> str:
    """What its user says that it does."""
    if one.error == Prior.UPSTREAM and one.cause not in ("", "down"):
        return one.cause
    return _OF_PRIOR.get(one.error, "down")


def _sticky(evidence: Evidence, facts: Facts, one: DependencySample, previous: Verdict | None) -> Finding:
    """The dependency answers again and this child's calls still fail: two keys, D and F, for the whole window."""
    lasted_s = 0.0
    if previous is not None and previous.cause == "sticky":
        lasted_s = max(0.0, facts.now - max(previous.cause_since, evidence.observer.valid_since))
    who = "our question" if one.probe_ok else "its other users"
    against = (
        f"dependency: {one.name} answers {who}",
        f"function: {one.failures} of its calls to {one.name} failed in a row",
    )
    last = evidence.last_exit
    favour = tuple(f"function: {promise.topic} was produced within the window" for promise in facts.kept)
    missing = ""
    if min(lasted_s, facts.watched_s) < facts.hang_s:
        missing = f"it was seen for {lasted_s:.1f} s, the window is {facts.hang_s:.1f} s"
    elif favour:
        missing = favour[0]
    elif last is not None and last.kind is ExitKind.HUNG and "sticky" in last.detail:
        missing = "it was restarted for this already, and it did not help"
    return Finding(
        kind=VerdictKind.UNSURE if missing else VerdictKind.HUNG,
        cause="sticky",
        reason=f"{one.name} is back, but the calls of {evidence.name} still fail ({one.failures} in a row)",
        speaks_for=against,
        speaks_against=favour,
        action=Action.NONE if missing else Action.RESTART,
        withheld=f"restart: {missing}" if missing else "",
        rule=AWAY,
    )
