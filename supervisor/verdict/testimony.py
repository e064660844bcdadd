"""What each witness says, in sentences: the answer to "why is this light green?".

A red verdict names the evidence it stands on; a green one would otherwise stand on silence. One sentence per class of
evidence (docs/health.md): kernel, interpreter, loops, function, checks. An unknown is said as unknown.
"""

from __future__ import annotations

from supervisor.verdict.evidence import CheckResult
from supervisor.verdict.facts import Facts

MEMORY_PRESSURE = 0.2  # share of the time in which somebody on this host waits for memory

TOPICS_MOST = 3  # named in one sentence
# Where a thread sleeps that waits for work, by the kernel's names: true of every idle one, so it tells nothing.
WAITS_FOR_WORK = frozenset({"poll_schedule_timeout", "do_epoll_wait", "ep_poll", "inet_csk_accept"})


def testimony(facts: Facts) -> tuple[str, ...]:
    """All that is known of a child that is alive, `()` when it has not been looked at."""
    if facts.look_age_s is None:
        return ()
    said = [_kernel(facts), _interpreter(facts)]
    said += [f"loop: {actor.name} turned within {max(actor.still_s, 0.0) + 0.1:.1f} s" for actor in facts.actors]
    said.append(_function(facts))
    said += [f"check: {result.target} answered as declared {ago(facts.now, result.at)}" for result in facts.passing]
    said += [f"promise: {promise.topic} is kept, last {ago(facts.now, promise.last_at)}" for promise in facts.kept]
    return tuple(said)


def ago(now: float, at: float | None) -> str:
    """How old this is: a reading of an hour ago proves nothing now."""
    return "at a time nobody knows" if at is None else f"{max(0.0, now - at):.1f} s ago"


def _kernel(facts: Facts) -> str:
    if not facts.kernel_state and facts.kernel_at is not None:
        return f"kernel: read {ago(facts.now, facts.kernel_at)}, too long ago to count"
    state = facts.kernel_state or "unknown"
    used = "CPU use not known yet" if facts.cpu is None else f"{facts.cpu:.1%} of a core used"
    where = asleep(facts) if any(actor.still_s >= facts.suspect_s for actor in facts.actors) else ""
    read = f", read {ago(facts.now, facts.kernel_at)}" if facts.kernel_at is not None else ""
    return f"kernel: state {state}, {used}{f', {where}' if where else ''}{read}"


def _interpreter(facts: Facts) -> str:
    if facts.pong_silent_s:
        return f"interpreter: a ping has waited for {facts.pong_silent_s:.1f} s"
    if facts.pong_age_s is None:
        return "interpreter: no ping was answered yet"
    return f"interpreter: answered a ping {facts.pong_age_s:.1f} s ago"


def _function(facts: Facts) -> str:
    if facts.handled:
        return f"function: {facts.handled} messages finished in {facts.handled_s:.0f} s"
    return (
        "function: nothing to do, nothing waits" if not any(a.waits for a in facts.actors) else "function: work waits"
    )


def resting(facts: Facts) -> str:
    if not facts.rests:
        return ""
    where = asleep(facts)
    return f"uses {share(facts.cpu)} of a core and wants no more, though it should beat" + (
        f" ({where})" if where else ""
    )


def asleep(facts: Facts) -> str:
    """`asleep in anon_pipe_write`: what the kernel makes its threads wait for, of one that sleeps (state S or D). Those
    that wait for work are left out where others do not; "" where the kernel does not say."""
    places = facts.wchan.split(", ") if facts.wchan and facts.kernel_state in ("S", "D") else []
    telling = [place for place in places if place not in WAITS_FOR_WORK] or places
    return f"asleep in {', '.join(telling)}" if telling else ""


def late_word(facts: Facts, memory_pressure: float | None) -> str:
    """Why one that works is late, in one word of the list."""
    if facts.starved:
        return "starved"
    return "memory" if facts.churns or (memory_pressure or 0.0) >= MEMORY_PRESSURE else "queue"


def share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"


def echo_words(facts: Facts) -> str:
    """Rung R0, for one whose interpreter is silent: does the process run at all? "" where it was not asked."""
    if facts.echo_silent_s is None:
        return ""
    if facts.echo_silent_s >= facts.suspect_s:
        return f"; not even its thread without the interpreter answers, for {facts.echo_silent_s:.1f} s"
    return "; its thread without the interpreter answers, so the process runs"


def cpu_words(facts: Facts) -> str:
    return "CPU unknown" if facts.cpu is None else f"CPU {facts.cpu:.0%} of one core"


def good_words(facts: Facts) -> str:
    parts = []
    if facts.handled > 0:
        parts.append(f"{facts.handled} messages in {facts.handled_s:.0f} s")
    elif any(actor.works for actor in facts.actors):
        parts.append("work was finished a moment ago")
    topics = tuple(dict.fromkeys(promise.topic for promise in facts.kept))
    if topics:
        more = f" and {len(topics) - TOPICS_MOST} more" if len(topics) > TOPICS_MOST else ""
        parts.append(f"{', '.join(topics[:TOPICS_MOST])}{more} {'is' if len(topics) == 1 else 'are'} fresh")
    if not parts and facts.actors:
        parts.append("idle, every loop turns")
    if facts.answers:
        parts.append("pings answered")
    parts.extend(f"{check.kind} {check.target} passes" for check in facts.passing)
    return ", ".join(parts) or "nothing speaks against it"


def check_words(check: CheckResult) -> str:
    times = f", {check.failures} in a row" if check.failures > 1 else ""
    return f"check {check.kind} {check.target} fails{times}" + (f": {check.detail}" if check.detail else "")
