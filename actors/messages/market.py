"""Words of the market: what feeds say about venues, and what is made of it before any model sees it.

Prices here are floats: they are features. They become `Decimal` when they become money (`actors/rules/money.py`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from supervisor.message import Delivery, Message


class FeedStatus(StrEnum):
    """Life of one instrument's book. A book is published only while LIVE."""

    DOWN = "DOWN"
    CONNECTING = "CONNECTING"
    SUBSCRIBED = "SUBSCRIBED"
    SYNCING = "SYNCING"
    LIVE = "LIVE"
    STALE = "STALE"
    GAP = "GAP"
    PARKED = "PARKED"


class Tick(Message, frozen=True, kw_only=True):
    """Top of book and recent flow of one instrument, sent only while its book is LIVE."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    venue: str  # "binance", "binanceusdm"
    symbol: str  # unified: "BTC/USDT", "BTC/USDT:USDT"
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    bid_depth: float  # quantity on the best five bids
    ask_depth: float
    bought: float  # quantity taken by buyers since the last tick of this instrument
    sold: float
    book_seq: int  # the venue's update id

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class FeedState(Message, frozen=True, kw_only=True):
    """Whether a book may be trusted, said on every change and once a second. Silence means: it may not."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    venue: str
    symbol: str
    status: FeedStatus
    reason: str
    since_ns: int
    age_s: float  # since the last data frame; monotonic

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class FeedReport(Message, frozen=True, kw_only=True):
    """Counts of one instrument since the feed's incarnation started, once a second and at the end."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    venue: str
    symbol: str
    frames_in: int  # book and trade frames that ccxt handed over
    events_out: int  # of these, handled and published (or used for a state change)
    conflated: int  # of these, replaced by a newer one before they were handled
    deltas_applied: int
    gaps: int
    resyncs: int
    malformed: int
    best_bid: float
    best_ask: float
    bids: tuple[tuple[float, float], ...]  # 20 best levels, best first
    asks: tuple[tuple[float, float], ...]
    book_seq: int

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class Value(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="value"):
    """A reading that may be used."""

    value: float
    age_s: float


class Stale(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="stale"):
    """A reading that was true once."""

    age_s: float


class Unavailable(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="unavailable"):
    """No reading, and why. It never decodes to 0 or 1."""

    reason: str


Reading = Value | Stale | Unavailable


class CrossReading(Message, frozen=True, kw_only=True):
    """What two products of one base say about each other (basis = perpetual minus spot, of the mids)."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    base: str  # "BTC"
    basis_bps: Reading
    divergence_bps: Reading  # distance of the perpetual from its own usual basis (rolling median)
    median_basis_bps: Reading  # over the run
    samples: int

    def key(self) -> str:
        return self.base


class ReplayFinished(Message, frozen=True, kw_only=True):
    """The player has played its recording to the end: frames sent per instrument ("binance:BTC/USDT")."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    frames: dict[str, int]
    first_ns: int  # receive time of the first and the last recorded frame
    last_ns: int
    wall_s: float
    injected: dict[str, int] = {}  # faults by kind
    started_ns: int = 0  # of the launch it ended: homes outlive runs, and so does this word
