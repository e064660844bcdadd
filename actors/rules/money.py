"""The edge between floats and money: a price that was a feature becomes a `Decimal`, or an error with a sentence.

Steps are the venue's: a price moves in ticks, a quantity in lots. Rounding is never silent: `floor_to` and `ceil_to`
say their direction, and a quantity is only ever rounded down.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

import msgspec

BPS = Decimal(10_000)
ZERO = Decimal(0)


class BadAmount(ValueError):
    """Something that should become money is no finite number."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's steps for one tradable thing; all positive (`min_notional` may be zero)."""

    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    min_notional: Decimal


def to_decimal(value: float | str | int | Decimal) -> Decimal:
    """The number that was written, not its binary neighbour: `Decimal(repr(0.1))` is 0.1.

    Raises:
        BadAmount: `value` is no number, infinite or NaN.
    """
    try:
        amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise BadAmount(f"{value!r} is no number; money and quantities are finite decimal numbers") from None
    if not amount.is_finite():
        raise BadAmount(f"{value!r} is not finite; money and quantities are finite decimal numbers")
    return amount


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`. `BadAmount` when they are too far apart to divide."""
    return _to(value, step, ROUND_FLOOR)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`. `BadAmount` when they are too far apart to divide."""
    return _to(value, step, ROUND_CEILING)


def _to(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if not (value.is_finite() and step.is_finite() and step > 0):
        raise BadAmount(f"cannot round {value} to steps of {step}; wanted a finite value and a positive step")
    try:
        # the remainder is exact; a rounded quotient of, say, 28 nines would step over its own multiple
        left = value % step
        down = value - left if left >= 0 else value - left - step
        found = down if rounding == ROUND_FLOOR or left == 0 else down + step
        return found.quantize(step)  # the step's own decimals, not 28 of them; raises rather than rounds up to fit
    except InvalidOperation:
        raise BadAmount(f"{value} is too large for steps of {step}") from None


def on_step(value: Decimal, step: Decimal) -> bool:
    """True when `value` is a multiple of `step`; never raises."""
    if not (value.is_finite() and step.is_finite() and step > 0):
        return False
    try:
        return value % step == 0
    except InvalidOperation:
        return False


def instruments(settings: Mapping[str, Mapping[str, Decimal | str | float]]) -> dict[str, Instrument]:
    """`{"BTC/USDT:USDT": {"tick_size": "0.1", "lot_size": "0.001", "min_notional": "5"}}` as instruments.

    Raises:
        BadAmount: a step is missing, no number or not positive; names instrument and step.
    """
    found = {}
    for symbol, steps in settings.items():
        amounts = {}
        for name in ("tick_size", "lot_size", "min_notional"):
            if name not in steps:
                raise BadAmount(f"instrument {symbol} has no {name}; wanted tick_size, lot_size and min_notional")
            amount = to_decimal(steps[name])
            if amount < 0 or (amount == 0 and name != "min_notional"):
                raise BadAmount(f"instrument {symbol} has {name} {amount}; wanted a positive number")
            amounts[name] = amount
        found[symbol] = Instrument(symbol=symbol, **amounts)
    return found
