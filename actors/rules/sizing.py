"""From a signal to a size: the least of what risk, order, gross and leverage limits leave, rounded down. Pure.

Picture: the stop comes first (a multiple of the horizon's volatility, with a floor), then the quantity that loses no
more than `risk_per_trade` of the equity there, fees of both sides included. Anything unknown gives no size, with the
reason; nothing is ever rounded up to reach a minimum. Source: fixed-fractional sizing, Vince 1990.
"""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec

from actors.messages.control import RiskLimits
from actors.messages.orders import Side
from actors.rules.money import BPS, ZERO, Instrument, ceil_to, floor_to, is_amount, money

WIDEST_STOP = 0.2  # of the price: a volatility that asks for more is no volatility


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    stop_volatilities: float = 3.0  # distance of the stop, in standard deviations of the horizon's return
    min_stop_bps: float = 10.0
    headroom: Decimal = Decimal("0.97")  # prices move between the brain and the gate


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """`binding` names the limit that decided."""

    quantity: Decimal
    stop_price: Decimal
    binding: str


class NoSize(msgspec.Struct, frozen=True, kw_only=True):
    reason: str


def stop_of(
    side: Side, entry: Decimal, volatility: float, instrument: Instrument, settings: Settings
) -> Decimal | None:
    """The protective stop, on the price grid, away from the entry; None when the volatility is no usable number."""
    if not math.isfinite(volatility) or volatility < 0:
        return None
    share = max(settings.stop_volatilities * volatility, settings.min_stop_bps / float(BPS))
    if share > WIDEST_STOP:
        return None
    distance = entry * money(share)
    step = instrument.price_step
    stop = floor_to(entry - distance, step) if side is Side.BUY else ceil_to(entry + distance, step)
    return stop if stop > 0 else None


def risk_of(quantity: Decimal, entry: Decimal, stop: Decimal, taker_fee: Decimal) -> Decimal:
    """Money lost when the stop is hit: distance and the fees of both sides. The gate uses the same."""
    return quantity * (abs(entry - stop) + (entry + stop) * taker_fee)


def size(
    *,
    side: Side,
    bid: float,
    ask: float,
    volatility: float,
    equity: Decimal | None,
    gross: Decimal | None,
    limits: RiskLimits,
    instrument: Instrument,
    settings: Settings,
) -> Size | NoSize:
    """How much to enter with at the market. `gross`: value of what is open now, None when unknown."""
    if not (math.isfinite(bid) and math.isfinite(ask) and 0 < bid <= ask):
        return NoSize(reason=f"bid {bid!r} and ask {ask!r} are no book")
    if equity is None or equity <= 0 or gross is None:
        return NoSize(reason="equity or exposure is unknown or nothing is left")
    entry = money(ask if side is Side.BUY else bid)
    stop = stop_of(side, entry, volatility, instrument, settings)
    if stop is None:
        return NoSize(reason=f"no stop can be set: volatility {volatility!r}")
    per_unit = risk_of(Decimal(1), entry, stop, instrument.taker_fee)
    scale = limits.multiplier * settings.headroom
    room = {
        "risk_per_trade": equity * limits.risk_per_trade * scale / per_unit,
        "max_order_notional": limits.max_order_notional * scale / entry,
        "max_gross_notional": (limits.max_gross_notional - gross) * settings.headroom / entry,
        "max_leverage": (equity * limits.max_leverage - gross) * settings.headroom / entry,
        "max_quantity": instrument.max_quantity,
    }
    binding = min(room, key=lambda name: room[name])
    quantity = floor_to(max(ZERO, room[binding]), instrument.quantity_step)
    if not is_amount(quantity) or quantity < instrument.min_quantity:
        return NoSize(reason=f"{binding} leaves no lot ({quantity})")
    if quantity * entry < instrument.min_notional:
        return NoSize(
            reason=f"{binding} leaves {quantity * entry}, below the venue's minimum {instrument.min_notional}"
        )
    return Size(quantity=quantity, stop_price=stop, binding=binding)
