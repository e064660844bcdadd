"""What an executor knows of its account: its orders, the venue's names for them, the fills counted, the position left.

Picture: the books of one account, kept in memory and written up from the words in the journal. The executor asks them
and tells them; they ask nobody. What an order becomes by a word is `actors/rules/orders.py`.

Everything is bounded: of settled orders and of fills the newest are kept, the venue is asked for the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal

from actors.messages.account import VenueAccount
from actors.messages.orders import (
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from actors.rules import orders as rules
from actors.rules.orders import Order, VenueFill
from supervisor.message import Message

SETTLED_KEPT = 1_000
TRADES_KEPT = 50_000
OVERLAP_MS = 300_000  # trades are read again this far back
WORDS = (
    OrderSubmitted, OrderAccepted, OrderFilled, OrderCompleted, OrderRejected, OrderCancelled, OrderExpired,
    OrderUnknown, VenueAccount,
)  # fmt: skip


class Books:
    """Of one account at one venue; `positions` by symbol, signed."""

    def __init__(self, account: str, venue: str) -> None:
        self.account, self.venue = account, venue
        self.orders: OrderedDict[str, Order] = OrderedDict()  # by client order id
        self.expires: dict[str, int] = {}  # client order id → end of its approval, ns
        self._sent: dict[str, float] = {}  # client order id → monotonic time of the last request
        self.positions: dict[str, Decimal] = {}
        self.by_venue_id: dict[str, str] = {}
        self.opened_ns: int | None = None  # fills up to here belong to a history that is not ours
        self._trades: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._newest_fill_ns = 0

    def recover(self, words: Iterable[Message], approvals: Iterable[OrderApproved], now_ns: int, now_s: float) -> None:
        """Write them up from what was said in former lives, in that order: `WORDS`, then the gate's approvals.

        How long ago a former life sent an order only the wall clock can tell; from now on the monotonic one does.
        """
        for word in words:
            match word:
                case OrderSubmitted() if word.intent.account == self.account:
                    known = self.orders.get(word.client_order_id)
                    if known is None or word.attempt > known.attempt:
                        self.orders[word.client_order_id] = rules.submitted(word)
                case OrderFilled() if word.account == self.account and word.venue == self.venue:
                    self.count(word)
                    self.fold(word.client_order_id, word)
                case VenueAccount() if word.account == self.account:
                    if self.opened_ns is None:
                        self.opened_ns = word.at_ns
                case OrderAccepted() if word.account == self.account:
                    self.by_venue_id[word.venue_order_id] = word.client_order_id
                    self.fold(word.client_order_id, word)
                case OrderCompleted() | OrderRejected() | OrderCancelled() | OrderExpired() | OrderUnknown():
                    self.fold(word.client_order_id, word)  # an id holds its account
        for approval in approvals:
            client_order_id = rules.client_order_id(approval.intent.account, approval.intent.intent_id, 1)
            if client_order_id in self.orders:
                self.expires[client_order_id] = approval.expires_ns
        for client_order_id, order in self.orders.items():
            self._sent[client_order_id] = now_s - max(0.0, (now_ns - order.submitted_ns) / 1e9)

    def submitted(self, word: OrderSubmitted, expires_ns: int, now_s: float) -> None:
        """A new order, on its way."""
        self.orders[word.client_order_id] = rules.submitted(word)
        self.expires[word.client_order_id] = expires_ns
        self._sent[word.client_order_id] = now_s

    def sent_again(self, client_order_id: str, now_s: float) -> None:
        """Its first request is not believed to have arrived; this one may."""
        self._sent[client_order_id] = now_s

    def sent_s(self, client_order_id: str, now_s: float) -> float:
        """Seconds since its last request."""
        return now_s - self._sent[client_order_id]

    def fold(self, client_order_id: str, word: Message) -> None:
        """One of our orders is what this word makes of it; a word about any other is nothing to these books."""
        order = self.orders.get(client_order_id)
        if order is not None:
            self.keep(rules.fold(order, word))

    def keep(self, order: Order) -> None:
        """This is what the order has become."""
        self.orders[order.client_order_id] = order
        if order.settled and len(self.orders) > 2 * SETTLED_KEPT:  # seldom, since it looks at all of them
            self._forget_settled()

    def order_of(self, client_order_id: str, venue_order_id: str) -> Order | None:
        """Our order by either name; None for somebody else's."""
        return self.orders.get(client_order_id) or self.orders.get(self.by_venue_id.get(venue_order_id, ""))

    def learn(self, venue_order_id: str, client_order_id: str) -> None:
        """The venue's name for an order of ours; "" is none."""
        if venue_order_id:
            self.by_venue_id[venue_order_id] = client_order_id

    def has(self, fill: VenueFill) -> bool:
        """Whether it is counted, or older than these books."""
        older = self.opened_ns is not None and fill.at_ns <= self.opened_ns
        return older or (fill.symbol, fill.trade_id) in self._trades

    def count(self, word: OrderFilled) -> None:
        """A fill moves the position, once."""
        self._trades[word.symbol, word.trade_id] = None
        while len(self._trades) > TRADES_KEPT:
            self._trades.popitem(last=False)
        change = rules.signed(word.side, word.quantity)
        self.positions[word.symbol] = self.positions.get(word.symbol, rules.ZERO) + change
        self._newest_fill_ns = max(self._newest_fill_ns, word.at_ns)

    def unsettled(self) -> tuple[tuple[str, str, bool], ...]:
        """(client order id, symbol, conditional) of what the venue has to be asked about."""
        return tuple(
            (order.client_order_id, order.intent.symbol, order.conditional)
            for order in self.orders.values()
            if not order.settled
        )

    def since_ms(self) -> int:
        """From here on fills have to be read."""
        return max(0, max(self._newest_fill_ns, self.opened_ns or 0) // 1_000_000 - OVERLAP_MS)

    def _forget_settled(self) -> None:
        settled = [name for name, order in self.orders.items() if order.settled]
        for name in settled[: max(0, len(settled) - SETTLED_KEPT)]:
            del self.orders[name]
            self.expires.pop(name, None)
            self._sent.pop(name, None)
        # a conditional order has a second name at the venue, that of the order it triggered
        for venue_order_id in [one for one, name in self.by_venue_id.items() if name not in self.orders]:
            del self.by_venue_id[venue_order_id]
