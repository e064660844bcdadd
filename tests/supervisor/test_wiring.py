"""The wiring audit: every word has a speaker and a hearer, or a sentence names both ends."""

from __future__ import annotations

from typing import ClassVar

from supervisor.message import Delivery, Message
from supervisor.plan import Route
from supervisor.spec import Promise
from supervisor.wiring import Declared, audit, routes


class Price(Message, frozen=True, kw_only=True):
    n: int


class Order(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int


FEED = Declared(name="feed", publishes=(Price,))
BRAIN = Declared(name="brain", subscribes=(Price,), publishes=(Order,))
DOOR = Declared(name="door", subscribes=(Order,))


def test_a_closed_chain_has_no_fault() -> None:
    assert audit([FEED, BRAIN, DOOR]) == []


def test_a_word_nobody_says_is_a_fault_that_names_its_hearers() -> None:
    assert audit([BRAIN, DOOR]) == ["Price: heard by brain, said by nobody in this tree"]


def test_a_word_nobody_hears_is_a_fault_that_names_its_speakers() -> None:
    assert audit([FEED, BRAIN]) == ["Order: said by brain, heard by nobody in this tree"]


def test_a_word_heard_only_from_outside_is_declared_so() -> None:
    assert audit([FEED, BRAIN], outside=["Order"]) == []


def test_a_word_said_only_outside_is_declared_so() -> None:
    """`qt up --venue-url` was refused: no simulator in the tree, so nobody there said ReplayFinished."""
    assert audit([BRAIN, DOOR], outside=["Price"]) == []


def test_a_promise_of_a_word_one_does_not_say_is_a_fault_with_the_nearest_name() -> None:
    promising = Declared(name="feed", publishes=(Price,), promises=(Promise(topic="Prise", at_least_every_s=1),))

    assert audit([promising, BRAIN, DOOR]) == ["feed: promises Prise, which it does not publish; did you mean Price?"]


def test_a_promise_under_a_condition_that_the_child_cannot_see_is_a_fault() -> None:
    promise = Promise(topic="Price", at_least_every_s=1, when="Halt")
    deaf = Declared(name="feed", publishes=(Price,), promises=(promise,))
    assert audit([deaf, BRAIN, DOOR]) == ["feed: promises Price when Halt comes in, which it does not hear"]


def test_an_output_that_must_come_more_often_than_its_input_is_a_fault_that_names_both_ends_and_both_numbers() -> None:
    """Between two inputs nothing is due, so nobody could ever tell that such a promise is broken."""

    def house(every_s: float, *periods_s: float) -> list[str]:
        owes = Promise(topic="Order", at_least_every_s=every_s, when="Price")
        brain = Declared(name="brain", subscribes=(Price,), publishes=(Order,), promises=(owes,))
        feeds = [
            Declared(
                name=f"feed{n}", publishes=(Price,), promises=(Promise(topic="Price", key=f"k{n}", at_least_every_s=s),)
            )
            for n, s in enumerate(periods_s)
        ]
        return audit([*feeds, brain, DOOR])

    assert house(1.0, 30.0) == [
        "brain: promises Order every 1 s when Price comes in, which feed0 promises only every 30 s; "
        "promise it no more often"
    ]
    assert house(30.0, 30.0) == []
    assert house(5.0, 30.0, 3.0) == []  # the other speaker comes often enough


def test_two_classes_of_one_name_are_a_fault() -> None:
    other = type("Price", (Message,), {"__annotations__": {"m": int}}, frozen=True, kw_only=True)

    faults = audit([Declared(name="other", publishes=(other,)), FEED, BRAIN, DOOR])

    assert any("a name is a topic" in fault for fault in faults)


def test_the_address_book_leads_from_every_hearer_to_every_speaker() -> None:
    book = routes([FEED, BRAIN, DOOR], "/run/x")

    assert book["brain"] == (Route(sender="feed", endpoint="ipc:///run/x/feed", topics=("Price",)),)
    assert book["feed"] == ()
