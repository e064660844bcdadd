"""Private words between ports and their actors: what a venue did, as values. They never leave the process.

LATEST words conflate in the actor's inbox (newest per key), EVERY words keep their order. They live apart from the
ports so that an actor can know the words without importing the room that ccxt lives in.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from actors.messages.control import EssState
from actors.messages.market import FeedStatus
from actors.rules.orders import Outcome, VenueFill, VenueOrder
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


# --- the account's words ---------------------------------------------------------------------------------------------


class OrderReport(Message, frozen=True, kw_only=True):
    """The venue's user stream told how an order stands."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    order: VenueOrder


class FillReport(Message, frozen=True, kw_only=True):
    """The venue's user stream told a fill."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    fill: VenueFill


class SubmitAnswer(Message, frozen=True, kw_only=True):
    """What came back from sending an order: the order, or the class of the failure."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    order: VenueOrder | None
    outcome: Outcome | None = None
    text: str = ""


class CancelAnswer(Message, frozen=True, kw_only=True):
    """What came back from a cancel."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    symbol: str
    tries: int
    order: VenueOrder | None
    outcome: Outcome | None = None
    text: str = ""


class FindAnswer(Message, frozen=True, kw_only=True):
    """What the venue says about one client order id. `ABSENT` only when two endpoints agree."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    client_order_id: str
    tries: int
    order: VenueOrder | None
    outcome: Outcome | None = None
    text: str = ""


class Picture(Message, frozen=True, kw_only=True):
    """The account as the venue holds it, read in one go. With a `problem` the rest is empty and means nothing."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    problem: str = ""
    balance: Decimal = Decimal(0)
    currency: str = ""
    positions: tuple[tuple[str, Decimal, Decimal], ...] = ()
    orders: tuple[VenueOrder, ...] = ()  # open ones, and those that were asked for
    absent: tuple[str, ...] = ()  # client order ids asked for that the venue does not know
    fills: tuple[VenueFill, ...] = ()


class StreamChanged(Message, frozen=True, kw_only=True):
    """The user stream was connected or lost."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    up: bool
    reason: str = ""


class LatchSeen(Message, frozen=True, kw_only=True):
    """The emergency stop's latch file changed."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    state: EssState
    reason: str
