"""An executor's books: what was said in former lives writes them up as they were, a fill moves a position once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors import books as module
from actors.books import WORDS, Books
from actors.messages.account import VenueAccount
from actors.messages.orders import OrderExpired, OrderIntent, OrderKind, OrderSubmitted, Side
from actors.rules import orders as rules
from actors.rules.orders import VenueFill, VenueOrder, VenueStatus
from supervisor.message import Message

NOW = 1_790_000_000_000_000_000
SYMBOL = "BTC/USDT:USDT"
ORDERS = [rules.client_order_id("main", f"i{n}", 1) for n in range(3)]


def submitted(number: int) -> OrderSubmitted:
    intent = OrderIntent(
        intent_id=f"i{number}", account="main", strategy="momentum", venue="binanceusdm", symbol=SYMBOL,
        side=(Side.BUY, Side.SELL)[number % 2], kind=OrderKind.MARKET, quantity=Decimal(1),
    )  # fmt: skip
    return OrderSubmitted(client_order_id=ORDERS[number], intent=intent, attempt=1, submitted_ns=NOW)


def fill(number: int, trade: int, at_ns: int = NOW) -> VenueFill:
    return VenueFill(
        trade_id=str(trade), venue_order_id=f"7{number}", client_order_id="", symbol=SYMBOL,
        side=(Side.BUY, Side.SELL)[number % 2], quantity=Decimal("0.25"), price=Decimal(100), fee=Decimal(0),
        fee_currency="USDT", at_ns=at_ns,
    )  # fmt: skip


class Executor:
    """Tells the books what an executor tells them, and keeps what it publishes meanwhile."""

    def __init__(self) -> None:
        self.books, self.said = Books("main", "binanceusdm"), list[Message]()

    def submit(self, number: int) -> None:
        if ORDERS[number] not in self.books.orders:
            word = submitted(number)
            self.said.append(word)
            self.books.submitted(word, NOW + 1, 0.0)

    def report(self, number: int, status: VenueStatus) -> None:
        order = self.books.order_of(ORDERS[number], "")
        if order is not None:
            self.books.learn(f"7{number}", order.client_order_id)
            report = VenueOrder(
                client_order_id=ORDERS[number], venue_order_id=f"7{number}", symbol=SYMBOL, status=status,
                filled=order.filled, at_ns=NOW,
            )  # fmt: skip
            order, words = rules.reported(order, report)
            self.said += words
            self.books.keep(order)

    def fill(self, number: int, trade: int) -> None:
        one = fill(number, trade, NOW + trade)
        if self.books.has(one):
            return
        order = self.books.order_of("", one.venue_order_id)
        word = rules.fill_word(one, order, account="main", venue="binanceusdm")
        self.books.count(word)
        if order is None:
            self.said.append(word)
            return
        order, words = rules.filled(order, one, word)
        self.said += words
        self.books.keep(order)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 2)),
        st.tuples(st.just("report"), st.integers(0, 2), st.sampled_from(VenueStatus)),
        st.tuples(st.just("fill"), st.integers(0, 2), st.integers(1, 12)),
    ),
    max_size=40,
)


@given(STEPS)
def test_books_written_up_from_what_was_said_are_the_books_that_lived(steps: list[tuple[Any, ...]]) -> None:
    lived = Executor()
    for name, *arguments in steps:
        getattr(lived, name)(*arguments)
    again = Books("main", "binanceusdm")
    again.recover(lived.said, (), NOW, 100.0)
    assert again.positions == lived.books.positions
    assert again.since_ms() == lived.books.since_ms()
    told = [(o.client_order_id, o.state, o.filled, o.cost, o.venue_order_id) for o in again.orders.values()]
    known = lived.books.orders.values()
    assert told == [(o.client_order_id, o.state, o.filled, o.cost, o.venue_order_id) for o in known]
    assert all(
        again.has(fill(n, t, NOW + t)) == lived.books.has(fill(n, t, NOW + t)) for n in range(3) for t in range(13)
    )


def test_words_of_another_account_do_not_touch_them() -> None:
    lived = Executor()
    lived.submit(0)
    lived.report(0, VenueStatus.OPEN)
    lived.fill(0, 1)
    other = Books("hedge", "binanceusdm")
    other.recover(lived.said, (), NOW, 100.0)
    assert (other.orders, other.positions, other.by_venue_id) == ({}, {}, {})


def test_a_fill_of_before_the_opening_is_no_fill_of_theirs() -> None:
    books = Books("main", "binanceusdm")
    opening = VenueAccount(
        account="main",
        venue="binanceusdm",
        balance=Decimal(1),
        currency="USDT",
        positions=(),
        open_orders=(),
        at_ns=NOW,
    )
    books.recover([opening], (), NOW, 100.0)
    assert books.has(fill(0, 1, NOW))
    assert not books.has(fill(0, 1, NOW + 1))
    assert VenueAccount in WORDS


def test_of_settled_orders_and_of_fills_the_newest_are_kept(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "SETTLED_KEPT", 1)
    monkeypatch.setattr(module, "TRADES_KEPT", 2)
    lived = Executor()
    for number in range(3):
        lived.submit(number)
        lived.report(number, VenueStatus.OPEN)
        lived.fill(number, number + 1)
        lived.report(number, VenueStatus.CANCELLED)
    assert list(lived.books.orders) == [ORDERS[2]]
    assert lived.books.expires.keys() == lived.books.orders.keys()
    assert [lived.books.has(fill(0, t, NOW + t)) for t in (1, 2, 3)] == [False, True, True]


def test_orders_that_all_end_without_a_fill_are_forgotten_with_every_name_of_theirs(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "SETTLED_KEPT", 1)
    books = Books("main", "binanceusdm")
    for number in range(3):
        books.submitted(submitted(number), NOW + 1, 0.0)
        books.learn(f"7{number}", ORDERS[number])
        books.learn(f"triggered-{number}", ORDERS[number])
        books.fold(
            ORDERS[number], OrderExpired(client_order_id=ORDERS[number], account="main", reason="late", at_ns=NOW)
        )
    assert list(books.orders) == list(books.expires) == [ORDERS[2]]
    assert set(books.by_venue_id.values()) == {ORDERS[2]}


def test_the_last_request_counts_and_one_of_a_former_life_is_as_old_as_the_clock_on_the_wall_says() -> None:
    books = Books("main", "binanceusdm")
    books.submitted(submitted(0), NOW + 1, now_s=100.0)
    assert books.sent_s(ORDERS[0], 103.0) == 3.0
    books.sent_again(ORDERS[0], 107.0)
    assert books.sent_s(ORDERS[0], 108.0) == 1.0
    again = Books("main", "binanceusdm")
    again.recover([submitted(0)], (), NOW + 8 * 10**9, now_s=500.0)
    assert again.sent_s(ORDERS[0], 501.0) == 9.0
