"""The actor around the pairs: how often it speaks, and what it says when it knows nothing."""

from __future__ import annotations

import pytest

from actors.cross_exchange import CrossExchange
from actors.messages.control import SecondPassed
from actors.messages.market import CrossReading, FeedState, FeedStatus, Tick, Unavailable, Value
from actors.rules.readings import usable
from tests.actors.recorded import RecordedContext, give, start

SPOT, USDM = "binance:BTC/USDT", "binanceusdm:BTC/USDT:USDT"
PAIRS = {"BTC": {"spot": SPOT, "usdm": USDM}}


def state(key: str, status: FeedStatus = FeedStatus.LIVE, reason: str = "") -> FeedState:
    venue, _, symbol = key.partition(":")
    return FeedState(venue=venue, symbol=symbol, status=status, reason=reason, since_ns=1, age_s=0.0)


def tick(key: str, mid: float) -> Tick:
    venue, _, symbol = key.partition(":")
    return Tick(
        venue=venue, symbol=symbol, bid=mid, ask=mid, bid_size=1.0, ask_size=1.0, bid_depth=1.0, ask_depth=1.0,
        bought=0.0, sold=0.0, book_seq=1,
    )  # fmt: skip


def started() -> tuple[CrossExchange, RecordedContext]:
    actor, ctx = CrossExchange(), RecordedContext("cross_exchange")
    ctx.stopped_at = 1000.0
    start(actor, ctx, pairs=PAIRS)
    return actor, ctx


def test_it_speaks_at_once_and_every_second_even_when_it_knows_nothing() -> None:
    actor, ctx = started()
    words = [*ctx.of(CrossReading), *give(actor, ctx, SecondPassed())]
    assert len(words) == 2
    assert all(isinstance(word, CrossReading) and isinstance(word.basis_bps, Unavailable) for word in words)


def test_ticks_of_two_live_feeds_make_a_basis_and_a_gap_is_told_at_once() -> None:
    actor, ctx = started()
    give(actor, ctx, state(SPOT), state(USDM))
    ctx.offset_s = 0.2
    give(actor, ctx, tick(SPOT, 100.0))
    ctx.offset_s = 0.4
    (word,) = give(actor, ctx, tick(USDM, 101.0))
    assert isinstance(word, CrossReading)
    assert isinstance(word.basis_bps, Value)
    assert usable(word.basis_bps) == pytest.approx(99.5, abs=0.1)
    assert give(actor, ctx, state(SPOT)) == [], "nothing changed"
    (word,) = give(actor, ctx, state(SPOT, FeedStatus.GAP, "sequence gap"))
    assert isinstance(word, CrossReading)
    assert word.basis_bps == Unavailable(reason="spot: GAP: sequence gap")


def test_a_storm_of_ticks_makes_ten_readings_a_second_and_samples_all_of_them() -> None:
    actor, ctx = started()
    give(actor, ctx, state(SPOT), state(USDM), tick(SPOT, 100.0))
    before = len(ctx.published)
    for number in range(1, 1001):
        ctx.offset_s = number / 1000
        give(actor, ctx, tick(USDM, 100.0))
    words = ctx.of(CrossReading)
    assert 9 <= len(ctx.published) - before <= 11
    give(actor, ctx, SecondPassed())
    assert ctx.of(CrossReading)[-1].samples == 1000
    assert words


def test_ticks_of_other_instruments_are_nothing_to_it() -> None:
    actor, ctx = started()
    assert give(actor, ctx, tick("binance:DOGE/USDT", 1.0), state("binance:DOGE/USDT")) == []


def test_a_base_with_one_product_says_which_leg_is_missing() -> None:
    actor, ctx = CrossExchange(), RecordedContext("cross_exchange")
    start(actor, ctx, pairs={"BTC": {"usdm": USDM}})
    (word,) = ctx.of(CrossReading)
    assert isinstance(word.basis_bps, Unavailable)
    assert "spot: not configured" in word.basis_bps.reason


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"pairs": {"BTC": {"spot": SPOT, "coinm": USDM}}}, "BTC has the legs"),
        ({"pairs": {"BTC": {"spot": SPOT, "usdm": SPOT}}}, "is a leg of BTC and of BTC"),
        ({"pairs": PAIRS, "stale_after_s": 0.0}, "stale_after_s is 0.0"),
        ({"pairs": PAIRS, "stale_after_s": float("nan")}, "stale_after_s is nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        start(CrossExchange(), RecordedContext(), **settings)
