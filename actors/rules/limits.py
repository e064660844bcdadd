"""How much of the limits may be used now, as one number: 0 (nothing), 0.5 (after a soft day loss), 1.

Picture: unknown is zero, with the reason; a known loss cuts at 80 % of the day's limit and ends at the limit. Day loss
is the share of the day's starting equity that is gone, unrealised losses included. It owns no baseline and no clock.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.account import AccountState
from actors.rules.money import ZERO

SOFT_SHARE = Decimal("0.8")  # of the day's limit: MICRO's soft limit is 0.4 %, its hard one 0.5 %
SOFT_MULTIPLIER = Decimal("0.5")


class Appetite(msgspec.Struct, frozen=True, kw_only=True):
    """The multiplier, and why it is not 1 ("" when it is)."""

    multiplier: Decimal
    reason: str


def day_loss(equity: Decimal | None, day_start_equity: Decimal | None) -> Decimal | None:
    """Share of the day's starting equity that is lost (negative: won); None when either is unknown or zero."""
    if equity is None or day_start_equity is None or not (equity.is_finite() and day_start_equity.is_finite()):
        return None
    if day_start_equity <= 0:
        return None
    return (day_start_equity - equity) / day_start_equity


def appetite(state: AccountState | None, age_s: float, max_age_s: float, day_loss_limit: Decimal) -> Appetite:
    """What may be risked on this state of the account, received `age_s` ago.

    Args:
        state: the ledger's last word; None when it never spoke.
        day_loss_limit: share of the day's starting equity; positive.
    """
    if state is None:
        return Appetite(multiplier=ZERO, reason="no word from the ledger yet")
    if not age_s <= max_age_s:
        return Appetite(multiplier=ZERO, reason=f"the ledger is silent for {age_s:.1f} s, limit {max_age_s:g} s")
    if state.equity is None:
        unknown = ", ".join(state.unknown) or "no balance"
        return Appetite(multiplier=ZERO, reason=f"equity is unknown: no usable mark for {unknown}")
    loss = day_loss(state.equity, state.day_start_equity)
    if loss is None:
        return Appetite(
            multiplier=ZERO, reason=f"the day's loss is unknown: it started with an equity of {state.day_start_equity}"
        )
    if loss >= day_loss_limit:
        return Appetite(multiplier=ZERO, reason=f"day loss {loss:.3%} reached the limit of {day_loss_limit:.3%}")
    soft = day_loss_limit * SOFT_SHARE
    if loss >= soft:
        return Appetite(
            multiplier=SOFT_MULTIPLIER, reason=f"day loss {loss:.3%} is above the soft limit of {soft:.3%}: half size"
        )
    return Appetite(multiplier=Decimal(1), reason="")
