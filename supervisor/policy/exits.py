"""How an incarnation ended, from the kernel's fact, its own last words and what we had asked of it.

Decided from the requester's state, never from the shape of the exit: a SIGKILL that we sent is our doing, one that we
did not send is nobody's fault of the child, a SIGSEGV is always its own.
"""

from __future__ import annotations

from supervisor.words import CrashRecord, ExitKind, ExitReason

NATIVE = frozenset({3, 4, 5, 6, 7, 8, 11, 31})  # QUIT ILL TRAP ABRT BUS FPE SEGV SYS: the process itself is at fault


def reason(
    *,
    code: int | None,
    signal: int | None,
    crash: CrashRecord | None,
    asked: str = "",
    convicted: str = "",
    judged: tuple[ExitKind, str] | None = None,
) -> ExitReason:
    """The exit reason, still without fingerprint. `asked`: why we stopped it; `convicted`: why we killed it as hung;
    `judged`: what a node said of itself when it ended because of an actor inside."""
    if convicted:
        return ExitReason(kind=ExitKind.HUNG, code=code, signal=signal, detail=convicted)
    if asked:
        forced = f"{asked}; it had to be killed" if signal == 9 else asked
        return ExitReason(kind=ExitKind.SHUTDOWN, code=code, signal=signal, detail=forced, crash=crash)
    if judged is not None:
        return ExitReason(kind=judged[0], code=code, signal=signal, detail=judged[1])
    if crash is not None:
        return ExitReason(kind=ExitKind.CRASHED, code=code, signal=signal, crash=crash)
    if signal is not None:
        kind = ExitKind.CRASHED if signal in NATIVE else ExitKind.KILLED
        return ExitReason(kind=kind, signal=signal)
    if code is None:
        return ExitReason(kind=ExitKind.KILLED, detail="it was adopted, so how it ended is not known")
    return ExitReason(kind=ExitKind.NORMAL if code == 0 else ExitKind.CRASHED, code=code)


def stillborn(detail: str, crash: CrashRecord | None) -> ExitReason:
    """It never had a process: the fork was refused, or its zygote could not import what it needs."""
    return ExitReason(kind=ExitKind.START_FAILED, detail=detail, crash=crash)
