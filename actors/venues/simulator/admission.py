"""What refuses an order before it exists: post-only, money, margin, reduce-only, triggers. Pure; raises VenueError."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from actors.venues.simulator.accounts import ZERO, Algo, Balance, Order, Position
from actors.venues.simulator.book import Book
from actors.venues.simulator.errors import VenueError
from actors.venues.simulator.instruments import SPOT, USDM
from actors.venues.simulator.matching import Piece, crosses
from actors.venues.simulator.settlement import fee_rate, initial_margin, needed_lock, reducible, rounded


def check_post_only(order: Order, book: Book) -> None:
    """A maker-only order (LIMIT_MAKER, GTX) must not meet the book."""
    if (order.type != "LIMIT_MAKER" and order.time_in_force != "GTX") or not crosses(order, book):
        return
    if order.product == SPOT:
        raise VenueError(-2010, "Order would immediately match and take.")
    text = "Due to the order could not be executed as maker, the Post Only order will be rejected."
    raise VenueError(-5022, text)


def check_balance(order: Order, balance: Balance, reach: Sequence[Piece]) -> None:
    """Spot: what the order sets aside, or what a market order is going to pay, must be free."""
    needed = needed_lock(order)
    if order.type == "MARKET":
        value = sum((price * size for price, size in reach), ZERO)
        needed = rounded(value) if order.side == "BUY" else sum((size for _, size in reach), ZERO)
    if needed > balance.free:
        raise VenueError(-2010, "Account has insufficient balance for requested action.")


def check_reduces(order: Order | Algo, position: Position) -> None:
    if not reducible(position, order.sign):
        raise VenueError(-2022, "ReduceOnly Order is rejected.")


def check_margin(
    order: Order,
    price: Decimal,
    equity: Decimal,
    positions: Sequence[Position],
    others: Sequence[Order],
    mark_of: Callable[[str], Decimal | None],
) -> None:
    """USD-M: an order that raises the initial margin must leave it, and its fee, within the equity."""
    virtual = Order(
        account=order.account, product=USDM, symbol=order.symbol, order_id=0, client_id="", side=order.side,
        type="LIMIT", time_in_force="GTC", quantity=order.quantity, price=price,
    )  # fmt: skip
    before = initial_margin(positions, others, mark_of)
    after = initial_margin(positions, [*others, virtual], mark_of)
    fee = rounded(order.quantity * price * fee_rate(USDM, maker=False))
    if after > before and after + fee > equity:
        raise VenueError(-2019, "Margin is insufficient.")


def check_conditional(algo: Algo, position: Position, reference: Decimal | None) -> None:
    """A conditional that closes needs something to close, and its price must not be touched already."""
    if algo.close_position and not reducible(position, algo.sign):
        text = (
            "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available."
        )
        raise VenueError(-4509, text)
    if algo.reduce_only:
        check_reduces(algo, position)
    if reference is not None and algo.touched(reference):
        raise VenueError(-2021, "Order would immediately trigger.")
