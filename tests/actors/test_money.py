"""The edge between floats and money: what is written is what counts, and nothing is rounded in silence."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.rules.money import BadAmount, ceil_to, floor_to, instruments, on_step, to_decimal

steps = st.sampled_from([Decimal(text) for text in ("0.1", "0.001", "0.00001", "0.5", "1", "25")])
amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=7)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_becomes_the_number_it_prints(value: float) -> None:
    assert float(to_decimal(value)) == value
    assert to_decimal(value) == Decimal(repr(value))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), "NaN", "Infinity", "sNaN", "ten", "", None]
)
def test_what_is_no_finite_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(BadAmount, match="finite decimal numbers"):
        to_decimal(value)  # type: ignore[arg-type]


@given(amounts, steps)
def test_floor_and_ceiling_are_multiples_around_the_value(value: Decimal, step: Decimal) -> None:
    down, up = floor_to(value, step), ceil_to(value, step)
    assert on_step(down, step)
    assert on_step(up, step)
    assert down <= value <= up
    assert up - down == (0 if on_step(value, step) else step)


def test_a_rounded_quantity_carries_the_decimals_of_its_step() -> None:
    assert str(floor_to(Decimal(1000) / Decimal(64000), Decimal("0.001"))) == "0.015"
    assert str(ceil_to(Decimal("63904.123"), Decimal("0.10"))) == "63904.20"


@pytest.mark.parametrize(
    ("value", "step"),
    [
        ("1E+40", "0.001"),
        ("NaN", "1"),
        ("Infinity", "1"),
        ("1", "0"),
        ("1", "-1"),
        ("9999999999999999999999999999", "0.1"),
    ],
)
def test_what_cannot_be_rounded_is_an_error_and_on_no_step(value: str, step: str) -> None:
    with pytest.raises(BadAmount):
        floor_to(Decimal(value), Decimal(step))
    with pytest.raises(BadAmount):
        ceil_to(Decimal(value), Decimal(step))
    if value != "9999999999999999999999999999":
        assert not on_step(Decimal(value), Decimal(step))


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ({"tick_size": "0.1", "lot_size": "0.001"}, "has no min_notional"),
        ({"tick_size": "0", "lot_size": "0.001", "min_notional": "5"}, "tick_size 0"),
        ({"tick_size": "0.1", "lot_size": "-1", "min_notional": "5"}, "lot_size -1"),
        ({"tick_size": "x", "lot_size": "1", "min_notional": "5"}, "'x' is no number"),
    ],
)
def test_a_broken_instrument_is_refused_with_its_step(steps: dict[str, str], says: str) -> None:
    with pytest.raises(BadAmount, match=says):
        instruments({"BTC/USDT:USDT": steps})


def test_steps_may_be_text_or_decimals() -> None:
    found = instruments({"X": {"tick_size": "0.1", "lot_size": Decimal("0.001"), "min_notional": 0}})
    assert (found["X"].tick_size, found["X"].lot_size, found["X"].min_notional) == (
        Decimal("0.1"),
        Decimal("0.001"),
        Decimal(0),
    )
