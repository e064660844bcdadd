"""What a fill and a lock do to money: spot balances, USD-M wallet, position and margin. Rules over records, no I/O.

USD-M is one-way, cross margin, without funding and without liquidation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from actors.venues.simulator.accounts import ZERO, Balance, Fill, Order, Position, Wallet
from actors.venues.simulator.instruments import SPOT, USDM

FEES = {SPOT: (Decimal("0.001"), Decimal("0.001")), USDM: (Decimal("0.0005"), Decimal("0.0002"))}  # taker, maker
CENT = Decimal("0.00000001")


def fee_rate(product: str, *, maker: bool) -> Decimal:
    return FEES[product][1 if maker else 0]


def rounded(amount: Decimal) -> Decimal:
    """To the venue's 8 decimals."""
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def needed_lock(order: Order) -> Decimal:
    """Spot: what an open limit order sets aside now: quote for a buy, base for a sell."""
    if not order.open or order.type == "MARKET":
        return ZERO
    return order.left * order.price if order.side == "BUY" else order.left


def relock(order: Order, balance: Balance) -> None:
    """Bring the lock of a spot order in line with what is left of it."""
    change = needed_lock(order) - order.locked
    order.locked += change
    balance.locked += change
    balance.free -= change


def settle_spot(order: Order, base: Balance, quote: Balance, fill: Fill) -> None:
    """Move money for one spot fill; the fee is taken from what is received. The order's size and status are new."""
    quantity, fee = fill.quantity, fill.fee
    cost = rounded(fill.price * quantity)
    if order.side == "BUY":
        relock(order, quote)
        quote.free -= cost
        base.free += quantity - fee
    else:
        relock(order, base)
        base.free -= quantity
        quote.free += cost - fee


def settle_usdm(
    position: Position, wallet: Wallet, sign: int, price: Decimal, quantity: Decimal, fee: Decimal
) -> Decimal:
    """Move position and wallet for one USD-M fill; returns the realised profit (before the fee)."""
    change = sign * quantity
    old, realised = position.quantity, ZERO
    closing = min(abs(old), quantity) if old * change < 0 else ZERO
    if closing:
        realised = rounded((price - position.entry) * closing * (1 if old > 0 else -1))
    position.quantity = old + change
    if position.quantity == 0:
        position.entry = ZERO
    elif closing == 0:
        position.entry = (position.entry * abs(old) + price * quantity) / abs(position.quantity)
    elif old * position.quantity < 0:
        position.entry = price  # it went through zero: the rest was opened at this price
    wallet.amount += realised - fee
    return realised


def reducible(position: Position, sign: int) -> Decimal:
    """How much an order of this sign could close."""
    return abs(position.quantity) if position.quantity * sign < 0 else ZERO


def unrealised(position: Position, mark: Decimal | None) -> Decimal:
    """Profit of a position at the mark; 0 without one, as without a market."""
    return rounded((mark - position.entry) * position.quantity) if mark is not None else ZERO


def initial_margin(
    positions: Iterable[Position], orders: Iterable[Order], mark_of: Callable[[str], Decimal | None]
) -> Decimal:
    """Cross initial margin: per symbol max(|position + buys|, |position − sells|) in value, over its leverage."""
    buys: dict[str, Decimal] = {}
    sells: dict[str, Decimal] = {}
    for order in orders:
        if order.reduce_only:
            continue
        side = buys if order.side == "BUY" else sells
        side[order.symbol] = side.get(order.symbol, ZERO) + order.left * order.price
    total = ZERO
    for position in positions:
        symbol = position.symbol
        value = position.quantity * (mark_of(symbol) or position.entry)
        worst = max(abs(value + buys.get(symbol, ZERO)), abs(value - sells.get(symbol, ZERO)))
        total += worst / position.leverage
    return rounded(total)
