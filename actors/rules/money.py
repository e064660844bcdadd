"""Where floats become money, and the grid an instrument allows. Pure.

A price of the market is a float until something is bought with it; from there on it is a `Decimal`. What is no finite
number never becomes money. Rounding always goes to the side that risks less; nothing is rounded up to reach a minimum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

ZERO = Decimal(0)
BPS = Decimal(10_000)


class NotMoney(ValueError):
    """A value that is no finite number was about to become money."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable thing and the venue's grid. Prices in quote currency, quantities in base currency."""

    venue: str
    symbol: str  # unified: "BTC/USDT:USDT"
    price_step: Decimal
    quantity_step: Decimal
    min_quantity: Decimal = ZERO
    max_quantity: Decimal = Decimal(9000)
    min_notional: Decimal = Decimal(5)
    taker_fee: Decimal = Decimal("0.0005")  # share of the notional, per side
    compared: bool = True  # cross_exchange reads its base: without a usable divergence nothing is entered

    @property
    def key(self) -> str:
        return f"{self.venue}:{self.symbol}"

    @property
    def base(self) -> str:
        return self.symbol.partition("/")[0]


def money(value: float) -> Decimal:
    """The shortest decimal that reads back as this float.

    Raises:
        NotMoney: NaN or infinite.
    """
    if not math.isfinite(value):
        raise NotMoney(f"{value!r} is no amount of money")
    return Decimal(repr(float(value)))


def is_amount(value: Decimal | None) -> bool:
    """True for a finite number above zero."""
    return value is not None and value.is_finite() and value > 0


def mid(bid: float, ask: float) -> Decimal | None:
    """The middle of a book as money, exact; None when it is no book: a side missing, not finite, or crossed."""
    if not (math.isfinite(bid) and math.isfinite(ask) and 0 < bid <= ask):
        return None
    return (money(bid) + money(ask)) / 2


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The greatest multiple of `step` that is not above `value`."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The least multiple of `step` that is not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def on_step(value: Decimal, step: Decimal) -> bool:
    """True when `value` is a multiple of `step`."""
    return value % step == 0


def instruments_of(venue: str, steps: Mapping[str, Mapping[str, Decimal]]) -> dict[str, Instrument]:
    """Instruments by symbol, from `{"BTC/USDT:USDT": {"tick_size": …, "lot_size": …, "min_notional": …}}`.

    Raises:
        NotMoney: a step that is no finite number above zero.
    """
    found = {}
    for symbol, step in steps.items():
        for name in ("tick_size", "lot_size"):
            if not is_amount(step[name]):
                raise NotMoney(f"{venue}:{symbol}: {name} is {step[name]}; it must be a finite number above zero")
        found[symbol] = Instrument(
            venue=venue,
            symbol=symbol,
            price_step=step["tick_size"],
            quantity_step=step["lot_size"],
            min_notional=step["min_notional"],
        )
    return found
