"""The features against a plain recomputation of their definition, and what they do about gaps, bad ticks and drift."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.market import Tick
from actors.rules import features as rules
from actors.rules.features import (
    LOOKBACK,
    MAX_GAP_SLOTS,
    SCHEMA,
    SLOT_NS,
    WARMUP_SLOTS,
    WIDTH,
    WINDOW,
    BadTick,
    Features,
)

T0 = 1_790_000_000_000_000_000
NO_BOOK: list[dict[str, Any]] = [
    {"bid": 0.0}, {"bid": -1.0}, {"bid": math.nan}, {"ask": math.nan}, {"ask": math.inf}, {"bid": 101.0, "ask": 100.0},
    {"bid": 100.0, "ask": 100.0}, {"bid_size": math.nan}, {"ask_size": math.inf}, {"bid_depth": -1.0},
    {"bought": math.nan}, {"sold": -0.5}, {"ask_depth": 1e300}, {"ask": 200.0}, {"ask": 1e50},
    {"bid": 1e300, "ask": 1.1e300}, {"bid": 5e-324, "ask": 6e-324},
]  # fmt: skip


def tick(**changes: Any) -> Tick:
    values: dict[str, Any] = {
        "venue": "binanceusdm", "symbol": "BTC/USDT:USDT", "bid": 100.0, "ask": 100.02, "bid_size": 1.0,
        "ask_size": 2.0, "bid_depth": 10.0, "ask_depth": 8.0, "bought": 0.5, "sold": 0.25, "book_seq": 1,
    }  # fmt: skip
    return Tick(**{**values, **changes})


def walk(count: int, seed: int = 1, volatility: float = 2e-5) -> list[Tick]:
    random = Random(seed)
    mid, made = 64000.0, []
    for number in range(count):
        mid *= 1.0 + random.gauss(0.0, volatility)
        half = random.uniform(0.05, 0.5)
        size = [random.uniform(0.1, 3.0) for _ in range(6)]
        made.append(
            tick(
                bid=mid - half, ask=mid + half, bid_size=size[0], ask_size=size[1], bid_depth=size[0] + 4 * size[2],
                ask_depth=size[1] + 4 * size[3], bought=size[4], sold=size[5], book_seq=number,
            )
        )  # fmt: skip
    return made


def fed(ticks: list[Tick], step_ns: int = SLOT_NS, basis: float | None = None) -> Features:
    made = Features()
    for number, one in enumerate(ticks):
        made.update(one, T0 + number * step_ns, basis)
    return made


def recomputed(ticks: list[Tick]) -> dict[str, float]:
    """The same features from the whole history, one tick per slot, the slow and obvious way."""
    mids = [(one.bid + one.ask) / 2 for one in ticks]
    last, mid = ticks[-1], mids[-1]

    def average(values: list[float], seconds: float, start: float) -> float:
        weight, value = 1 - math.exp(-0.1 / seconds), start
        for one in values:
            value += (one - value) * weight
        return value

    fast, slow, slowest = (average(mids[1:], seconds, mids[0]) for seconds in (1.0, 5.0, 20.0))
    imbalances = [(one.bid_depth - one.ask_depth) / (one.bid_depth + one.ask_depth) for one in ticks]
    flows = {}
    for seconds in (1.0, 5.0):
        bought = average([one.bought for one in ticks], seconds, 0.0)
        sold = average([one.sold for one in ticks], seconds, 0.0)
        flows[seconds] = (bought - sold) / (bought + sold)
    variance = 0.0
    for number in range(1, len(mids)):
        square = ((mids[number] / mids[number - 1] - 1) * 1e4) ** 2
        variance += (square - variance) * (1 - math.exp(-0.01) if number > 100 else 1 / number)
    past = mids[-1 - LOOKBACK : -1]
    deviation = math.sqrt(sum((one - sum(past) / len(past)) ** 2 for one in past) / len(past))
    low, high = min([*past, mid]), max([*past, mid])
    return {
        "return_500ms_bps": (mid / mids[-6] - 1) * 1e4,
        "return_2s_bps": (mid / mids[-21] - 1) * 1e4,
        "return_6s_bps": (mid / mids[-1 - LOOKBACK] - 1) * 1e4,
        "trend_fast_bps": (fast / slow - 1) * 1e4,
        "trend_slow_bps": (mid / slowest - 1) * 1e4,
        "spread_bps": (last.ask - last.bid) / mid * 1e4,
        "imbalance_top": (last.bid_size - last.ask_size) / (last.bid_size + last.ask_size),
        "imbalance_depth": imbalances[-1],
        "imbalance_5s": average(imbalances[1:], 5.0, imbalances[0]),
        "flow_1s": flows[1.0],
        "flow_5s": flows[5.0],
        "volatility_bps": math.sqrt(variance * 10),
        "zscore_6s": max(-8.0, min(8.0, (mid - sum(past) / len(past)) / deviation)),
        "range_6s": (mid - low) / (high - low),
        "basis_gap_bps": 0.0,
        "basis_known": 0.0,
    }


def row(made: Features) -> dict[str, float]:
    inputs = made.inputs()
    assert inputs is not None
    return dict(zip(SCHEMA, inputs[0][0].tolist(), strict=True))


@pytest.mark.parametrize("count", [WARMUP_SLOTS, 137, 500])
def test_every_feature_equals_its_definition_recomputed_from_the_whole_history(count: int) -> None:
    ticks = walk(count)
    expected = recomputed(ticks)
    found = row(fed(ticks))
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_running_sums_do_not_drift_over_twenty_thousand_slots_and_a_price_that_doubles() -> None:
    ticks = walk(20_000, seed=2, volatility=5e-5)
    for number, one in enumerate(ticks):
        factor = 1 + number / 20_000
        ticks[number] = tick(bid=one.bid * factor, ask=one.ask * factor)
    made = fed(ticks)
    expected = recomputed(ticks)
    for name in ("zscore_6s", "range_6s", "return_6s_bps", "volatility_bps"):
        assert row(made)[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-4), name


def test_the_window_is_the_last_64_rows_oldest_first_as_one_slice_without_a_copy() -> None:
    made, rows = Features(), []
    for number, one in enumerate(walk(300)):
        made.update(one, T0 + number * SLOT_NS)
        inputs = made.inputs()
        if number >= WARMUP_SLOTS - WINDOW:
            rows.append(made._rows[number % WINDOW][0].copy())
        if inputs is None:
            assert number < WARMUP_SLOTS - 1
            continue
        current, window = inputs
        assert current.shape == (1, WIDTH)
        assert window.shape == (1, WINDOW, WIDTH)
        assert window.dtype == current.dtype == np.float32
        assert window.flags.c_contiguous
        assert window.base is not None
        np.testing.assert_array_equal(window[0], np.array(rows[-WINDOW:]))
        np.testing.assert_array_equal(window[0, -1], current[0])


def test_nothing_is_answered_before_the_warm_up_is_over() -> None:
    ticks = walk(WARMUP_SLOTS)
    assert fed(ticks[:-1]).inputs() is None
    assert fed(ticks).inputs() is not None


def test_many_ticks_in_a_slot_leave_the_same_row_as_their_last_book_with_the_summed_flow() -> None:
    slow, fast = Features(), Features()
    for number, one in enumerate(walk(200)):
        at_ns = T0 + number * SLOT_NS
        slow.update(one, at_ns + 90_000_000)
        for part, other in enumerate(walk(9, seed=number)):  # other books on the way: only the last one counts
            fast.update(
                tick(bid=one.bid - part, ask=one.ask + part, bid_size=other.bid_size, bought=0.0, sold=one.sold / 9),
                at_ns + part * 10_000_000,
            )
        last = tick(
            bid=one.bid, ask=one.ask, bid_size=one.bid_size, ask_size=one.ask_size, bid_depth=one.bid_depth,
            ask_depth=one.ask_depth, bought=one.bought, sold=0.0,
        )  # fmt: skip
        fast.update(last, at_ns + 95_000_000)
    first, second = slow.inputs(), fast.inputs()
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first[1], second[1], rtol=1e-5, atol=1e-5)


def test_slots_without_a_tick_are_filled_with_the_standing_book_and_no_flow() -> None:
    sparse, dense = Features(), Features()
    for number, one in enumerate(walk(40)):
        at_ns = T0 + number * 5 * SLOT_NS
        sparse.update(one, at_ns)
        dense.update(one, at_ns)
        still = tick(
            bid=one.bid, ask=one.ask, bid_size=one.bid_size, ask_size=one.ask_size, bid_depth=one.bid_depth,
            ask_depth=one.ask_depth, bought=0.0, sold=0.0,
        )  # fmt: skip
        if number < 39:
            for part in range(1, 5):
                dense.update(still, at_ns + part * SLOT_NS)
    first, second = sparse.inputs(), dense.inputs()
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize(
    ("silence_slots", "still_warm"),
    [(MAX_GAP_SLOTS, True), (MAX_GAP_SLOTS + 1, False), (-MAX_GAP_SLOTS, True), (-MAX_GAP_SLOTS - 1, False)],
)
def test_a_gap_over_two_seconds_or_time_running_back_that_far_starts_the_warm_up_again(
    silence_slots: int, still_warm: bool
) -> None:
    ticks = walk(WARMUP_SLOTS + 10)
    made = fed(ticks)
    made.update(ticks[-1], T0 + (len(ticks) - 1 + silence_slots) * SLOT_NS)
    assert made.warm is still_warm


@pytest.mark.parametrize("changes", NO_BOOK, ids=str)
def test_what_is_no_book_is_refused_with_its_numbers_and_changes_nothing(changes: dict[str, Any]) -> None:
    ticks = walk(150)
    made = fed(ticks)
    before = row(made)
    with pytest.raises(BadTick, match=r"binanceusdm BTC/USDT:USDT: .* is no book .* the tick is ignored"):
        made.update(tick(**changes), T0 + 150 * SLOT_NS)
    assert row(made) == before
    made.update(ticks[-1], T0 + 150 * SLOT_NS)
    assert made.slots == 151


def test_a_price_that_doubles_at_once_is_refused_until_two_seconds_have_passed() -> None:
    made = fed(walk(150))
    with pytest.raises(BadTick, match="a factor of 2"):
        made.update(tick(bid=200_000.0, ask=200_001.0), T0 + 151 * SLOT_NS)
    made.update(tick(bid=200_000.0, ask=200_001.0), T0 + (150 + MAX_GAP_SLOTS) * SLOT_NS)
    assert made.slots == 1


def test_the_basis_is_its_distance_from_its_own_average_and_says_when_it_is_unknown() -> None:
    ticks = walk(200)
    made = fed(ticks, basis=-4.0)
    made.update(ticks[-1], T0 + 200 * SLOT_NS, -1.0)
    assert row(made)["basis_gap_bps"] == pytest.approx(3.0, abs=1e-5)
    assert row(made)["basis_known"] == 1.0
    made.update(ticks[-1], T0 + 201 * SLOT_NS, None)
    assert (row(made)["basis_gap_bps"], row(made)["basis_known"]) == (0.0, 0.0)


@pytest.mark.parametrize("basis", [math.nan, math.inf, -1e7])
def test_a_basis_that_is_no_number_of_basis_points_is_refused_and_does_not_stay_in_its_average(basis: float) -> None:
    made = fed(walk(150), basis=-4.0)
    with pytest.raises(BadTick, match="a basis within"):
        made.update(tick(bid=64000.0, ask=64001.0), T0 + 150 * SLOT_NS, basis)
    made.update(walk(1)[0], T0 + 150 * SLOT_NS, -4.0)
    assert row(made)["basis_gap_bps"] == pytest.approx(0.0, abs=1e-5)


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=-3, max_value=40),  # tenths of a slot forward
            st.one_of(st.floats(min_value=1e-8, max_value=1e9), st.floats()),
            st.one_of(st.just(1.001), st.floats()),
            st.one_of(st.floats(min_value=0.0, max_value=1e9), st.floats()),
            st.one_of(st.none(), st.floats(min_value=-1e6, max_value=1e6), st.floats()),
        ),
        max_size=200,
    )
)
def test_whatever_books_come_the_answers_are_finite_and_bounded(
    steps: list[tuple[int, float, float, float, Any]],
) -> None:
    made, at_ns = Features(), T0
    for forward, bid, spread, size, basis in steps:
        at_ns += forward * SLOT_NS // 4
        try:
            made.update(tick(bid=bid, ask=bid * spread, bid_size=size, bid_depth=size), at_ns, basis)
        except BadTick:
            continue
        assert np.isfinite(made._rows[(made.slots - 1) % WINDOW]).all()
        assert np.isfinite(made._windows[(made.slots - 1) % WINDOW]).all()
    inputs = made.inputs()
    if inputs is not None:
        values = dict(zip(SCHEMA, inputs[0][0].tolist(), strict=True))
        for name in ("imbalance_top", "imbalance_depth", "imbalance_5s", "flow_1s", "flow_5s"):
            assert -1.0001 <= values[name] <= 1.0001
        assert -1e-6 <= values["range_6s"] <= 1.000001
        assert -8.0 <= values["zscore_6s"] <= 8.0


def test_the_schema_hash_covers_names_order_and_shape() -> None:
    assert len(SCHEMA) == len(set(SCHEMA)) == WIDTH == 16
    assert len(rules.SCHEMA_HASH) == 64
    # a changed schema needs a new version and new models: this pins the one the shipped models were made for
    from models_onnx import manifest, predictor

    shipped = manifest.read(predictor._DIRECTORY).features
    assert (shipped.hash, shipped.names, shipped.window) == (rules.SCHEMA_HASH, SCHEMA, WINDOW)
