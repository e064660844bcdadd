"""Size is the smallest of its budgets, never rounded up, and never grows when the world gets worse."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.orders import Side
from actors.rules.money import Instrument, on_step
from actors.rules.sizing import COSTS, Nothing, Size, Terms, size

BTC = Instrument(symbol="BTC/USDT:USDT", tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), min_notional=Decimal(5))
TERMS = Terms(
    risk_per_trade=Decimal("0.002"), max_order_notional=Decimal(1000), stop_volatilities=3.0, min_stop_bps=10.0
)
ROOMY = msgspec.structs.replace(TERMS, max_order_notional=Decimal(10**9))


def ask(**changes: Any) -> Size | Nothing:
    arguments: dict[str, Any] = {
        "side": Side.BUY, "bid": 64000.0, "ask": 64000.1, "volatility": 0.0005, "equity": Decimal(10_000),
        "terms": TERMS, "instrument": BTC,
    }  # fmt: skip
    return size(**{**arguments, **changes})


def quantity(found: Size | Nothing) -> Decimal:
    return found.quantity if isinstance(found, Size) else Decimal(0)


def test_a_small_cap_binds_and_leaves_head_room() -> None:
    found = ask()
    assert found == Size(quantity=Decimal("0.014"), price=Decimal("64000.1"), stop_price=Decimal("63904.0"))


def test_a_wide_stop_makes_risk_bind() -> None:
    found = ask(volatility=0.02)
    assert isinstance(found, Size)
    assert found.stop_price == Decimal("60160.0")  # 6 % below, rounded away
    assert found.quantity == Decimal("0.004")  # 10,000 x 0.2 % x 0.95 / (3840.1 + 64)


def test_a_seller_takes_the_bid_and_stops_above() -> None:
    found = ask(side=Side.SELL)
    assert isinstance(found, Size)
    assert (found.price, found.stop_price) == (Decimal("64000.0"), Decimal("64096.0"))


def test_a_calm_market_has_the_smallest_stop() -> None:
    found = ask(volatility=0.0)
    assert isinstance(found, Size)
    assert found.stop_price == Decimal("63936.0")  # 10 bps


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bid": float("nan")}, Nothing.PRICE_INVALID),
        ({"ask": float("nan")}, Nothing.PRICE_INVALID),
        ({"ask": float("inf")}, Nothing.PRICE_INVALID),
        ({"bid": 0.0}, Nothing.PRICE_INVALID),
        ({"bid": 64001.0}, Nothing.PRICE_INVALID),
        ({"volatility": float("nan")}, Nothing.VOLATILITY_INVALID),
        ({"volatility": -0.1}, Nothing.VOLATILITY_INVALID),
        ({"volatility": 1e308}, Nothing.VOLATILITY_INVALID),
        ({"volatility": 0.4}, Nothing.STOP_TOO_WIDE),
        ({"equity": Decimal(0)}, Nothing.EQUITY_INVALID),
        ({"equity": Decimal("NaN")}, Nothing.EQUITY_INVALID),
        ({"equity": Decimal(-5)}, Nothing.EQUITY_INVALID),
        ({"equity": Decimal(10)}, Nothing.BELOW_MINIMUM),
        ({"multiplier": Decimal(0)}, Nothing.BELOW_MINIMUM),
        ({"max_notional": Decimal(60)}, Nothing.BELOW_MINIMUM),
        ({"max_notional": Decimal(-1)}, Nothing.BELOW_MINIMUM),
        ({"instrument": msgspec.structs.replace(BTC, min_notional=Decimal(1000))}, Nothing.BELOW_MINIMUM),
    ],
)
def test_without_a_sound_input_there_is_no_trade(changes: dict[str, Any], why: Nothing) -> None:
    assert ask(**changes) is why


def test_terms_nobody_can_trade_under_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="risk_per_trade -1"):
        msgspec.structs.replace(TERMS, risk_per_trade=Decimal(-1))
    with pytest.raises(ValueError, match="min_stop_bps 0"):
        msgspec.structs.replace(TERMS, min_stop_bps=0.0)


sides = st.sampled_from(list(Side))
prices = st.decimals(min_value=1, max_value=200_000, places=2)
volatilities = st.floats(min_value=0.0, max_value=0.2)
equities = st.decimals(min_value=1, max_value=10**7, places=2)
shares = st.decimals(min_value=0, max_value=Decimal("0.1"), places=4)
multipliers = st.decimals(min_value=0, max_value=2, places=2)


@given(sides, prices, volatilities, equities, shares, multipliers)
def test_the_risk_budget_and_the_caps_hold_for_every_input(
    side: Side, price: Decimal, volatility: float, equity: Decimal, share: Decimal, multiplier: Decimal
) -> None:
    terms = msgspec.structs.replace(TERMS, risk_per_trade=share, max_order_notional=Decimal(50_000))
    found = ask(
        side=side, bid=float(price), ask=float(price), volatility=volatility, equity=equity, terms=terms,
        multiplier=multiplier,
    )  # fmt: skip
    if isinstance(found, Size):
        assert on_step(found.quantity, BTC.lot_size)
        assert on_step(found.stop_price, BTC.tick_size)
        assert (found.stop_price < found.price) is (side is Side.BUY)
        assert found.quantity * found.price >= BTC.min_notional
        loss = (abs(found.price - found.stop_price) + found.price * COSTS) * found.quantity
        assert loss <= equity * share * min(multiplier, Decimal(1))
        assert found.quantity * found.price <= 50_000 * min(multiplier, Decimal(1))


@given(sides, prices, volatilities, volatilities, equities, equities, multipliers, multipliers)
def test_size_never_grows_when_equity_falls_the_stop_widens_or_a_limit_shrinks(
    side: Side, price: Decimal, v1: float, v2: float, e1: Decimal, e2: Decimal, m1: Decimal, m2: Decimal
) -> None:
    book = {"side": side, "bid": float(price), "ask": float(price)}
    for terms in (TERMS, ROOMY):
        better = ask(
            **book, volatility=min(v1, v2), equity=max(e1, e2), multiplier=max(m1, m2), terms=terms,
            max_notional=max(e1, e2),
        )  # fmt: skip
        worse = ask(
            **book, volatility=max(v1, v2), equity=min(e1, e2), multiplier=min(m1, m2), terms=terms,
            max_notional=min(e1, e2),
        )  # fmt: skip
        assert quantity(worse) <= quantity(better)
