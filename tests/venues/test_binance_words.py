"""Binance's account words: what is read, exactly, and what is refused instead of read as nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.rules.orders import VenueStatus
from actors.venues import binance
from actors.venues.binance import BadAnswer

PLAIN = {
    "orderId": 77, "clientOrderId": "qt-1", "status": "PARTIALLY_FILLED", "executedQty": "0.100",
    "updateTime": 1_700_000,
}  # fmt: skip
ALGO = {"algoId": 88, "clientAlgoId": "qt-2", "algoStatus": "NEW", "actualOrderId": "", "createTime": 1_600_000}


def test_plain_and_conditional_orders_are_read_alike() -> None:
    plain = binance.order_answer({"info": PLAIN}, "BTC/USDT:USDT")
    algo = binance.order_answer({"info": {**ALGO, "actualOrderId": "99", "algoStatus": "TRIGGERED"}}, "BTC/USDT:USDT")
    assert (plain.client_order_id, plain.venue_order_id, plain.status) == ("qt-1", "77", VenueStatus.OPEN)
    assert (plain.filled, plain.at_ns) == (Decimal("0.100"), 1_700_000_000_000)
    assert (algo.client_order_id, algo.venue_order_id, algo.triggered_order_id) == ("qt-2", "88", "99")


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, "html", {"info": None}, {"info": []}, {"info": {}},
        *({"info": {k: v for k, v in PLAIN.items() if k != gone}} for gone in ("orderId", "clientOrderId", "status")),
        {"info": {**PLAIN, "status": "HAPPY"}},
        {"info": {**PLAIN, "executedQty": "NaN"}},
        {"info": {**PLAIN, "executedQty": "much"}},
    ],
)  # fmt: skip
def test_an_answer_that_is_no_order_is_never_an_order(answer: Any) -> None:
    with pytest.raises(BadAnswer):
        binance.order_answer(answer, "BTC/USDT")


@pytest.mark.parametrize("answer", [None, {}, {"info": {}}, {"info": {"assets": []}}, {"info": {"assets": None}}, []])
def test_an_empty_balance_is_not_zero(answer: Any) -> None:
    with pytest.raises(BadAnswer):
        binance.balance(answer, "usdm", "USDT")


def test_the_wallet_is_read_without_unrealised_profit() -> None:
    assets = [{"asset": "BNB", "walletBalance": "1"}, {"asset": "USDT", "walletBalance": "9.5", "marginBalance": "12"}]
    assert binance.balance({"info": {"assets": assets}}, "usdm", "USDT") == Decimal("9.5")
    with pytest.raises(BadAnswer, match="no USDC wallet; it has BNB, USDT"):
        binance.balance({"info": {"assets": assets}}, "usdm", "USDC")
    spot = {"info": {"balances": [{"asset": "USDT", "free": "1.5", "locked": "0.5"}]}}
    assert binance.balance(spot, "spot", "USDT") == Decimal("2.0")


@pytest.mark.parametrize("answer", [None, {}, "x", 3])
def test_only_a_list_is_a_list(answer: Any) -> None:
    with pytest.raises(BadAnswer):
        binance.positions(answer)


def test_flat_positions_are_no_positions() -> None:
    info = [{"positionAmt": "0.000", "entryPrice": "0"}, {"positionAmt": "-0.500", "entryPrice": "65000.1"}]
    found = binance.positions([{"symbol": f"S{n}", "info": row} for n, row in enumerate(info)])
    assert found == (("S1", Decimal("-0.500"), Decimal("65000.1")),)


@given(st.floats())
def test_money_is_the_shortest_text_or_refused(value: float) -> None:
    if value != value or value in (float("inf"), float("-inf")):
        with pytest.raises(BadAnswer):
            binance.money(value)
    else:
        assert binance.money(value) == Decimal(repr(value))
