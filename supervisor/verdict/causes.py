"""Every word a verdict may give as its cause, per kind: what an operator filters for and what a benchmark is scored by.

A closed list, because a word that is spelled in two ways is two words. docs/health.md says what each of them means; a
test holds the two, and the rules, against each other. CHECK_FAULT alone is not listed: its causes are
the classes that the counter-probes find (`evidence/counterprobe.py`).
"""

from __future__ import annotations

from supervisor.words import VerdictKind

CAUSES: dict[VerdictKind, frozenset[str]] = {
    VerdictKind.STOPPED: frozenset({"", "stopping", "ended"}),
    VerdictKind.STARTING: frozenset({"", "waiting", "quiet", "contention", "early-ready"}),
    VerdictKind.HEALTHY: frozenset({"", "idle"}),
    VerdictKind.BUSY: frozenset(
        {"queue", "starved", "gil-held", "disk-wait", "long-message", "lease", "memory"},
    ),
    VerdictKind.DEGRADED: frozenset(
        {"stale", "partial", "wrong", "outlier", "flapping", "clock", "main-thread-silent", "deaf", "canary-silent"},
    ),
    VerdictKind.OBSERVER_STALL: frozenset({"settling", "no-look", "blind", "sentinel-late", "pages-gone"}),
    VerdictKind.UPSTREAM: frozenset(
        {"refused", "rate", "planned", "blocked", "data", "tls", "timeout", "names", "error", "sibling", "source"}
        | {"credential", "down"},
    ),
    VerdictKind.HUNG: frozenset(
        {"stopped", "uninterruptible", "gil-blocked", "gil-spin", "loop-blocked", "deadlock", "livelock", "hollow"}
        | {"actor-stuck", "sticky", "startup-hang", "zombie", "convicted", "while-stopping"},
    ),
    VerdictKind.CRASHED: frozenset(
        {"exception", "native", "foreign-kill", "oom", "exit-0", "exit-code", "start-timeout", "start-failed"}
        | {"budget-spent", "unknown"},
    ),
    VerdictKind.CRASH_LOOP: frozenset(
        {"code", "config", "credential", "spawn", "data", "poison", "alternating", "killed", "native", "unknown"},
    ),
    VerdictKind.EXHAUSTED: frozenset({"memory", "descriptors", "threads", "disk", "cpu", "ports", "unknown"}),
    VerdictKind.CONFLICT: frozenset({"own-orphan", "foreign", "double", "wrapper", "unknown-holder"}),
    VerdictKind.UNSURE: frozenset(
        {"debug-hold", "exit-pending", "no-look", "no-witness", "not-seen-yet", "loop-silent", "main-thread-silent"}
        | {"takes-no-work", "check-unexplained", "canary-silent", "no-rule"},
    ),
}
CAUSES[VerdictKind.UNSURE] |= CAUSES[VerdictKind.HUNG]  # accused of it, without two keys
