"""Private words between ports and their actors: what a venue did, as values. They never leave the process.

LATEST words conflate in the actor's inbox (newest per key), EVERY words keep their order. They live apart from the
ports so that an actor can know the words without importing the room that ccxt lives in.
"""

from __future__ import annotations

from typing import ClassVar

from actors.messages.market import FeedStatus
from supervisor.message import Delivery, Message


class BookFrame(Message, frozen=True, kw_only=True):
    """The newest state of one instrument, with everything counted since the port was opened."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    venue: str
    symbol: str
    status: FeedStatus
    changes: int  # of status so far; `LifeChanged` with the same number travels on the ordered lane
    frames: int
    deltas: int
    gaps: int
    resyncs: int
    malformed: int
    bought: float  # cumulative quantity taken by buyers
    sold: float
    bids: tuple[tuple[float, float], ...]  # 20 best levels of the newest good book
    asks: tuple[tuple[float, float], ...]
    book_seq: int
    event_ms: int  # the venue's time of the newest frame
    book_at: float  # monotonic receive time of the newest depth frame

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class LifeChanged(Message, frozen=True, kw_only=True):
    """A change of status, in order, none lost."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    venue: str
    symbol: str
    status: FeedStatus
    reason: str
    changes: int
    book_at: float

    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"


class PortFailed(Message, frozen=True, kw_only=True):
    """The port's thread ended by an error of ours; the actor must not outlive it."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    text: str
