"""When one that waits for its dependency is tried again: as soon as that answers, and no sooner than it is said to.

The picture: a lock gate. While the water outside is low it stays shut and the boat's own engine is not touched; when
the water is back it opens at once, whatever time was left to wait. An unknown water level opens nothing: then the
backoff of the tree is all there is.
"""

from __future__ import annotations

from supervisor.verdict.evidence import Evidence
from supervisor.verdict.fingerprint import unreadable
from supervisor.words import State


def opens(evidence: Evidence) -> str:
    """Why a child that backs off after an end of its dependency's making may start now; "" while it may not."""
    if evidence.state is not State.RESTARTING or not evidence.deaths or not evidence.dependencies:
        return ""
    last = evidence.last_exit
    if last is not None and unreadable(last):
        return ""  # that it answers is no news: it answered nonsense
    ended_at = evidence.deaths[-1].at
    for one in evidence.dependencies:
        asked_since = one.probe_at is not None and one.probe_at > ended_at
        if one.owner_up is False or (one.probe_ok is False and asked_since):
            return ""
        if not (one.probe_ok and asked_since) and one.owner_up is None:
            return ""  # nobody has looked since
    names = ", ".join(one.name for one in evidence.dependencies)
    return f"{names} answers again"
