"""The built-in market: equal seeds, sane books, and a little that can be foreseen."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from actors.venues.market import LEVELS, PRODUCTS, Market

BASES = ("BTC", "ETH", "SOL")


def test_equal_seeds_give_equal_steps_and_other_seeds_other_ones() -> None:
    first, second, other = Market(3), Market(3), Market(4)
    steps = [first.step() for _ in range(200)]
    assert steps == [second.step() for _ in range(200)]
    assert steps[-1] != [other.step() for _ in range(200)][-1]


def test_an_unknown_base_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="asked for BTC, DOGE"):
        Market(1, ("BTC", "DOGE"))
    with pytest.raises(ValueError, match="asked for nothing"):
        Market(1, ())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_book_is_on_tick_and_lot_sorted_uncrossed_and_twenty_deep(seed: int) -> None:
    market = Market(seed)
    rules = {(rule.product, rule.base): rule for rule in market.instruments()}
    assert set(rules) == {(product, base) for product in PRODUCTS for base in BASES}
    for number in range(1, 400):
        step = market.step()
        assert step.number == number
        assert set(step.instruments) == set(rules)
        for key, book in step.instruments.items():
            rule = rules[key]
            prices = [price for price, _ in book.bids], [price for price, _ in book.asks]
            assert prices[0] == sorted(set(prices[0]), reverse=True)
            assert prices[1] == sorted(set(prices[1]))
            assert len(prices[0]) == len(prices[1]) == LEVELS
            assert prices[0][0] < prices[1][0]
            for price, quantity in (*book.bids, *book.asks, *((t.price, t.quantity) for t in book.trades)):
                assert price > 0
                assert price % rule.tick_size == 0
                assert quantity > 0
                assert quantity % rule.lot_size == 0
            assert abs(book.mark_price / prices[0][0] - 1) < Decimal("0.01")


def test_trades_happen_at_the_touch_the_takers_saw() -> None:
    market = Market(5)
    before = market.step()
    seen = 0
    for _ in range(200):
        step = market.step()
        for key, book in step.instruments.items():
            for trade in book.trades:
                side = before.instruments[key].bids if trade.buyer_is_maker else before.instruments[key].asks
                assert trade.price == side[0][0]
                seen += 1
        before = step
    assert seen > 500


def test_the_market_is_lively_correlated_fair_and_partly_foreseeable() -> None:
    mids = {key: [] for key in (("usdm", "BTC"), ("usdm", "ETH"), ("spot", "BTC"))}  # type: ignore[var-annotated]
    imbalance = []
    moves = []
    for seed in range(8):
        market = Market(seed)
        own: dict[tuple[str, str], list[float]] = {key: [] for key in mids}
        lean = []
        for _ in range(1500):
            step = market.step()
            for key in own:
                book = step.instruments[key]
                own[key].append(float(book.bids[0][0] + book.asks[0][0]) / 2)
            book = step.instruments["usdm", "BTC"]
            bid, ask = (float(sum(quantity for _, quantity in side[:5])) for side in (book.bids, book.asks))
            lean.append((bid - ask) / (bid + ask))
        for key, values in own.items():
            mids[key] += values
        price = np.array(own["usdm", "BTC"])
        imbalance.append(np.array(lean)[:-100])
        moves.append((price[100:] / price[:-100] - 1) * 1e4)
    basis = (np.array(mids["usdm", "BTC"]) / np.array(mids["spot", "BTC"]) - 1) * 1e4
    ten_seconds = np.concatenate(moves)
    assert -8.0 < np.median(basis) < 0.0
    assert 0.3 < basis.std() < 6.0
    assert 4.0 < ten_seconds.std() < 30.0
    assert 0.1 < np.corrcoef(np.concatenate(imbalance), ten_seconds)[0, 1] < 0.7
    btc, eth = (np.diff(np.log(np.array(mids["usdm", base]))) for base in ("BTC", "ETH"))
    same_run = np.abs(btc) < 0.01  # not across the seam of two seeds
    assert np.corrcoef(btc[same_run], eth[same_run])[0, 1] > 0.4
    squares = btc[same_run] ** 2
    assert np.corrcoef(squares[:-1], squares[1:])[0, 1] > 0.02  # volatility clusters
