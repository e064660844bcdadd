"""Envelopes to frames and back: topic, one zero byte, MessagePack. The wire is written down in docs/wire.md.

Encoding is msgspec's array form: a frame is validated as it is decoded, and any plain MessagePack library reads it.
A frame that does not decode is refused with a sentence; it never becomes a half message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import msgspec

from supervisor.message import SCHEMA, Envelope, Message

SEPARATOR = b"\0"


class BadFrame(ValueError):
    """A frame that is none of the words its receiver knows. The text names topic, size and the wrong field."""


_encode = msgspec.msgpack.Encoder().encode


def encode(topic: bytes, envelope: Envelope) -> bytes:
    """The frame. `topic` comes encoded because senders keep it."""
    return topic + SEPARATOR + _encode(envelope)


class Decoder:
    """Decodes the frames of exactly these message classes."""

    def __init__(self, kinds: Sequence[type[Message]]) -> None:
        body: Any = Union[tuple(kinds)] if kinds else None  # noqa: UP007  (built at run time)
        wired = msgspec.defstruct("Wired", [("body", body)], bases=(Envelope,), frozen=True, array_like=True, gc=False)
        self._decode: Any = msgspec.msgpack.Decoder(wired).decode

    def decode(self, frame: bytes) -> Envelope:
        """The envelope of a whole frame, topic included.

        Raises:
            BadFrame: not a frame, a foreign class, or a field of the wrong type.
        """
        cut = frame.find(SEPARATOR)
        try:
            envelope: Envelope = self._decode(frame[cut + 1 :])  # a copy of 150 bytes is cheaper than a view
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            topic = frame[: max(cut, 0)][:80].decode(errors="replace")
            hint = f"; its sender is of another version, this one reads schema {SCHEMA}" if "$[0]" in str(error) else ""
            raise BadFrame(f"frame of {len(frame)} bytes under topic {topic!r} refused: {error}{hint}") from error
        return envelope
