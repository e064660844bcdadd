"""How long a child is given to end, when the whole server has only so long.

Each child has its own patience (`shutdown_s`), stops are one after the other, so the worst case is their sum. One
total deadline bounds it: what is told late is told to hurry, and after the deadline everything is killed in turn.
"""

from __future__ import annotations

from math import inf


def patience_s(shutdown_s: float, deadline: float, now: float) -> float:
    """Seconds between the polite request and SIGKILL; 0 is brutal kill."""
    return min(shutdown_s, max(0.0, deadline - now))


def deadline(within_s: float, now: float, earlier: float = inf) -> float:
    """The one total deadline; asking again can only bring it nearer."""
    return min(earlier, now + within_s)
