"""What supervision says: one record per thing that happened, from a closed set, each with a sentence for a person.

A record is a fact about one unit of the tree at one moment. `kind` is for programs, `sentence` for people, the rest
for both. The tree machine writes them (`Report`); the root numbers, publishes and keeps them. Nothing here decides.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from supervisor.words import ExitReason


class SupervisionKind(StrEnum):
    """The closed set. A kind is added here, with its sentence, or it does not exist."""

    STARTING = "starting"
    STARTED = "started"
    READY = "ready"
    EXITED = "exited"  # ended, nobody asked; what follows is the next record
    ENDED = "ended"  # ended for good by its restart type
    RESTARTING = "restarting"
    GROUP = "group"  # siblings go down with it, by the strategy
    STOPPING = "stopping"
    STOPPED = "stopped"
    KILLING = "killing"
    ZOMBIE = "zombie"  # a thread that would not end is fenced, and its node goes down for it
    QUARANTINED = "quarantined"
    RELEASED = "released"
    EXHAUSTED = "exhausted"
    ESCALATED = "escalated"
    HALT = "halt"  # the domain is asked to halt trading
    ORDERED = "ordered"
    ADDED = "added"  # a child at run time
    REMOVED = "removed"  # its spec is forgotten
    FORGOTTEN = "forgotten"  # a remembered child cannot come back
    AUTO_SHUTDOWN = "auto_shutdown"  # significant children ended for good, so their supervisor ends in order
    SHUTDOWN = "shutdown"
    GAVE_UP = "gave_up"
    ALL_DOWN = "all_down"
    PHASE = "phase"  # of the shutdown: begun, or over
    ABORTED = "aborted"  # the shutdown
    REMEDY = "remedy"  # what was done for it without taking a life that works (runtime/remedies.py)


class Cause(StrEnum):
    """Why it happened, in one word."""

    BOOT = "boot"
    ORDER = "order"
    EXIT = "exit"
    GROUP = "group"  # a sibling's failure under one_for_all or rest_for_one
    PARENT = "parent"  # its supervisor goes down or comes up
    CRASH_LOOP = "crash_loop"
    REFUSED = "refused"  # typed non-retryable
    BUDGET = "budget"  # its own restart budget
    INTENSITY = "intensity"  # its supervisor's restart intensity
    SIGNIFICANT = "significant"  # a significant child ended for good
    START_TIMEOUT = "start_timeout"
    HUNG = "hung"
    SHUTDOWN = "shutdown"
    REMEDY = "remedy"


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """One record. `at` is on the clock of the tree's `now`; `path` reads "root/market/feed:binance"."""

    kind: SupervisionKind
    id: str
    path: str
    incarnation: int
    at: float
    sentence: str
    cause: Cause
    detail: str = ""
    exit: ExitReason | None = None
    retry_at: float | None = None


SENTENCES: dict[SupervisionKind, str] = {
    SupervisionKind.STARTING: "{id} is starting as incarnation {incarnation} ({cause})",
    SupervisionKind.STARTED: "{id} has started as incarnation {incarnation}, {detail}",
    SupervisionKind.READY: "{id} is ready as incarnation {incarnation}, {detail}",
    SupervisionKind.EXITED: "{id} incarnation {incarnation} {detail}",
    SupervisionKind.ENDED: "{id} ended for good: {detail}",
    SupervisionKind.RESTARTING: "{id} will be restarted {detail}",
    SupervisionKind.GROUP: "{id} takes its group down with it: {detail}",
    SupervisionKind.STOPPING: "{id} incarnation {incarnation} is asked to stop ({cause}): {detail}",
    SupervisionKind.STOPPED: "{id} is down ({cause}): {detail}",
    SupervisionKind.KILLING: "{id} incarnation {incarnation} is being killed ({cause}): {detail}",
    SupervisionKind.ZOMBIE: "{id} incarnation {incarnation} is a zombie, its node is recycled: {detail}",
    SupervisionKind.QUARANTINED: "{id} is quarantined ({cause}): {detail}; `release {id}` starts it again",
    SupervisionKind.RELEASED: "{id} is released from quarantine and starts with a clean record",
    SupervisionKind.EXHAUSTED: "{id} has spent its restarts: {detail}",
    SupervisionKind.ESCALATED: "{id} fails upward to its supervisor: {detail}",
    SupervisionKind.HALT: "{id} asks for a halt of trading: {detail}",
    SupervisionKind.ORDERED: "{id}: order {detail}",
    SupervisionKind.ADDED: "{id} is added: {detail}",
    SupervisionKind.REMOVED: "{id} is removed, its spec is forgotten: {detail}",
    SupervisionKind.FORGOTTEN: "{id} does not get back all it remembered: {detail}",
    SupervisionKind.AUTO_SHUTDOWN: "{id} shuts down by itself: {detail}",
    SupervisionKind.SHUTDOWN: "{id} shuts down in reverse start order: {detail}",
    SupervisionKind.GAVE_UP: "{id} gives up: {detail}",
    SupervisionKind.ALL_DOWN: "{id} and everything below it is down: {detail}",
    SupervisionKind.PHASE: "{id}: shutdown phase {detail}",
    SupervisionKind.REMEDY: "{id} {detail}",
    SupervisionKind.ABORTED: "{id} stays up in safe mode, its shutdown is aborted: {detail}; `down --force` ends it",
}


def supervision(
    kind: SupervisionKind,
    *,
    id: str,
    path: str,
    incarnation: int,
    at: float,
    cause: Cause,
    detail: str = "",
    exit: ExitReason | None = None,
    retry_at: float | None = None,
) -> Supervision:
    """A record with its sentence filled in."""
    sentence = SENTENCES[kind].format(id=id, incarnation=incarnation, cause=cause.replace("_", " "), detail=detail)
    return Supervision(
        kind=kind,
        id=id,
        path=path,
        incarnation=incarnation,
        at=at,
        sentence=sentence,
        cause=cause,
        detail=detail,
        exit=exit,
        retry_at=retry_at,
    )
