"""From evidence to a verdict: what is believed of a child, why, what to do, and what not to do although it looks ill."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from supervisor.verdict.evidence import Evidence
from supervisor.words import VerdictKind


class Action(StrEnum):
    """What the judge advises. Only `KILL` and `RESTART` cost the child its incarnation."""

    NONE = "none"
    CONTINUE = "continue"  # SIGCONT
    KILL = "dump+kill"  # write the stacks, then SIGKILL; the tree restarts it
    RESTART = "restart"  # write the stacks, stop in order (other actors of the node still work), start again


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of one child and why. `withheld` names the action that was not advised and the reason."""

    name: str
    kind: VerdictKind
    cause: str = ""
    reason: str
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    since: float  # first judgement of this kind in a row
    cause_since: float  # … of this kind and cause
    action: Action = Action.NONE
    withheld: str = ""
    next_review: float
    actor: str = ""  # the actor meant, in a node of several


def judge(evidence: Evidence, now: float, previous: Verdict | None = None) -> Verdict:
    """The verdict on one child; `previous` is the last verdict on it and only lends `since`."""
    raise NotImplementedError


def correlate(verdicts: Mapping[str, Verdict], now: float) -> dict[str, Verdict]:
    """Before acting: if max(2, half) of the children became suspect together, nobody is acted on singly."""
    raise NotImplementedError
