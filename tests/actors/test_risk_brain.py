"""The risk brain: unknown is zero, a loss cuts, and the limits are said every second whatever happens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.account import AccountState
from actors.messages.control import RiskLimits, SecondPassed
from actors.risk_brain import RiskBrain
from actors.rules.limits import appetite, day_loss
from tests.actors.recorded import RecordedContext, give, start

NOW_S = 1_700_000_000.0
STATE = AccountState(
    account="main", version=1, positions=(), cash=Decimal(10_000), equity=Decimal(10_000), unrealised=Decimal(0),
    day_start_equity=Decimal(10_000), unknown=(), fills=0, reconciled=True, at_ns=0,
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    "account": "main", "max_positions": 2, "max_order_notional": Decimal(1000), "max_gross_notional": Decimal(2000),
    "max_leverage": Decimal(1), "risk_per_trade": Decimal("0.002"), "day_loss_limit": Decimal("0.005"),
    "max_divergence_bps": 50.0, "orders_per_minute": 30,
}  # fmt: skip


def state(**changes: Any) -> AccountState:
    return msgspec.structs.replace(STATE, **changes)


@pytest.mark.parametrize(
    ("known", "age_s", "multiplier", "says"),
    [
        (None, 0.0, "0", "no word from the ledger"),
        (STATE, 3.1, "0", "silent for 3.1 s"),
        (STATE, float("nan"), "0", "silent"),
        (state(equity=None, unknown=("BTC/USDT:USDT",)), 0.0, "0", "no usable mark for BTC/USDT:USDT"),
        (state(equity=None), 0.0, "0", "no balance"),
        (state(day_start_equity=None), 0.0, "0", "the day's loss is unknown"),
        (state(day_start_equity=Decimal(0)), 0.0, "0", "the day's loss is unknown"),
        (state(equity=Decimal("9950")), 0.0, "0", "0.500% reached the limit of 0.500%"),
        (state(equity=Decimal("9950.01")), 0.0, "0.5", "above the soft limit of 0.400%"),
        (state(equity=Decimal("9960")), 0.0, "0.5", "half size"),
        (state(equity=Decimal("9960.01")), 0.0, "1", ""),
        (STATE, 3.0, "1", ""),
        (state(equity=Decimal(12_000)), 0.0, "1", ""),
    ],
)
def test_the_appetite_follows_what_is_known_and_what_is_lost(
    known: AccountState | None, age_s: float, multiplier: str, says: str
) -> None:
    found = appetite(known, age_s, 3.0, Decimal("0.005"))
    assert found.multiplier == Decimal(multiplier)
    assert says in found.reason
    assert bool(found.reason) is (found.multiplier < 1)


money = st.decimals(min_value=0, max_value=20_000, places=2)


@given(money, money, money, st.decimals(min_value="0.001", max_value="0.2", places=3))
def test_the_appetite_never_grows_with_the_loss(start: Decimal, e1: Decimal, e2: Decimal, limit: Decimal) -> None:
    poorer, richer = (
        appetite(state(equity=e, day_start_equity=start), 0.0, 3.0, limit).multiplier
        for e in (min(e1, e2), max(e1, e2))
    )
    assert poorer <= richer
    assert {poorer, richer} <= {Decimal(0), Decimal("0.5"), Decimal(1)}


def test_a_baseline_of_zero_makes_the_loss_unknown_and_never_all() -> None:
    assert day_loss(Decimal(5), Decimal(0)) is None
    assert day_loss(Decimal("NaN"), Decimal(5)) is None
    assert day_loss(Decimal(9), Decimal(10)) == Decimal("0.1")


def a_brain(**changes: Any) -> tuple[RiskBrain, RecordedContext]:
    ctx = RecordedContext("risk_brain")
    ctx.stopped_at = NOW_S
    brain = RiskBrain()
    start(brain, ctx, **{**SETTINGS, **changes})
    return brain, ctx


def test_before_the_ledger_speaks_the_limits_are_said_with_nothing_allowed() -> None:
    _, ctx = a_brain(valid_s=5.0)
    assert ctx.published == [
        RiskLimits(
            account="main", version=1, max_positions=2, max_order_notional=Decimal(1000),
            max_gross_notional=Decimal(2000), max_leverage=Decimal(1), risk_per_trade=Decimal("0.002"),
            day_loss_limit=Decimal("0.005"), max_divergence_bps=50.0, orders_per_minute=30, multiplier=Decimal(0),
            reason="no word from the ledger yet", valid_until_ns=round((NOW_S + 5.0) * 1e9),
        )
    ]  # fmt: skip


def test_a_change_is_said_at_once_and_the_same_only_with_the_second() -> None:
    brain, ctx = a_brain()
    (said,) = give(brain, ctx, STATE)
    assert isinstance(said, RiskLimits)
    assert said.multiplier == 1
    assert give(brain, ctx, STATE) == []
    (said,) = give(brain, ctx, state(equity=Decimal(9_955)))
    assert isinstance(said, RiskLimits)
    assert (said.multiplier, said.version) == (Decimal("0.5"), 3)
    (said,) = give(brain, ctx, SecondPassed())
    assert isinstance(said, RiskLimits)
    assert said.version == 4


def test_it_speaks_every_second_by_its_own_timer_and_a_silent_ledger_is_a_zero() -> None:
    brain, ctx = a_brain()
    give(brain, ctx, STATE)
    for second in range(1, 5):
        assert ctx.next(0.0) is None
        ctx.offset_s = second + 0.001
        timer = ctx.next(0.0)
        assert isinstance(timer, SecondPassed)
        (said,) = give(brain, ctx, timer)
        assert isinstance(said, RiskLimits)
        assert said.valid_until_ns == round((ctx.now() + 3.0) * 1e9)
        assert said.multiplier == (1 if second < 3 else 0)
        ctx.offset_s = float(second)
    assert "the ledger is silent" in ctx.of(RiskLimits)[-1].reason


def test_the_account_of_somebody_else_changes_nothing() -> None:
    brain, ctx = a_brain()
    assert give(brain, ctx, state(account="other")) == []


@pytest.mark.parametrize(
    "changes",
    [{"day_loss_limit": "0"}, {"valid_s": 0.0}, {"max_leverage": "NaN"}, {"max_divergence_bps": float("nan")}],
)
def test_a_limit_that_is_none_is_refused_at_start(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"wanted above 0|finite decimal"):
        a_brain(**changes)
