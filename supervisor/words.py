"""The words of the house, with the meaning OTP gives them.

A child has one *state* (where it is in its life), one *verdict* (what the supervisor believes about it, see
`supervisor/verdict`), and each of its lives, its *incarnations*, ends with one *exit reason*. Nothing here decides
anything.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Restart(StrEnum):
    """When an ended child is started again (OTP manual, supervisor, "restart type")."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # only after an abnormal exit
    TEMPORARY = "temporary"  # never


class Strategy(StrEnum):
    """Which siblings share the fate of a child that is restarted (OTP manual, supervisor, "strategy")."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class AutoShutdown(StrEnum):
    """When significant children that ended for good take their supervisor with them (OTP manual, "auto_shutdown")."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class OnExhausted(StrEnum):
    """What happens to a child whose restart budget is spent; `SHUTDOWN` is OTP's answer, ours is `QUARANTINE`."""

    QUARANTINE = "quarantine"
    ESCALATE = "escalate"
    SHUTDOWN = "shutdown"
    HALT = "halt"


class State(StrEnum):
    """Where a child is in its life. Started and ready are two facts: `RUNNING` has started and is not ready yet."""

    STOPPED = "stopped"  # down because asked, or ended for good; the spec is kept
    WAITING = "waiting"  # to be started as soon as an earlier sibling is ready
    STARTING = "starting"  # start action sent, process not confirmed
    RUNNING = "running"  # the process or thread exists, `init` has not finished
    READY = "ready"
    STOPPING = "stopping"
    RESTARTING = "restarting"  # down, backing off, with a due time
    QUARANTINED = "quarantined"  # parked: an operator or a change releases it
    ZOMBIE = "zombie"  # a thread that would not end; fenced by its incarnation


class VerdictKind(StrEnum):
    """What the supervisor believes about a unit. `UNSURE` is an answer; guessing with a kill is not."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    BUSY = "BUSY"
    DEGRADED = "DEGRADED"
    CHECK_FAULT = "CHECK_FAULT"
    OBSERVER_STALL = "OBSERVER_STALL"
    UPSTREAM = "UPSTREAM"
    HUNG = "HUNG"
    CRASHED = "CRASHED"
    CRASH_LOOP = "CRASH_LOOP"
    EXHAUSTED = "EXHAUSTED"
    CONFLICT = "CONFLICT"
    UNSURE = "UNSURE"


class ExitKind(StrEnum):
    """How an incarnation ended."""

    NORMAL = "normal"  # exit code 0, nobody asked
    SHUTDOWN = "shutdown"  # after our order
    CRASHED = "crashed"  # an exception, or a non-zero exit code
    KILLED = "killed"  # a signal that was not ours
    START_FAILED = "start_failed"  # it ended, or said so, before it was ready
    START_TIMEOUT = "start_timeout"
    HUNG = "hung"  # convicted and killed by us
    MAX_RESTARTS = "max_restarts"  # a supervisor gave up; never equal to a requested stop
    REFUSED = "refused"  # typed non-retryable: bad credentials, account disabled, configuration invalid


class ShutdownPhase(StrEnum):
    """What an orderly end does before, and then with, the tree; in this order (supervisor/phases.py)."""

    STOP_INTAKE = "stop-intake"  # nothing new comes in
    STOP_STRATEGIES = "stop-strategies"  # nobody wishes for anything new
    CANCEL_WORKING_ORDERS = "cancel-working-orders"
    AWAIT_FILLS = "await-fills"
    FLATTEN = "flatten"
    PERSIST = "persist"
    CLOSE_SESSIONS = "close-sessions"
    STOP_TREE = "stop-tree"  # every child takes part in it, by being stopped


class CrashRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a dying child tells: written by its host before the process ends, absent after SIGKILL."""

    phase: str  # "import", "init", "first-work", "steady", "terminate"
    exceptions: tuple[str, ...]  # class names, outermost first, with causes
    message: str  # str() of the outermost exception, cut to 500 characters
    frame: str  # innermost frame of our own code: "package.module:function"
    location: str  # "file.py:123" of that frame
    traceback: str  # cut to 16 KiB
    in_hand: str = ""  # kind of the message being handled, "" if none
    in_hand_id: str = ""  # "sender:Kind:sequence" where it was one that comes again (EVERY)
    retryable: bool = True


class ExitReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why an incarnation ended: the kernel's fact, and the child's own last words if there were any."""

    kind: ExitKind
    code: int | None = None  # exit code
    signal: int | None = None  # signal number
    detail: str = ""
    crash: CrashRecord | None = None
    fingerprint: str = ""
    prior: str = ""  # whose fault it looks like: a `verdict.fingerprint.Prior`

    def sentence(self) -> str:
        """One line for a person: `crashed: AttributeError: 'Bridge' has no attribute 'start' (bridge.py:41)`."""
        if self.crash is not None:
            name = self.crash.exceptions[0] if self.crash.exceptions else "exception"
            return f"{self.kind}: {name}: {self.crash.message} ({self.crash.location})"
        if self.signal is not None:
            return f"{self.kind} by signal {self.signal}" + (f": {self.detail}" if self.detail else "")
        if self.code is not None:
            return f"{self.kind} with exit code {self.code}" + (f": {self.detail}" if self.detail else "")
        return f"{self.kind}: {self.detail}" if self.detail else str(self.kind)
