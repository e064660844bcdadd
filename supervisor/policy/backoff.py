"""How long to wait before a restart: full jitter with a cap, nothing after useful work.

The n-th failure in a row waits random(0, min(cap, initial * factor**(n-1))): M. Brooker, "Exponential backoff and
jitter", AWS builders' library. A child that worked has earned an immediate restart, but only `reset_after_s` of stable
time *with* useful work forgets its failures; otherwise a child that lives just past "healthy" would fool the counter.
"""

from __future__ import annotations

from random import Random

from supervisor.spec import Backoff

SAFETY_CAP_S = 2.0


def failures_after(failures: int, backoff: Backoff, *, worked: bool, ready_for_s: float) -> int:
    """The count of failures in a row after one more exit. Useful work stops the count, stable useful work clears it."""
    if not worked:
        return failures + 1
    return 0 if ready_for_s >= backoff.reset_after_s else failures


def ceiling_s(backoff: Backoff, failures: int, *, safety: bool) -> float:
    """The longest wait after this many failures in a row, in seconds."""
    cap_s = min(backoff.cap_s, SAFETY_CAP_S) if safety else backoff.cap_s
    try:
        return min(cap_s, backoff.initial_s * backoff.factor ** max(0, failures - 1))
    except OverflowError:  # a float power beyond 1e308: far above any cap
        return cap_s


def delay_s(backoff: Backoff, failures: int, *, worked: bool, safety: bool, rng: Random) -> float:
    """Seconds until the restart: 0 after useful work, else anywhere up to the ceiling."""
    return 0.0 if worked else rng.uniform(0.0, ceiling_s(backoff, failures, safety=safety))
