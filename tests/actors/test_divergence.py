"""Basis and divergence: recorded answers, unknown stays unknown, bounded histogram."""

from __future__ import annotations

import gzip
import heapq
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median_low

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.market import CrossReading, Reading, Stale, Unavailable, Value
from actors.rules.divergence import BUCKET_BPS, FEED_SILENCE_S, RANGE_BPS, ROLLING_LEAST, Histogram, Pair, basis_bps
from actors.rules.readings import reading, usable

NUMBERS = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 1.0]))


@given(NUMBERS, st.floats(), st.floats(min_value=0.001, max_value=1e6))
def test_what_is_unknown_or_old_never_becomes_a_number_not_even_over_the_wire(
    value: float | None, age_s: float, limit_s: float
) -> None:
    made = reading(value, age_s, limit_s)
    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Reading)
    known = value is not None and math.isfinite(value) and age_s <= limit_s
    assert isinstance(decoded, Value) == known
    assert usable(decoded) == (value if known else None)


def test_a_value_that_slipped_in_as_no_number_is_not_usable() -> None:
    assert usable(Value(value=math.nan, age_s=0.0)) is None
    assert usable(Stale(age_s=1.0)) is None
    assert usable(Unavailable(reason="1")) is None


@given(st.lists(st.floats(min_value=-900, max_value=900), min_size=1, max_size=200))
def test_the_histograms_median_is_within_half_a_bucket_of_the_true_one(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    found = histogram.median()
    assert found is not None
    assert abs(found - median_low(values)) <= BUCKET_BPS / 2 + 1e-6


def test_values_beyond_the_range_are_counted_at_its_end() -> None:
    histogram = Histogram()
    for value in (1e9, 1e9, -1e9):
        histogram.add(value)
    assert (histogram.median(), histogram.count) == (RANGE_BPS, 3)
    assert Histogram().median() is None


def live(pair: Pair, now: float) -> None:
    for product in ("spot", "usdm"):
        pair.feed(product, "", now)


def test_without_a_word_of_the_feeds_there_is_no_basis_and_the_reason_names_the_leg() -> None:
    pair = Pair("BTC", 2.0)
    pair.feed("spot", "", 0.0)
    pair.tick("spot", 100.0, 102.0, 0.0)
    pair.tick("usdm", 100.0, 102.0, 0.0)
    said = pair.reading(0.0).basis_bps
    assert isinstance(said, Unavailable)
    assert "usdm: no word from its feed yet" in said.reason
    assert pair.run.count == 0


@pytest.mark.parametrize("fault", ["GAP: sequence gap", "STALE: silence", "PARKED: by an operator"])
def test_a_feed_that_is_not_live_takes_its_mid_with_it_and_old_mids_do_not_come_back(fault: str) -> None:
    pair = Pair("BTC", 2.0)
    live(pair, 0.0)
    pair.tick("spot", 100.0, 100.0, 0.0)
    pair.tick("usdm", 101.0, 101.0, 0.0)
    assert usable(pair.reading(0.0).basis_bps) == pytest.approx(1e4 * math.log(1.01))
    pair.feed("usdm", fault, 0.1)
    assert pair.reading(0.1).basis_bps == Unavailable(reason=f"usdm: {fault}")
    assert isinstance(pair.reading(0.1).divergence_bps, Unavailable)
    pair.feed("usdm", "", 0.2)
    assert pair.reading(0.2).basis_bps == Unavailable(reason="usdm: no tick yet")


def test_an_old_leg_makes_the_reading_stale_and_a_silent_feed_unavailable() -> None:
    pair = Pair("BTC", 2.0)
    live(pair, 0.0)
    pair.tick("spot", 100.0, 100.0, 0.0)
    pair.tick("usdm", 101.0, 101.0, 1.0)
    assert pair.reading(2.5).basis_bps == Stale(age_s=2.5)
    pair.tick("usdm", 101.0, 101.0, 2.5)
    assert pair.run.count == 1, "a tick beside a stale leg was sampled"
    assert isinstance(pair.reading(FEED_SILENCE_S + 0.1).basis_bps, Unavailable)


@pytest.mark.parametrize(("bid", "ask"), [(0.0, 1.0), (math.nan, 1.0), (1.0, math.inf), (-1.0, 1.0)])
def test_what_is_no_price_does_not_enter(bid: float, ask: float) -> None:
    pair = Pair("BTC", 2.0)
    live(pair, 0.0)
    pair.tick("spot", 100.0, 100.0, 0.0)
    pair.tick("usdm", bid, ask, 0.0)
    assert isinstance(pair.reading(0.0).basis_bps, Unavailable)


def test_a_permanent_premium_is_no_divergence_and_a_jump_is() -> None:
    pair = Pair("BTC", 2.0)
    for number in range(ROLLING_LEAST + 1):
        now = number * 0.25
        live(pair, now)
        if number == ROLLING_LEAST - 1:
            assert isinstance(pair.reading(now - 0.25).divergence_bps, Unavailable), "too few samples for a usual basis"
        pair.tick("spot", 100.0, 100.0, now)
        pair.tick("usdm", 101.0, 101.0, now)
    assert usable(pair.reading(now).divergence_bps) == pytest.approx(0.0, abs=1e-9)
    pair.tick("usdm", 102.0, 102.0, now)
    assert usable(pair.reading(now).divergence_bps) == pytest.approx(basis_bps(102.0, 101.0))


@given(st.floats(min_value=0.01, max_value=1e6), st.floats(min_value=0.01, max_value=1e6))
def test_the_basis_changes_its_sign_when_the_legs_are_swapped(one: float, other: float) -> None:
    assert basis_bps(one, other) == pytest.approx(-basis_bps(other, one), abs=1e-6)


def book_tickers(path: Path, product: str) -> Iterator[tuple[int, str, float, float]]:
    with gzip.open(path) as file:
        for line in file:
            if b"@bookTicker" in line[:80]:
                at, _, document = line.partition(b" ")
                data = json.loads(document)["data"]
                yield int(at), product, float(data["b"]), float(data["a"])


@pytest.mark.data
@pytest.mark.parametrize(("base", "known_bps"), [("BTC", -3.88), ("ETH", -4.42)])
def test_the_recorded_median_basis_is_the_known_one_within_a_basis_point(
    shared_data: Callable[[str], Path], base: str, known_bps: float
) -> None:
    folder = shared_data("binance_ws_20240808")
    pair = Pair(base, 2.0)
    for at, product, bid, ask in heapq.merge(
        *(book_tickers(folder / f"{p}_{base.lower()}usdt_20240808.gz", p) for p in ("spot", "usdm"))
    ):
        live(pair, at / 1e9)
        pair.tick(product, bid, ask, at / 1e9)
    said: CrossReading = pair.reading(at / 1e9)
    assert said.samples > 10_000
    assert usable(said.median_basis_bps) == pytest.approx(known_bps, abs=1.0)
    assert usable(said.divergence_bps) is not None
