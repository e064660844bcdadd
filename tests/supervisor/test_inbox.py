"""The inbox: control overtakes, LATEST conflates, the rest is bounded and keeps its order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

from supervisor.message import Delivery, Message
from supervisor.runtime import bus
from supervisor.runtime.inbox import FRAMES_MOST, POSTED_MOST, TIMERS_MOST, Inbox, InboxFull


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


def test_a_word_of_the_supervisor_waits_for_one_batch_never_for_the_backlog(inbox: Inbox) -> None:
    for n in range(1000):
        inbox.post(Fact(n=n))
    first = inbox.get().messages
    inbox.tell(Fact(n=-1))

    second = inbox.get().messages

    assert len(first) == FRAMES_MOST
    assert second[0] == Fact(n=-1)
    rest = [*second[1:], *inbox.get().messages, *inbox.get().messages]
    assert [m.n for m in [*first, *rest] if isinstance(m, Fact)] == list(range(1000))


def test_beyond_its_bound_the_oldest_key_of_latest_goes_and_is_counted(inbox: Inbox) -> None:
    for n in range(POSTED_MOST + 3):
        inbox.post(Price(n=n, name=str(n)))

    assert inbox.dropped == 3
    assert inbox.get().messages[0] == Price(n=3, name="3")


def test_an_actor_that_sets_timers_without_end_is_told(inbox: Inbox) -> None:
    for n in range(TIMERS_MOST):
        inbox.after(3600.0, Fact(n=n))

    with pytest.raises(InboxFull, match="10000 timers wait; the next is Fact"):
        inbox.after(3600.0, Fact(n=-1))


def test_an_actor_that_hears_nothing_has_the_same_inbox_without_a_socket() -> None:
    inbox = Inbox(bus.Deaf())
    threading.Timer(0.02, inbox.post, [Fact(n=1)]).start()

    messages = inbox.get().messages or inbox.get().messages

    assert messages == [Fact(n=1)]
    inbox.stop("enough")
    assert inbox.get().stop == "enough"


def test_ears_come_and_go_in_one_process_without_getting_in_each_others_way() -> None:
    context = bus.context()
    for _ in range(200):  # a closed socket gives its address back late, and Python its memory at once
        bus.Listener(context).close()
    context.term()
