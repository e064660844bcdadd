"""What the judge says: verdicts and the actions it may advise. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from supervisor.words import VerdictKind


class Action(StrEnum):
    """What the judge advises. Only `KILL`, `RESTART`, `RESTART_ACTOR` and `DRAIN` cost an incarnation."""

    NONE = "none"
    CONTINUE = "continue"  # SIGCONT
    RESTART_ACTOR = "restart actor"  # the one actor inside its node; the others do not notice
    RESTART = "restart"  # write the stacks, stop in order (other actors of the node still work), start again
    KILL = "dump+kill"  # write the stacks, then SIGKILL; the tree restarts it
    DRAIN = "drain"  # planned: stop in order while it still works, start again
    GATE = "gate"  # no start, or no restart, before what it depends on answers
    QUARANTINE_MESSAGE = "quarantine message"  # the poison is set aside, the actor goes on
    CLEAN = "end orphan"  # end what an earlier incarnation left behind, then start
    PARK = "park"  # the tree has quarantined the child
    STRIP_CHECK = "strip check"  # the declared check has lost its say; alert
    VOID = "void window"  # nothing seen in it counts
    SHED = "shed"  # more work than it can do; nothing is restarted for it
    ALERT = "alert"  # a person is told; nothing else helps


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
    check_blind: bool = False  # the declared check says healthy, the evidence says otherwise
    recurrent: bool = False  # the same fingerprint was seen before
    rule: str = ""  # which rule found it
    well: bool | None = None  # good or bad at the last judgement that could tell, flapping or not
    turns: tuple[float, ...] = ()  # when that changed lately


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
    recurrent: bool = False
    rule: str = ""  # "": the name of the rule itself
