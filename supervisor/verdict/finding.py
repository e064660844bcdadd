"""What the judge says: verdicts and the actions it may advise. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from supervisor.words import VerdictKind


class Action(StrEnum):
    """What the judge advises. Only `KILL` and `RESTART` cost the child its incarnation."""

    NONE = "none"
    CONTINUE = "continue"  # SIGCONT
    RESTART = "restart"  # write the stacks, stop in order (other actors of the node still work), start again
    KILL = "dump+kill"  # write the stacks, then SIGKILL; the tree restarts it


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of one child and why. `withheld` names the action that was not advised and the reason."""

    name: str
    kind: VerdictKind
    cause: str = ""
    reason: str
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    since: float  # first judgement of this kind in a row
    cause_since: float  # first judgement of this cause in a row
    action: Action = Action.NONE
    withheld: str = ""
    next_review: float
    actor: str = ""  # the actor meant, in a node of several


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found: a verdict without its times."""

    kind: VerdictKind
    cause: str = ""
    reason: str
    speaks_for: tuple[str, ...] = ()
    speaks_against: tuple[str, ...] = ()
    action: Action = Action.NONE
    withheld: str = ""
    review_s: float = 1.0
    actor: str = ""
