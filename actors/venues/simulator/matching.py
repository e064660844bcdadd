"""Who trades with whom at what price: price-time rules as pure functions over a book and an order.

The market's own liquidity is real for the client and untouched by him: what he takes is remembered per level (`Taken`)
until the market changes that level. A resting order waits behind the quantity that stood at its price before it
(`ahead`); trades through its price fill it whatever the queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from actors.venues.simulator.accounts import ZERO, Order
from actors.venues.simulator.book import Book, Level, Side

Piece = tuple[Decimal, Decimal]  # price, quantity


class Taken:
    """What clients took from a side's levels since the market last changed them."""

    def __init__(self) -> None:
        self._taken: dict[str, tuple[str, Decimal]] = {}

    def available(self, level: Level) -> Decimal:
        price, shown = level
        known = self._taken.get(price)
        if known is None:
            return Decimal(shown)
        if known[0] != shown:  # the market changed the level: it is whole again
            del self._taken[price]
            return Decimal(shown)
        return max(ZERO, Decimal(shown) - known[1])

    def take(self, level: Level, quantity: Decimal) -> None:
        price, shown = level
        before = self._taken.get(price, (shown, ZERO))[1]
        self._taken[price] = (shown, before + quantity)

    def forget_gone(self, side: Side) -> None:
        """Drop levels that are no longer in the book (bounds the memory)."""
        self._taken = {price: known for price, known in self._taken.items() if side.get(float(price)) is not None}


def opposite(book: Book, order: Order) -> Side:
    return book.asks if order.side == "BUY" else book.bids


def own(book: Book, order: Order) -> Side:
    return book.bids if order.side == "BUY" else book.asks


def within(order: Order, price: Decimal) -> bool:
    """May this order trade at this price? A market order may at any."""
    if order.type == "MARKET":
        return True
    return price <= order.price if order.side == "BUY" else price >= order.price


def reachable(order: Order, side: Side, taken: Taken) -> Iterator[tuple[Level, Decimal, Decimal]]:
    """Levels the order could take now, best first: (level, price, available)."""
    for level in side.best_first():
        price = Decimal(level[0])
        if not within(order, price):
            return
        available = taken.available(level)
        if available > 0:
            yield level, price, available


def walk(order: Order, quantity: Decimal, side: Side, taken: Taken, lot: Decimal) -> list[tuple[Level, Piece]]:
    """What the order takes from the book now, `quantity` at most (or its `quote_quantity` in value, cut to the lot)."""
    pieces: list[tuple[Level, Piece]] = []
    budget = order.quote_quantity
    for level, price, available in reachable(order, side, taken):
        if budget:
            size = min(available, budget / price // lot * lot)
            budget -= size * price
        else:
            size = min(available, quantity)
            quantity -= size
        if size <= 0:
            break
        pieces.append((level, (price, size)))
        if not budget and quantity <= 0:
            break
    return pieces


def crosses(order: Order, book: Book) -> bool:
    """Would this limit order trade at once?"""
    best = opposite(book, order).best()
    return best is not None and within(order, Decimal(best[0]))


def in_priority(orders: list[Order], side: str) -> list[Order]:
    """Resting limit orders of a side in price-time order."""
    resting = [order for order in orders if order.side == side and order.type != "MARKET"]
    return sorted(resting, key=lambda order: (-order.price * order.sign, order.order_id))


def shares(
    orders: list[Order], price: Decimal, quantity: Decimal, *, buyer_is_maker: bool
) -> list[tuple[Order, Decimal]]:
    """How a market trade of `quantity` at `price` fills resting orders; shortens their queues (`ahead`).

    A trade that a seller took fills buys at its price or better, the first in price, then in time.
    """
    filled: list[tuple[Order, Decimal]] = []
    for order in in_priority(orders, "BUY" if buyer_is_maker else "SELL"):
        if not within(order, price) or quantity <= 0:
            break
        eaten = ZERO
        if order.price == price:
            eaten = min(quantity, order.ahead)
            order.ahead -= eaten
        size = min(quantity - eaten, order.left)
        if size > 0:
            filled.append((order, size))
            quantity -= size
    return filled


def shorten_queue(order: Order, book: Book) -> None:
    """Nobody can stand before an order with more than the level shows."""
    level = own(book, order).get(float(order.price))
    shown = Decimal(level[1]) if level is not None else ZERO
    order.ahead = min(order.ahead, shown)
