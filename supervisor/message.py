"""What travels: frozen message classes that say themselves how they travel, and the envelope around them.

On the wire a message is one ZeroMQ frame: the topic as ASCII, one zero byte, then a MessagePack array (`Envelope`,
field order is the specification, docs/wire.md). A sender never chooses a socket and a receiver never guesses:
the class attribute `delivery` decides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Final, Literal

import msgspec

SCHEMA: Final = 1


class Delivery(StrEnum):
    """How a message class travels."""

    LATEST = "latest"  # newest per key; may be conflated or dropped, drops are counted; never recorded
    EVERY = "every"  # in order, none lost: recorded first, gaps seen by sequence and refilled from the sender's journal
    SYSTEM = "system"  # of the house itself: marks, timers; never recorded


class Provenance(StrEnum):
    """Where the data behind a message came from. Simulated evidence never satisfies a live criterion."""

    LIVE = "live"
    REPLAY = "replay"
    SYNTHETIC = "synthetic"
    FALLBACK = "fallback"


class Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=True, gc=False):
    """Base of every word on the bus. Append new fields at the end, with defaults.

    The tag on the wire is the class name, which is also the topic's first word. Messages hold no cycles, so the garbage
    collector need not walk them (`gc=False`).
    """

    delivery: ClassVar[Delivery] = Delivery.LATEST

    def key(self) -> str:
        """What "newest per instrument" means for a LATEST class; also the topic's second word ("" for none)."""
        return ""


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The frame's body. Times are nanoseconds since the epoch; `seq` counts per sender and topic class from 1.

    EVERY sequences go on over restarts (they live in the sender's journal); LATEST ones start again at 1 with each
    incarnation.
    """

    schema: Literal[1]  # a frame of another is refused
    sender: str
    incarnation: int
    seq: int
    event_ns: int  # when it happened (venue or replay time where known)
    sent_ns: int  # when it was sent, by the sender's wall clock
    provenance: Provenance
    trace: str
    causation: str
    body: Any


def topic_of(message: Message) -> str:
    """`Tick:binance:BTC/USDT`: class name, then the key. SUB sockets match by prefix."""
    key = message.key()
    name = type(message).__name__
    return f"{name}:{key}" if key else f"{name}:"
