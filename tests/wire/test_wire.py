"""The wire is readable without us: a golden frame of every message, decoded by the plain msgpack package.

A changed golden frame is a changed wire: append fields with defaults instead, or raise the schema version and write new
ones with `python -m tests.wire.test_wire`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import msgpack
import pytest

import actors.messages
from supervisor.message import SCHEMA, Envelope, Message, Provenance, topic_of
from supervisor.runtime.codec import BadFrame, Decoder, encode
from tests.wire.samples import SAMPLES

GOLDEN = Path(__file__).parent / "golden.txt"
FIELDS = [
    "schema",
    "sender",
    "incarnation",
    "seq",
    "event_ns",
    "sent_ns",
    "provenance",
    "trace",
    "causation",
    "body",
]


def frame_of(message: Message) -> bytes:
    envelope = Envelope(SCHEMA, "feed:binance", 3, 42, 1, 2, Provenance.REPLAY, "t-1", "ai_engine:Signal:7", message)
    return encode(topic_of(message).encode(), envelope)


def golden() -> dict[str, bytes]:
    lines = GOLDEN.read_text().splitlines()
    return {name: bytes.fromhex(frame) for name, frame in (line.split() for line in lines)}


def public_words() -> set[str]:
    for module in pkgutil.iter_modules(actors.messages.__path__):
        importlib.import_module(f"actors.messages.{module.name}")
    return {kind.__name__ for kind in Message.__subclasses__() if kind.__module__.startswith("actors.messages.")}


def test_every_public_word_has_a_sample_and_a_golden_frame() -> None:
    words = public_words()

    assert {type(sample).__name__ for sample in SAMPLES} == words
    assert set(golden()) == words


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: type(s).__name__)
def test_the_frame_of_a_message_is_its_golden_frame(sample: Message) -> None:
    assert frame_of(sample).hex() == golden()[type(sample).__name__].hex()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: type(s).__name__)
def test_plain_msgpack_reads_a_golden_frame_field_by_field(sample: Message) -> None:
    topic, _, packed = golden()[type(sample).__name__].partition(b"\0")

    read: list[Any] = msgpack.unpackb(packed)

    assert topic.decode() == topic_of(sample)
    assert dict(zip(FIELDS, read, strict=True))["sender"] == "feed:binance"
    assert read[9][0] == type(sample).__name__
    assert len(read[9]) == 1 + len(type(sample).__struct_fields__)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: type(s).__name__)
def test_our_decoder_gives_back_the_same_message(sample: Message) -> None:
    decoder = Decoder([type(s) for s in SAMPLES])

    assert decoder.decode(frame_of(sample)).body == sample


def test_a_frame_with_a_wrong_field_is_refused_and_named() -> None:
    topic, _, packed = golden()["Tick"].partition(b"\0")
    read = msgpack.unpackb(packed)
    read[9][3] = "not a price"

    with pytest.raises(BadFrame, match=re.escape("Tick:binance:BTC/USDT")):
        Decoder([type(s) for s in SAMPLES]).decode(topic + b"\0" + msgpack.packb(read))


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{type(s).__name__} {frame_of(s).hex()}\n" for s in SAMPLES))
