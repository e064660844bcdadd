"""Words of the brains that look at the market: votes, signals, and the explicit HOLD."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from supervisor.message import Delivery, Message


class Action(StrEnum):
    """What a signal says. HOLD is final: nothing downstream turns it into an order."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Vote(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One model's opinion; an abstention names its reason and has no probabilities."""

    model: str
    p_up: float | None = None
    p_flat: float | None = None
    p_down: float | None = None
    abstained: str = ""


class Signal(Message, frozen=True, kw_only=True):
    """BUY or SELL, decided by the ensemble. Recorded."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    signal_id: str  # "<venue>:<symbol>:<event_ns>", stable over a crash
    venue: str
    symbol: str
    action: Action
    p_up: float
    p_flat: float
    p_down: float
    confidence: float  # pooled probability of the action
    agreement: float  # weight of the voters whose own choice is the action
    votes: tuple[Vote, ...]
    reason: str
    bid: float  # the book it was decided on
    ask: float
    volatility: float  # standard deviation of the mid's return over the horizon, as a ratio
    event_ns: int

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class Hold(Message, frozen=True, kw_only=True):
    """No opinion worth an order, and why (NO_QUORUM, TIE, FLAT, WARMING_UP, CONFIDENCE …). Never recorded."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    venue: str
    symbol: str
    reason: str
    p_up: float
    p_flat: float
    p_down: float
    event_ns: int

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class SignalCount(Message, frozen=True, kw_only=True):
    """How the decisions of one instrument fell since this incarnation started, once a second."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    venue: str
    symbol: str
    buy: int
    sell: int
    hold: int
    hold_reasons: dict[str, int]
    inference_us: float  # mean of the last second

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"
