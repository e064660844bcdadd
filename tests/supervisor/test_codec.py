"""Frames: what goes in comes out, any MessagePack library reads it, and what is none is refused with a sentence."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.message import SCHEMA, Envelope, Message, Provenance
from supervisor.runtime import client
from supervisor.runtime.codec import BadFrame, Decoder, encode


class Price(Message, frozen=True, kw_only=True):
    bid: float


class Fact(Message, frozen=True, kw_only=True):
    text: str


def envelope(body: Message, seq: int = 1) -> Envelope:
    return Envelope(SCHEMA, "feed", 2, seq, 3, 4, Provenance.SYNTHETIC, "t", "", body)


def packed(schema: object) -> bytes:
    head = [schema, "feed", 2, 1, 3, 4, "synthetic", "t", ""]
    return b"Price:\0" + msgpack.packb([*head, ["Price", 1.5]])


@given(st.floats(allow_nan=False), st.integers(0, 2**63 - 1), st.text(max_size=20))
def test_what_goes_in_comes_out(bid: float, seq: int, topic: str) -> None:
    told = envelope(Price(bid=bid), seq)
    frame = encode(topic.replace("\0", "").encode(), told)
    heard = Decoder((Price, Fact)).decode(frame)
    assert (heard.sender, heard.seq, heard.body) == ("feed", seq, told.body)


def test_plain_messagepack_reads_it_and_writes_what_is_read() -> None:
    heard = client.decode(encode(b"Price:", envelope(Price(bid=1.5))))
    assert heard is not None
    assert (heard.topic, heard.head["seq"], heard.body) == ("Price:", 1, ["Price", 1.5])
    assert Decoder((Price,)).decode(packed(SCHEMA)).body == Price(bid=1.5)


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_a_frame_of_another_schema_is_refused_by_our_readers_and_by_the_plain_one(schema: object) -> None:
    with pytest.raises(BadFrame, match="another version, this one reads schema 1"):
        Decoder((Price,)).decode(packed(schema))
    assert client.decode(packed(schema)) is None


@given(st.binary(max_size=80))
def test_what_is_no_frame_is_refused_with_its_size_and_topic(frame: bytes) -> None:
    with pytest.raises(BadFrame, match=f"frame of {len(frame)} bytes under topic"):
        Decoder((Price,)).decode(frame)
