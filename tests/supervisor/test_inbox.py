"""The inbox: control overtakes, LATEST conflates, the rest is bounded and keeps its order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

from supervisor.message import Delivery, Message
from supervisor.runtime import bus
from supervisor.runtime.inbox import POSTED_MOST, Inbox, InboxFull


class Fact(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    n: int


class Price(Message, frozen=True, kw_only=True):
    n: int
    name: str

    def key(self) -> str:
        return self.name


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    context = bus.context()
    listener = bus.Listener(context)
    yield Inbox(listener)
    listener.close()
    context.term()


def test_a_stop_overtakes_the_backlog(inbox: Inbox) -> None:
    for n in range(100):
        inbox.post(Fact(n=n))
    inbox.stop("enough")

    assert inbox.get().stop == "enough"


def test_the_newest_price_per_key_stays_and_drops_are_counted(inbox: Inbox) -> None:
    for n in range(5):
        inbox.post(Price(n=n, name="BTC"))
    inbox.post(Price(n=9, name="ETH"))

    batch = inbox.get()

    assert [(m.name, m.n) for m in batch.messages if isinstance(m, Price)] == [("BTC", 4), ("ETH", 9)]
    assert inbox.dropped == 4


def test_facts_keep_their_order(inbox: Inbox) -> None:
    for n in range(50):
        inbox.post(Fact(n=n))

    assert [m.n for m in inbox.get().messages if isinstance(m, Fact)] == list(range(50))


def test_a_full_lane_is_the_posters_problem(inbox: Inbox) -> None:
    for n in range(POSTED_MOST):
        inbox.post(Fact(n=n))

    with pytest.raises(InboxFull, match="Fact"):
        inbox.post(Fact(n=-1))


def test_an_idle_inbox_beats(inbox: Inbox) -> None:
    batch = inbox.get()

    assert (batch.stop, batch.messages, list(batch.frames)) == (None, [], [])


def test_a_post_from_another_thread_ends_the_wait(inbox: Inbox) -> None:
    inbox.get()  # one beat, so that the next get really waits
    threading.Timer(0.02, inbox.post, [Fact(n=1)]).start()

    deadline = time.monotonic() + 10
    messages: list[Message] = []
    while not messages and time.monotonic() < deadline:
        messages = inbox.get().messages

    assert messages == [Fact(n=1)]


def test_timers_come_due_in_their_order(inbox: Inbox) -> None:
    inbox.after(0.02, Fact(n=2))
    inbox.after(0.01, Fact(n=1))

    seen: list[Message] = []
    deadline = time.monotonic() + 10
    while len(seen) < 2 and time.monotonic() < deadline:
        seen += inbox.get().messages

    assert seen == [Fact(n=1), Fact(n=2)]
