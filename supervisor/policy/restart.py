"""Who is started again after an exit, who falls with it, and who waits for whom.

OTP's restart types and strategies as tables, with our deviations, each in one function of its own. A supervisor's
`Law` says which of them hold below it: a typed refusal or a crash loop parks the child (`after_exit`), a start that
failed takes no sibling down (`shares_fate`), nor the start of its supervisor (`aborts_boot`). And under every law a
child that is not coming for now holds nobody back (`holds_back`). This file does not know time, budgets or processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from supervisor.spec import Law
from supervisor.words import AutoShutdown, ExitKind, ExitReason, Restart, State, Strategy

EXPECTED = frozenset({ExitKind.NORMAL, ExitKind.SHUTDOWN})
DUE: dict[Restart, frozenset[ExitKind]] = {
    Restart.PERMANENT: frozenset(ExitKind),
    Restart.TRANSIENT: frozenset(ExitKind) - EXPECTED,
    Restart.TEMPORARY: frozenset(),
}
"""After which exits a child is started again (supervisor manual, "restart type"; statements 28-32)."""


class Next(StrEnum):
    """What becomes of a child after an exit nobody asked for."""

    END = "end"  # down for good, the spec is kept
    REFUSED = "refused"  # parked: trying again cannot help
    CRASH_LOOP = "crash_loop"  # parked: the same end again and again
    RESTART = "restart"  # if the budget allows


def classify(reason: ExitReason, *, was_ready: bool, asked: bool, sentence: ExitReason | None, law: Law) -> ExitReason:
    """The exit as we count it. What we ourselves brought about (`sentence`: HUNG, START_TIMEOUT) is named by our
    cause, not by our signal. An end before ready is a failed start, unless it was asked for; where a failed start
    touches nobody, also unless it was killed from outside or is a refusal."""
    if sentence is not None:
        return msgspec.structs.replace(reason, kind=sentence.kind, detail=sentence.detail)
    if was_ready or asked:
        return reason
    if law.failed_start_is_alone and reason.kind not in (ExitKind.CRASHED, ExitKind.NORMAL):
        return reason
    return msgspec.structs.replace(reason, kind=ExitKind.START_FAILED)


def is_refusal(reason: ExitReason) -> bool:
    """True when trying again with the same inputs cannot help: bad credentials, account disabled, bad configuration."""
    return reason.kind is ExitKind.REFUSED or (reason.crash is not None and not reason.crash.retryable)


def after_exit(restart: Restart, reason: ExitReason, *, safety: bool, looping: bool, law: Law) -> Next:
    """What becomes of the child. A safety child is never parked, whatever it says: it guards what is open."""
    if reason.kind not in DUE[restart]:
        return Next.END
    if safety or not law.parks:
        return Next.RESTART
    if is_refusal(reason):
        return Next.REFUSED
    return Next.CRASH_LOOP if looping else Next.RESTART


def aborts_boot(*, required: bool, safety: bool, law: Law) -> bool:
    """Whether a start that fails while its supervisor itself is starting is that supervisor's failure (statements 3,
    4). `safety`: the supervisor holds a safety child, and what guards open positions comes up as far as it can."""
    return required and not safety and not law.boot_carries_on


def shares_fate(*, was_ready: bool, law: Law) -> bool:
    """Whether its siblings fall with it at all. Nobody leans on a child that never became ready; OTP takes down those
    of its group that were started before it, and tries again (44, 45)."""
    return was_ready or not law.failed_start_is_alone


def falls_with(strategy: Strategy, failed: int, position: int) -> bool:
    """Whether the child at this position, in start order, falls with the failed one (statements 38-40)."""
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return position == failed
        case Strategy.ONE_FOR_ALL:
            return True
        case Strategy.REST_FOR_ONE:
            return position >= failed


def shuts_down(mode: AutoShutdown, significant: Iterable[State]) -> bool:
    """Whether a supervisor ends now that a significant child has ended for good by itself; `significant`: the states of
    all that are. Those that are down for whatever reason do not keep it (statements 90-92)."""
    match mode:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return True
        case AutoShutdown.ALL_SIGNIFICANT:
            return all(state in (State.STOPPED, State.QUARANTINED) for state in significant)


def after_group_stop(restart: Restart) -> State:
    """What a sibling that fell with the group waits for; a temporary one is not brought back (statement 33)."""
    return State.STOPPED if restart is Restart.TEMPORARY else State.WAITING


def stands_in_line(strategy: Strategy, *, shares_fate: bool) -> bool:
    """Whether the replacement takes its turn in start order (later siblings wait for it), or comes when it comes."""
    return strategy is not Strategy.ONE_FOR_ONE and shares_fate


def holds_back(state: State, *, in_line: bool, comes_back: bool) -> bool:
    """Whether later siblings in line wait for this child: it is on its way to ready. A child that is parked, stopped,
    ended, or backing off after a failed start is not coming for now, and the tree comes up without it."""
    if state is State.RESTARTING:
        return in_line
    if state is State.STOPPING:
        return comes_back
    return state in (State.WAITING, State.STARTING, State.RUNNING)
