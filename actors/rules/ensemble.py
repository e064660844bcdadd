"""The vote: the members' probabilities in, one decision out. HOLD is an answer with a reason, and it is final.

Linear pool of the voters by weight (abstainers leave their weight out), then five questions in fixed order: enough
voters? a single favourite? not flat? confident enough? worth its cost? The first "no" is the reason to hold.
Pure arithmetic: it knows no model, no clock, no order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from actors.messages.signals import Action

Probabilities = tuple[float, float, float]  # up, flat, down


class Reason(StrEnum):
    """Why the answer is HOLD. The last five are found before or after the vote, by the `ai_engine`."""

    NO_QUORUM = "NO_QUORUM"  # too few members, or too little weight, have an opinion
    TIE = "TIE"  # two outcomes share the first place
    FLAT = "FLAT"
    CONFIDENCE = "CONFIDENCE"  # the favourite is below the floor
    EDGE = "EDGE"  # the expected move does not pay for the round trip
    WARMING_UP = "WARMING_UP"
    DATA_STALE = "DATA_STALE"
    DATA_INVALID = "DATA_INVALID"
    COOLDOWN = "COOLDOWN"  # the same side was signalled a moment ago


@dataclass(frozen=True, slots=True)
class Pool:
    """The terms of the vote. `weights` are in the order of the members; moves and costs in basis points."""

    weights: tuple[float, ...]
    confidence: float  # floor for the pooled probability of the action
    move_up_bps: float  # what the price does over the horizon when it goes up
    move_down_bps: float  # and down; positive
    cost_bps: float  # fees of a round trip; the spread is added per decision
    quorum: int = 3
    quorum_weight: float = 0.6  # share of all weight
    least_weight: float = field(init=False)  # the same as a weight

    def __post_init__(self) -> None:
        """Raise ValueError, naming the term, for terms no vote can be held under."""
        if not self.weights or not all(0.0 <= weight < math.inf for weight in self.weights) or not sum(self.weights):
            raise ValueError(f"ensemble weights {self.weights}: wanted numbers from 0 with a sum above 0")
        if not 1 <= self.quorum <= len(self.weights):
            raise ValueError(f"ensemble quorum {self.quorum}: wanted 1 to {len(self.weights)}, the number of members")
        for name in ("confidence", "quorum_weight"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"ensemble {name} {getattr(self, name)}: wanted above 0, at most 1")
        for name in ("move_up_bps", "move_down_bps", "cost_bps"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"ensemble {name} {getattr(self, name)}: wanted a finite number from 0")
        # a tenth of a millionth forgives the rounding of 0.2 + 0.2 + 0.2 against 0.6
        object.__setattr__(self, "least_weight", self.quorum_weight * sum(self.weights) - 1e-7)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What was decided. `reason` is "" for BUY and SELL. Without quorum there is no opinion: the shares are thirds."""

    action: Action
    reason: str
    p_up: float
    p_flat: float
    p_down: float
    confidence: float  # pooled probability of the favourite
    agreement: float  # share of the voters' weight whose own favourite is the action; 0 for HOLD
    edge_bps: float  # expected move in the action's direction, after costs; 0 where it was not asked


_TIE = 1e-9
_THIRD = 1.0 / 3.0
_BUY, _SELL, _HOLD = Action.BUY, Action.SELL, Action.HOLD
_NO_QUORUM, _IS_TIE, _FLAT = Reason.NO_QUORUM.value, Reason.TIE.value, Reason.FLAT.value
_CONFIDENCE, _EDGE = Reason.CONFIDENCE.value, Reason.EDGE.value


def combine(answers: Sequence[Probabilities | None], pool: Pool, spread_bps: float) -> Decision:
    """Pool the answers (None abstains) and decide.

    Args:
        answers: one per member, in the order of `pool.weights`; each sums to 1.
        spread_bps: of the book now; crossing it costs the whole of it on a round trip.
    """
    weights = pool.weights
    up = flat = down = voting = 0.0
    voters = 0
    for weight, answer in zip(weights, answers, strict=True):
        if answer is not None:
            p_up, p_flat, p_down = answer
            voters += 1
            voting += weight
            up += weight * p_up
            flat += weight * p_flat
            down += weight * p_down
    if voters < pool.quorum or voting <= 0.0 or voting < pool.least_weight:
        return Decision(_HOLD, _NO_QUORUM, _THIRD, _THIRD, _THIRD, 0.0, 0.0, 0.0)
    up /= voting
    flat /= voting
    down /= voting
    if up > down:
        action, first, second = _BUY, up, down
    else:
        action, first, second = _SELL, down, up
    if first - second <= _TIE and first >= flat - _TIE:
        return Decision(_HOLD, _IS_TIE, up, flat, down, first, 0.0, 0.0)
    if flat - first > _TIE:
        return Decision(_HOLD, _FLAT, up, flat, down, flat, 0.0, 0.0)
    if first - flat <= _TIE:
        return Decision(_HOLD, _IS_TIE, up, flat, down, first, 0.0, 0.0)
    if first < pool.confidence:
        return Decision(_HOLD, _CONFIDENCE, up, flat, down, first, 0.0, 0.0)
    edge = up * pool.move_up_bps - down * pool.move_down_bps
    if action is _SELL:
        edge = -edge
    edge -= pool.cost_bps + spread_bps
    if not edge > 0.0:
        return Decision(_HOLD, _EDGE, up, flat, down, first, 0.0, edge)
    agreement = _agreement(answers, weights, 0 if action is _BUY else 2) / voting
    return Decision(action, "", up, flat, down, first, agreement, edge)


def _agreement(answers: Sequence[Probabilities | None], weights: tuple[float, ...], outcome: int) -> float:
    """The weight of the voters whose own single favourite is `outcome`."""
    agreed = 0.0
    for weight, answer in zip(weights, answers, strict=True):
        if answer is not None:
            own = answer[outcome]
            if own > answer[outcome - 1] and own > answer[outcome - 2]:
                agreed += weight
    return agreed
