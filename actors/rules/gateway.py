"""What the status of the tree means for an outsider: one word, who is in trouble and why. Pure: a map in, values out.

Used by the HTTP port and by `qt status`, so that a load balancer and a person never hear different things. A child is
*calm* when its verdict is HEALTHY or BUSY; unknown is not calm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CALM = frozenset({"HEALTHY", "BUSY"})
ALARMS = frozenset({"CRASHED", "CRASH_LOOP", "HUNG", "QUARANTINED", "EXHAUSTED", "ZOMBIE", "CONFLICT"})
STALE_AFTER_S = 5.0

Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One child that is not simply fine."""

    name: str
    state: str
    verdict: str
    required: bool
    reason: str

    def sentence(self) -> str:
        return f"{self.name} is {self.verdict or self.state}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to "are you well?" `ready`: every required child is ready, by a status that is not old."""

    word: str  # HEALTHY, DEGRADED, STARTING, STOPPING, DOWN, UNKNOWN
    ready: bool
    troubles: tuple[Trouble, ...]
    verdicts: dict[str, int]


def workers(status: Status) -> list[dict[str, Any]]:
    """The children that do work, in tree order: supervisors are nodes of the machine, not processes."""
    return [child for child in status.get("children", []) if child.get("kind") != "supervisor"]


def troubles(status: Status) -> tuple[Trouble, ...]:
    """Workers that a person should look at, required and worst ones first."""
    found = [
        Trouble(
            name=str(child.get("name", "?")),
            state=str(child.get("state", "unknown")),
            verdict=str(child.get("verdict") or ""),
            required=bool(child.get("required")),
            reason=str(child.get("reason") or ""),
        )
        for child in workers(status)
        if not child.get("ready") or child.get("verdict") not in CALM
    ]
    return tuple(sorted(found, key=lambda trouble: (not trouble.required, trouble.verdict not in ALARMS)))


def all_ready(status: Status) -> bool:
    """Every required child is ready; a tree without required children is judged by all of them; none is not ready."""
    asked = [child for child in workers(status) if child.get("required")] or workers(status)
    return bool(asked) and all(child.get("ready") for child in asked)


def word(status: Status) -> str:
    """One word for the whole."""
    state = str(status.get("server", {}).get("state", "")).upper()
    if state == "STOPPING":
        return state
    if state == "SAFE":
        return "DEGRADED"  # a shutdown was aborted: up, but no new risk is taken
    if all_ready(status):
        return "DEGRADED" if troubles(status) else "HEALTHY"
    if state == "STARTING":
        return "STARTING"
    return "DEGRADED" if any(child.get("ready") for child in workers(status)) else "DOWN"


def health(status: Status | None, age_s: float | None) -> Health:
    """The summary of a status of this age; no status, or an old one, is UNKNOWN and never ready."""
    if status is None or age_s is None or age_s > STALE_AFTER_S:
        return Health("UNKNOWN", False, (), {})
    verdicts: dict[str, int] = {}
    for child in workers(status):
        verdict = str(child.get("verdict") or "UNSURE")
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    return Health(word(status), all_ready(status), troubles(status), verdicts)
