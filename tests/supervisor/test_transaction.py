"""The handled-message transaction: all effects or none, holes refilled, repeats dropped, previous lives fenced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from supervisor.evidence import vitals
from supervisor.message import Delivery, Message, Provenance
from supervisor.plan import Route
from supervisor.runtime import bus
from supervisor.runtime.inbox import Inbox
from supervisor.runtime.journal import Journal, JournalReader, file_name
from supervisor.runtime.transaction import Fenced, NoRoute, Transaction


class Fact(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int


class Price(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.LATEST
    n: int
    name: str = "x"

    def key(self) -> str:
        return self.name


class Halt(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.SYSTEM
    n: int


class Wire:
    """Stands where the PUB socket stands and keeps what was sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.send = self.frames.append


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Transaction]]:
    context = bus.context()
    opened: list[Any] = []

    def build(name: str, incarnation: int = 1, hears: str = "", wire: Wire | None = None) -> Transaction:
        listener = bus.Listener(context)
        journal = Journal(tmp_path / "journal" / file_name(name))
        page = vitals.Page(tmp_path / "vitals" / vitals.file_name(name), incarnation, (name,))
        opened.extend((listener, journal))
        return Transaction(
            name=name,
            incarnation=incarnation,
            provenance=Provenance.SYNTHETIC,
            replay=False,
            rng=Random(1),
            inbox=Inbox(listener),
            publisher=wire or Wire(),  # type: ignore[arg-type]
            journal=journal,
            journals_dir=tmp_path / "journal",
            routes=(Route(sender=hears, endpoint="", topics=("Fact", "Price")),) if hears else (),
            kinds=(Fact, Price, Halt),
            slot=page.slots[name],
            ask_root=lambda name, payload: None,
            say_ready=lambda: None,
            complain=complaints.append,
        )

    complaints: list[str] = []
    build.complaints = complaints  # type: ignore[attr-defined]
    yield build
    for thing in opened:
        thing.close()
    context.term()


def said(path: Path, name: str) -> list[int]:
    return [record.seq for record in JournalReader(path / "journal" / file_name(name)).since("Fact", 0)]


def test_nothing_is_on_the_wire_before_it_is_on_disk(make: Callable[..., Transaction], tmp_path: Path) -> None:
    wire = Wire()
    tx = make("teller", wire=wire)

    tx.publish(Fact(n=1))

    assert wire.frames == []
    assert said(tmp_path, "teller") == []
    tx.commit()
    assert said(tmp_path, "teller") == [1]
    assert len(wire.frames) == 1


def test_a_handler_that_raises_leaves_nothing_and_what_was_handled_before_it_stands(
    make: Callable[..., Transaction], tmp_path: Path
) -> None:
    tx = make("teller")
    mark = tx.take(None)
    tx.publish(Fact(n=1))
    mark = tx.take(None)
    tx.publish(Fact(n=2))

    tx.discard_from(mark)
    tx.commit()

    assert said(tmp_path, "teller") == [1]
    tx.publish(Fact(n=3))
    tx.commit()
    assert said(tmp_path, "teller") == [1, 2]


def test_a_latest_message_leaves_at_once_and_is_never_recorded(
    make: Callable[..., Transaction], tmp_path: Path
) -> None:
    wire = Wire()
    tx = make("teller", wire=wire)

    tx.publish(Price(n=1))

    assert wire.frames[0].startswith(b"Price:x\0")
    assert JournalReader(tmp_path / "journal" / file_name("teller")).topics() == {}


def test_what_is_said_keeps_its_order_across_delivery_classes(make: Callable[..., Transaction]) -> None:
    wire = Wire()
    tx = make("teller", wire=wire)

    tx.publish(Fact(n=1))
    tx.publish(Price(n=1))
    tx.commit()

    assert [frame.split(b"\0")[0] for frame in wire.frames] == [b"Fact:", b"Price:x"]


def test_a_hole_in_the_sequence_is_refilled_from_the_senders_journal(make: Callable[..., Transaction]) -> None:
    wire = Wire()
    teller = make("teller", wire=wire)
    for n in range(1, 6):
        teller.publish(Fact(n=n))
    teller.commit()
    hearer = make("hearer", hears="teller")

    first = hearer.hear(wire.frames[0])
    hearer.handled(first[0])
    rest = hearer.hear(wire.frames[4])

    assert [e.body.n for e in first] == [1]
    assert [e.body.n for e in rest] == [2, 3, 4, 5]


def test_a_repeat_is_dropped(make: Callable[..., Transaction]) -> None:
    wire = Wire()
    teller = make("teller", wire=wire)
    teller.publish(Fact(n=1))
    teller.commit()
    hearer = make("hearer", hears="teller")

    hearer.handled(hearer.hear(wire.frames[0])[0])

    assert not hearer.hear(wire.frames[0])


def test_after_a_restart_only_what_was_not_handled_is_delivered_and_the_rest_is_recalled(
    make: Callable[..., Transaction],
) -> None:
    wire = Wire()
    teller = make("teller", wire=wire)
    for n in (1, 2, 3):
        teller.publish(Fact(n=n))
    teller.commit()
    first_life = make("hearer", hears="teller")
    first_life.handled(first_life.hear(wire.frames[0])[0])
    first_life.commit()

    second_life = make("hearer", incarnation=2, hears="teller")

    assert [fact.n for fact in second_life.recall(Fact)] == [1]
    assert [e.body.n for e in second_life.catch_up()] == [2, 3]


def test_sequences_go_on_over_restarts(make: Callable[..., Transaction], tmp_path: Path) -> None:
    first = make("teller")
    first.publish(Fact(n=1))
    first.commit()

    second = make("teller", incarnation=2)
    second.publish(Fact(n=2))
    second.commit()

    assert said(tmp_path, "teller") == [1, 2]


def test_a_latest_message_from_a_previous_life_is_never_acted_on(make: Callable[..., Transaction]) -> None:
    old_wire, new_wire = Wire(), Wire()
    make("teller", incarnation=1, wire=old_wire).publish(Price(n=1))
    make("teller", incarnation=2, wire=new_wire).publish(Price(n=2))
    hearer = make("hearer", hears="teller")

    assert [e.body.n for e in hearer.hear(new_wire.frames[0])] == [2]
    assert not hearer.hear(old_wire.frames[0])


def test_a_frame_that_is_no_word_is_refused_with_a_sentence_and_nothing_is_lost(
    make: Callable[..., Transaction],
) -> None:
    hearer = make("hearer", hears="teller")

    assert not hearer.hear(b"Fact:\0\xc1garbage")

    assert "refused" in make.complaints[0]  # type: ignore[attr-defined]


def test_marks_reveal_a_lost_last_message(make: Callable[..., Transaction]) -> None:
    wire = Wire()
    teller = make("teller", wire=wire)
    teller.publish(Fact(n=1))
    teller.commit()
    teller.beat()
    hearer = make("hearer", hears="teller")

    heard = hearer.hear(wire.frames[-1])

    assert wire.frames[-1].startswith(b"Marks:\0")
    assert [e.body.n for e in heard] == [1]


def test_a_message_to_nobody_is_refused_by_name(make: Callable[..., Transaction]) -> None:
    with pytest.raises(NoRoute, match="teller sends Fact to 'nowhere'"):
        make("teller").send("nowhere", Fact(n=1))


def test_a_fenced_incarnation_has_no_effects_any_more(make: Callable[..., Transaction], tmp_path: Path) -> None:
    wire, called = Wire(), []
    tx = make("teller", wire=wire)
    tx.publish(Fact(n=1))
    tx.call(called.append, 1)

    tx.fence()

    with pytest.raises(Fenced, match="teller incarnation 1 is fenced"):
        tx.commit()
    for effect in (tx.publish, tx.post):
        with pytest.raises(Fenced):
            effect(Price(n=1, name="BTC"))
    with pytest.raises(Fenced):
        tx.send("root", Fact(n=2))
    with pytest.raises(Fenced):
        tx.call(called.append, 2)
    assert (wire.frames, called, said(tmp_path, "teller")) == ([], [], [])


def test_a_port_that_hung_in_a_commit_is_the_last_one_to_act_when_the_fence_comes_meanwhile(
    make: Callable[..., Transaction],
) -> None:
    wire, called = Wire(), []
    tx = make("teller", wire=wire)
    tx.call(tx.fence)  # stands for a call that hangs until the incarnation is given up
    tx.call(called.append, 1)
    tx.publish(Fact(n=1))

    with pytest.raises(Fenced):
        tx.commit()

    assert (wire.frames, called) == ([], [])


def test_a_system_word_from_a_previous_life_is_never_acted_on(make: Callable[..., Transaction]) -> None:
    wire = Wire()
    first, second = make("teller", 1, wire=wire), make("teller", 2, wire=wire)
    hearer = make("hearer", hears="teller")
    for life in (second, first):
        life.publish(Halt(n=life.incarnation))
        life.commit()

    heard = [envelope.body for frame in wire.frames for envelope in hearer.hear(frame)]

    assert heard == [Halt(n=2)]
