"""It has ended, or has not begun. The end says why, the ends before it say whether that is a habit.

The picture: the coroner. A single death is a crash. Equal deaths are a loop, deaths over one message are a poisoning,
deaths in which a limit, a holder or a dependency appears were not the child's own doing, and then a restart heals
nothing: the root must go for the cause. What the tree has parked is only named here, never released.
"""

from __future__ import annotations

import re

from supervisor.policy import parking
from supervisor.policy.restart import is_refusal
from supervisor.verdict.causes import CAUSES
from supervisor.verdict.evidence import Death, Evidence, Holder
from supervisor.verdict.facts import Facts
from supervisor.verdict.finding import Action, Finding, Verdict
from supervisor.verdict.fingerprint import Prior, exit_words, looks_like, unreadable, upstream_cause
from supervisor.verdict.gate import opens
from supervisor.words import ExitKind, ExitReason, State, VerdictKind

_NATIVE = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS", "SIGQUIT"})
NEAR_LIMIT = 0.9  # share of its memory limit at which a SIGKILL looks like the kernel's
_RESOURCES = (
    ("memory", re.compile(r"memory|errno 12\b", re.I)),
    ("descriptors", re.compile(r"too many open files|errno 2[34]\b", re.I)),
    ("threads", re.compile(r"can't start new thread|errno 11\b", re.I)),
    ("disk", re.compile(r"no space|file too large|disk|quota|errno (27|28|122)\b", re.I)),
    ("ports", re.compile(r"cannot assign|not available|errno 99\b", re.I)),
)


def ended(evidence: Evidence, facts: Facts, previous: Verdict | None) -> Finding | None:
    """Down, parked or not begun; None for what lives."""
    state, last = evidence.state, evidence.last_exit
    how = last.sentence() if last is not None else "how it ended is not known"
    if state is State.STOPPED:
        return Finding(kind=VerdictKind.STOPPED, cause="ended", reason=f"ended and is not to be restarted; {how}")
    if state is State.STOPPING:
        return Finding(kind=VerdictKind.STOPPED, cause="stopping", reason="is being stopped")
    if state is State.WAITING:
        return Finding(kind=VerdictKind.STARTING, cause="waiting", reason="waits for an earlier sibling to be ready")
    if state is State.ZOMBIE:
        return Finding(kind=VerdictKind.HUNG, cause="zombie", reason="its thread would not end; fenced by incarnation")
    if state is State.QUARANTINED:
        return _parked(evidence, facts, f"parked until released or changed; {how}")
    if state is State.RESTARTING:
        due_s = max(0.0, (evidence.next_retry_at or facts.now) - facts.now)
        return _backing_off(evidence, facts, previous, f"{how}; starts again in {due_s:.1f} s")
    return None


def _parked(evidence: Evidence, facts: Facts, how: str) -> Finding:
    """The tree gave up on it: name what stands in its way, else what kind of loop it is, else its spent budget."""
    last = evidence.last_exit
    outside = _in_the_way(evidence, how, parked=True)
    if outside is not None:
        return outside
    refused = last is not None and is_refusal(last)
    guess = looks_like(last) if last is not None else Prior.UNKNOWN
    if evidence.crash_loop or refused:
        what = "says itself that trying again cannot help" if refused else "died the same death without useful work"
        return Finding(
            kind=VerdictKind.CRASH_LOOP,
            cause=_loop_cause(evidence, last, guess),
            reason=f"{what}, {how}",
            speaks_for=(f"fingerprint {last.fingerprint}",) if last is not None and last.fingerprint else (),
            action=Action.PARK,
            withheld="restart: the same inputs would die the same death",
            review_s=60.0,
        )
    if guess is Prior.UPSTREAM and last is not None:
        return _upstream(evidence, last, how)
    return Finding(
        kind=VerdictKind.CRASHED,
        cause="budget-spent",
        reason=f"its restart budget is spent, {how}",
        action=Action.PARK,
        withheld="restart: the budget is spent",
        review_s=60.0,
    )


def _backing_off(evidence: Evidence, facts: Facts, previous: Verdict | None, how: str) -> Finding:
    last = evidence.last_exit
    if last is None:
        return Finding(kind=VerdictKind.CRASHED, cause="unknown", reason=how)
    if last.kind is ExitKind.HUNG:
        cause = last.detail.partition(":")[0]
        if cause not in CAUSES[VerdictKind.HUNG]:
            cause = previous.cause if previous is not None and previous.kind is VerdictKind.HUNG else "convicted"
        return Finding(kind=VerdictKind.HUNG, cause=cause, reason=how)
    outside = _in_the_way(evidence, how, parked=False)
    if outside is not None:
        return outside
    message = parking.poison(tuple((death.fingerprint, death.in_hand) for death in evidence.deaths))
    if message:
        return Finding(
            kind=VerdictKind.CRASH_LOOP,
            cause="poison",
            reason=f"the message {message} was in hand at each of its last deaths; {how}",
            speaks_for=(f"fingerprint {last.fingerprint}", f"message {message}"),
            action=Action.QUARANTINE_MESSAGE,
            withheld="park: without this message it works",
        )
    guess = looks_like(last)
    dead = _dead_dependency(evidence)
    if guess is Prior.UPSTREAM and (dead or _always_upstream(evidence) or opens(evidence)):
        return _upstream(evidence, last, how)
    if guess is Prior.DATA and _many_messages(evidence.deaths):
        return _upstream(evidence, last, how)
    if dead and guess not in (Prior.CODE, Prior.CONFIG, Prior.CREDENTIAL):
        return _upstream(evidence, last, f"{dead}; {how}")
    every_s = parking.recurs_every_s(tuple((death.at, death.fingerprint, death.worked) for death in evidence.deaths))
    return Finding(
        kind=VerdictKind.CRASHED,
        cause=_crash_cause(evidence, last),
        reason=how if every_s is None else f"{how}; the same death comes about every {every_s:.0f} s",
        speaks_for=(f"looks like: {guess}",) if guess is not Prior.UNKNOWN else (),
        recurrent=every_s is not None,
    )


def _in_the_way(evidence: Evidence, how: str, *, parked: bool) -> Finding | None:
    """A holder of what it needs, or a limit it ran into."""
    last = evidence.last_exit
    guess = looks_like(last) if last is not None else Prior.UNKNOWN
    if guess is Prior.CONFLICT or evidence.holders or evidence.orphans:
        return conflict(evidence, how)
    if guess is Prior.EXHAUSTION and last is not None:
        cause = resource(last)
        host = cause in ("disk", "ports", "threads")
        return Finding(
            kind=VerdictKind.EXHAUSTED,
            cause=cause,
            reason=f"it ran out of {cause}; {how}",
            speaks_for=(f"exit: {last.sentence()}",),
            action=Action.SHED if cause == "ports" else Action.ALERT,
            withheld="restart: it gives nothing back" if host or parked else "",
        )
    return None


def conflict(evidence: Evidence, how: str) -> Finding:
    """Somebody has what it needs. Our own left-over may be ended, a stranger is only named."""
    ours = next((one for one in evidence.holders if one.ours), None)
    foreign = next((one for one in evidence.holders if not one.ours), None)
    if ours is not None or (evidence.orphans and foreign is None):
        pids = ", ".join(str(pid) for pid in evidence.orphans)
        who = holder_words(ours) if ours is not None else f"pid {pids} of an earlier incarnation still lives"
        return Finding(
            kind=VerdictKind.CONFLICT,
            cause="own-orphan",
            reason=f"{who}; {how}",
            speaks_for=(who,),
            action=Action.CLEAN,
        )
    if foreign is not None:
        double = foreign.name == evidence.name
        return Finding(
            kind=VerdictKind.CONFLICT,
            cause="double" if double else "foreign",
            reason=f"{holder_words(foreign)}; {how}",
            speaks_for=(holder_words(foreign),),
            action=Action.PARK,
            withheld="kill: it is not ours",
        )
    return Finding(
        kind=VerdictKind.CONFLICT,
        cause="unknown-holder",
        reason=f"somebody else has what it needs, who is not known; {how}",
        action=Action.ALERT,
        withheld="kill: nobody knows whom",
    )


def holder_words(holder: Holder) -> str:
    who = f"pid {holder.pid}" if holder.pid is not None else "somebody we may not look at"
    return f"{holder.what} is held by {who}" + (f" ({holder.name})" if holder.name else "")


def resource(last: ExitReason) -> str:
    """What ran out, in one word of the list."""
    if exit_words(last) == "SIGXCPU":
        return "cpu"
    if exit_words(last) == "SIGXFSZ":
        return "disk"
    text = last.detail
    if last.crash is not None:
        text = " ".join((*last.crash.exceptions, last.crash.message, text))
    return next((word for word, pattern in _RESOURCES if pattern.search(text)), "unknown")


def _upstream(evidence: Evidence, last: ExitReason, how: str) -> Finding:
    crash = last.crash
    cause = upstream_cause(crash.exceptions, crash.message) if crash is not None else "down"
    if looks_like(last) is Prior.DATA or unreadable(last):
        cause = "data"
    over = evidence.deaths[-1].in_hand if evidence.deaths else ""
    back = opens(evidence)
    if back:
        return Finding(
            kind=VerdictKind.UPSTREAM,
            cause=cause,
            reason=f"{back}; it ended because of what it depends on",
            speaks_for=(f"exit: {last.sentence()}",),
            action=Action.RESTART,
        )
    return Finding(
        kind=VerdictKind.UPSTREAM,
        cause=cause,
        reason=f"it ended because of what it depends on; {how}",
        speaks_for=(f"exit: {last.sentence()}",),
        action=Action.QUARANTINE_MESSAGE if cause == "data" and over else Action.GATE,
        withheld="park: its end is not its own fault",
    )


def _loop_cause(evidence: Evidence, last: ExitReason | None, guess: Prior) -> str:
    deaths = evidence.deaths
    if parking.poison(tuple((death.fingerprint, death.in_hand) for death in deaths)):
        return "poison"
    if last is not None and never_ran(last):
        return "spawn"
    if parking.takes_turns(tuple(death.fingerprint for death in deaths)):
        return "alternating"
    if guess in (Prior.CODE, Prior.CONFIG, Prior.CREDENTIAL, Prior.DATA):
        return str(guess)
    if last is not None and exit_words(last) in _NATIVE:
        return "native"
    return "killed" if last is not None and last.kind is ExitKind.KILLED else "unknown"


def never_ran(last: ExitReason) -> bool:
    """There was no process, or the program it names cannot be executed."""
    if last.crash is not None or last.signal is not None:
        return False
    if last.code is None:
        return last.kind is ExitKind.START_FAILED
    return last.code in (126, 127) and last.kind in (ExitKind.START_FAILED, ExitKind.CRASHED)


def _crash_cause(evidence: Evidence, last: ExitReason) -> str:
    if last.kind is ExitKind.START_TIMEOUT:
        return "start-timeout"
    if last.crash is not None:
        return "exception"
    if last.signal is not None:
        words = exit_words(last)
        if words in _NATIVE:
            return "native"
        return "oom" if words == "SIGKILL" and _for_want_of_memory(evidence) else "foreign-kill"
    if last.code is not None:
        return "exit-code" if last.code else "exit-0"
    return "start-failed" if last.kind is ExitKind.START_FAILED else "unknown"


def _for_want_of_memory(evidence: Evidence) -> bool:
    """The kernel has counted such a kill with it, or its last reading stood at its limit."""
    if evidence.deaths and evidence.deaths[-1].oom:
        return True
    kernel = evidence.history.kernel
    if kernel is None or kernel.rss_mib is None or kernel.memory_limit_mib is None:
        return False
    return kernel.rss_mib >= NEAR_LIMIT * kernel.memory_limit_mib


def _many_messages(deaths: tuple[Death, ...]) -> bool:
    """It died over one message after the other: what is sent to it is bad, not one message."""
    messages = {death.in_hand for death in deaths[-parking.LIMIT :] if death.prior == Prior.DATA and death.in_hand}
    return len(messages) >= 2


def _always_upstream(evidence: Evidence) -> bool:
    """Among ends of other kinds one refused connection is bad luck like them; two in a row are a finding."""
    if any(one.users_failing >= 2 for one in evidence.dependencies):
        return True
    return all(death.prior == Prior.UPSTREAM for death in evidence.deaths[-2:])


def _dead_dependency(evidence: Evidence) -> str:
    for one in evidence.dependencies:
        if one.owner_up is False:
            return f"{one.owner}, which provides {one.name}, is down"
        if one.probe_ok is False:
            return f"{one.name} does not answer us: {one.probe_detail or 'no detail'}"
    return ""
