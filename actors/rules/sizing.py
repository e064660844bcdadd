"""How much: the smallest of what the risk budget and the caps allow, rounded down to the lot, or nothing and why.

Picture: entry price and stop give the loss per unit (costs included); the budget divided by it is the risk size; caps
in notional bind on top. Never rounded up: below the venue's minimum there is no trade. Size never grows when equity
falls, the stop widens, volatility rises or a limit shrinks. Broken input gives nothing. No position, no clock.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import StrEnum

import msgspec

from actors.messages.orders import Side
from actors.rules.money import BPS, ZERO, BadAmount, Instrument, ceil_to, floor_to, to_decimal

COSTS = Decimal("0.001")  # share of the notional: a taker fee of 5 bps, in and out
HEAD_ROOM = Decimal("0.95")  # of every limit: between this decision and the gate's the price may move against it


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The strategy's settings."""

    risk_per_trade: Decimal  # share of equity
    max_order_notional: Decimal
    stop_volatilities: float  # distance of the stop in standard deviations of the horizon's return
    min_stop_bps: float

    def __post_init__(self) -> None:
        """Raise ValueError, naming the term, for terms no trade can be sized under."""
        for name in ("risk_per_trade", "max_order_notional"):
            amount = getattr(self, name)
            if not (amount.is_finite() and amount >= 0):
                raise ValueError(f"sizing {name} {amount}: wanted a finite number from 0")
        for name in ("stop_volatilities", "min_stop_bps"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"sizing {name} {getattr(self, name)}: wanted a finite number above 0")


class Nothing(StrEnum):
    """Why there is no size."""

    PRICE_INVALID = "PRICE_INVALID"
    VOLATILITY_INVALID = "VOLATILITY_INVALID"
    EQUITY_INVALID = "EQUITY_INVALID"
    STOP_TOO_WIDE = "STOP_TOO_WIDE"
    BELOW_MINIMUM = "BELOW_MINIMUM"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """An entry: quantity on the lot, stop on the tick and on the losing side of `price`."""

    quantity: Decimal
    price: Decimal  # the side of the book it would take
    stop_price: Decimal


def size(
    side: Side,
    bid: float,
    ask: float,
    volatility: float,
    equity: Decimal,
    terms: Terms,
    instrument: Instrument,
    *,
    multiplier: Decimal = Decimal(1),
    max_notional: Decimal | None = None,
) -> Size | Nothing:
    """Size a market entry.

    Args:
        side: BUY takes the ask, SELL the bid.
        volatility: standard deviation of the return over the horizon, as a ratio.
        multiplier: 0..1, the risk brain's; scales budget and cap.
        max_notional: a further cap, e.g. what leverage leaves; None for none.
    """
    try:
        price = to_decimal(ask if side is Side.BUY else bid)
    except BadAmount:
        return Nothing.PRICE_INVALID
    if not 0 < bid <= ask or not math.isfinite(ask):
        return Nothing.PRICE_INVALID
    if not 0.0 <= volatility < math.inf:
        return Nothing.VOLATILITY_INVALID
    if not (equity.is_finite() and equity > 0):
        return Nothing.EQUITY_INVALID
    try:
        distance = max(to_decimal(terms.min_stop_bps) / BPS, to_decimal(terms.stop_volatilities * volatility))
    except BadAmount:
        return Nothing.VOLATILITY_INVALID
    if distance >= 1:
        return Nothing.STOP_TOO_WIDE
    # away from the price: rounding may widen a stop by less than a tick, never tighten it into the noise
    if side is Side.BUY:
        stop = floor_to(price * (1 - distance), instrument.tick_size)
    else:
        stop = ceil_to(price * (1 + distance), instrument.tick_size)
    if stop <= 0:
        return Nothing.STOP_TOO_WIDE
    multiplier = min(max(multiplier, ZERO), Decimal(1))
    loss = abs(price - stop) + price * COSTS
    by_risk = equity * terms.risk_per_trade * multiplier * HEAD_ROOM / loss
    cap = terms.max_order_notional * multiplier
    if max_notional is not None:
        cap = min(cap, max(max_notional, ZERO))
    by_notional = cap * HEAD_ROOM / price
    quantity = floor_to(min(by_risk, by_notional), instrument.lot_size)
    if quantity <= 0 or quantity * price < instrument.min_notional:
        return Nothing.BELOW_MINIMUM
    return Size(quantity=quantity, price=price, stop_price=stop)
