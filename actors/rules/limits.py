"""How much of the configured risk may be taken now: one multiplier from the day's loss, with the reason. Pure.

Picture: a valve. Fully open until half of the day's loss limit is used, closing in a straight line, shut at the limit,
and shut whenever the equity, the day's start or the ledger's word itself is missing. It only scales down.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

import msgspec

from actors.messages.account import AccountState
from actors.messages.control import RiskLimits
from actors.rules.money import ZERO

ONE = Decimal(1)
OPEN_UNTIL = Decimal("0.5")  # share of the day's loss limit that changes nothing
GRAIN = Decimal("0.01")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's limits, as configured: `config/settings.py: OrderLimits` field by field."""

    max_positions: int = 2
    max_order_notional: Decimal = Decimal(1000)
    max_gross_notional: Decimal = Decimal(2000)
    max_leverage: Decimal = ONE
    risk_per_trade: Decimal = Decimal("0.002")
    day_loss_limit: Decimal = Decimal("0.005")
    max_divergence_bps: float = 50.0
    orders_per_minute: int = 30


def day_loss(account: AccountState) -> Decimal | None:
    """Share of the day's starting equity that is lost (negative: won); None when either is unknown or it is 0."""
    if account.equity is None or account.day_start_equity is None or account.day_start_equity <= 0:
        return None
    return (account.day_start_equity - account.equity) / account.day_start_equity


def multiplier(account: AccountState | None, age_s: float, fresh_s: float, limits: Limits) -> tuple[Decimal, str]:
    """(0..1, why): what sizes are scaled by."""
    if account is None:
        return ZERO, "the ledger has said nothing yet"
    if age_s > fresh_s:
        return ZERO, f"the ledger's last word is {age_s:.1f} s old (limit {fresh_s:g} s)"
    if account.equity is None:
        return ZERO, f"equity unknown: {', '.join(account.unknown) or 'no balance yet'}"
    if account.equity <= 0:
        return ZERO, f"equity is {account.equity}"
    loss = day_loss(account)
    if loss is None:
        return ZERO, "the day's starting equity is unknown"
    used = loss / limits.day_loss_limit
    if used >= 1:
        return ZERO, f"day loss {loss:.4%} has reached its limit {limits.day_loss_limit:.4%}"
    if used > OPEN_UNTIL:
        scaled = ((1 - used) / (1 - OPEN_UNTIL)).quantize(GRAIN, ROUND_FLOOR)
        return scaled, f"day loss {loss:.4%} has used {used:.0%} of its limit"
    return ONE, "within limits"


def word(
    account: str, state: AccountState | None, age_s: float, fresh_s: float, limits: Limits, version: int, until_ns: int
) -> RiskLimits:
    """The message for one account."""
    scale, reason = multiplier(state, age_s, fresh_s, limits)
    return RiskLimits(
        account=account,
        version=version,
        max_positions=limits.max_positions,
        max_order_notional=limits.max_order_notional,
        max_gross_notional=limits.max_gross_notional,
        max_leverage=limits.max_leverage,
        risk_per_trade=limits.risk_per_trade,
        day_loss_limit=limits.day_loss_limit,
        max_divergence_bps=limits.max_divergence_bps,
        orders_per_minute=limits.orders_per_minute,
        multiplier=scale,
        reason=reason,
        valid_until_ns=until_ns,
    )
