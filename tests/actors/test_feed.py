"""Feeds: the life of a book as a machine, the actor on posted words, and both against a real venue and recordings."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.feed import Feed, FeedBroken, PatienceOver
from actors.messages.control import SecondPassed
from actors.messages.market import FeedReport, FeedState, FeedStatus, Tick
from actors.rules import feed as rules
from actors.rules.feed import Bucket, DepthFrame, Life, Limits, Wish
from actors.venues.words import BookFrame, LifeChanged, PortFailed
from tests.actors.recorded import RecordedContext, give, run_until, start
from tests.actors.venue import Venue, venue

LIMITS = Limits()


# --- the machine -----------------------------------------------------------------------------------------------------


def live(now: float = 10.0, last: int = 100) -> Life:
    life = rules.subscribed(rules.connecting(Life(), "connecting", now), now)
    return rules.after_depth(life, DepthFrame(last - 5, last, None, True, "", (last,)), now)


def spot(first: int, last: int, applied: bool = True, fault: str = "") -> DepthFrame:
    return DepthFrame(first, last, None, applied, fault, (last,) if applied else ())


def test_a_book_becomes_live_step_by_step_and_only_on_an_applied_frame() -> None:
    life = rules.connecting(Life(), "connecting", 1.0)
    assert life.status is FeedStatus.CONNECTING
    life = rules.subscribed(life, 1.1)
    assert life.status is FeedStatus.SUBSCRIBED
    life = rules.after_depth(life, spot(1, 5, applied=False), 1.2)
    assert life.status is FeedStatus.SYNCING
    life = rules.after_depth(life, spot(6, 9), 1.3)
    assert (life.status, life.reason, life.frames, life.deltas) == (FeedStatus.LIVE, "", 2, 1)


def test_deltas_are_counted_when_ccxt_applies_them_not_when_the_books_id_happens_to_be_theirs() -> None:
    """Measured: 3433 of 3432 when the snapshot's id was a frame's own, 6570 of 6581 when it came late."""
    life = rules.subscribed(rules.connecting(Life(), "connecting", 1.0), 1.0)
    life = rules.after_depth(life, DepthFrame(1, 5, None, True, ""), 1.1)  # in the snapshot already
    assert (life.status, life.deltas) == (FeedStatus.LIVE, 0)
    life = rules.after_depth(life, DepthFrame(18, 20, None, True, "", (11, 14, 17, 20)), 1.2)  # three were buffered
    assert life.deltas == 4
    life = rules.after_depth(life, DepthFrame(18, 20, None, True, "", (20,)), 1.3)  # USD-M applies a repeat again
    assert life.deltas == 4
    life = rules.after_depth(rules.connecting(life, "closed", 1.4), DepthFrame(1, 3, None, True, "", (3,)), 1.5)
    assert life.deltas == 5


@pytest.mark.parametrize(
    ("chain", "frame", "follows"),
    [
        (None, spot(7, 9), True),
        (100, spot(101, 104), True),
        (100, spot(102, 104), False),
        (100, spot(100, 104), False),
        (100, DepthFrame(180, 190, 100, True, ""), True),  # USD-M: U has holes, pu links
        (100, DepthFrame(101, 190, 99, True, ""), False),
    ],
)
def test_the_next_frame_is_told_by_the_products_rule(chain: int | None, frame: DepthFrame, follows: bool) -> None:
    assert rules.continues(chain, frame) is follows


def test_a_gap_is_noticed_at_once_counted_once_and_survived_by_a_new_snapshot() -> None:
    life = rules.after_depth(live(), spot(105, 110, applied=False), 11.0)
    assert (life.status, life.gaps) == (FeedStatus.GAP, 1)
    assert "U 105 does not follow 100" in life.reason
    life = rules.resyncing(life)
    life = rules.after_depth(life, spot(111, 112, applied=False), 11.1)
    life = rules.after_depth(life, spot(113, 114), 11.2)
    assert (life.status, life.gaps, life.resyncs) == (FeedStatus.LIVE, 1, 1)


def test_a_gap_that_ccxt_overlooked_is_not_live_before_a_resync() -> None:
    life = rules.after_depth(live(), spot(105, 110, applied=True), 11.0)
    life = rules.after_depth(life, spot(111, 112, applied=True), 11.1)
    assert life.status is FeedStatus.GAP
    assert rules.wish(life, LIMITS, 11.1) is Wish.RESYNC
    life = rules.after_depth(rules.resyncing(rules.asked(life, 11.2)), spot(113, 114), 11.3)
    assert life.status is FeedStatus.LIVE


def test_a_repeated_or_late_frame_is_counted_and_changes_nothing_else() -> None:
    before = live()
    after = rules.after_depth(before, spot(90, 95, applied=False), 11.0)
    assert (after.status, after.gaps, after.frames) == (FeedStatus.LIVE, 0, before.frames + 1)


def test_garbage_is_a_gap_and_the_hole_it_leaves_is_the_same_one() -> None:
    life = rules.after_garbage(live(), True, "JSONDecodeError", 11.0)
    assert (life.status, life.malformed, life.gaps) == (FeedStatus.GAP, 1, 1)
    hole = rules.after_depth(life, spot(105, 110, applied=False), 11.1)
    assert (hole.status, hole.gaps) == (FeedStatus.GAP, 1)
    whole = rules.after_depth(life, spot(101, 110), 11.1)  # it was no book frame: nothing is missing
    assert whole.status is FeedStatus.LIVE
    on_trades = rules.after_garbage(live(), False, "JSONDecodeError", 11.0)
    assert (on_trades.status, on_trades.malformed, on_trades.gaps) == (FeedStatus.LIVE, 1, 1)


@pytest.mark.parametrize(
    ("bids", "asks", "fault"),
    [
        ([[100.0, 1.0]], [[101.0, 1.0]], ""),
        ([[100.0, 1.0], [99.0, 1.0]], [[101.0, 1.0], [102.0, 1.0]], ""),
        ([], [[101.0, 1.0]], "no bids"),
        ([[100.0, 1.0]], [], "no asks"),
        ([[101.0, 1.0]], [[101.0, 1.0]], "crossed"),
        ([[102.0, 1.0]], [[101.0, 1.0]], "crossed"),
        ([[99.0, 1.0], [100.0, 1.0]], [[101.0, 1.0]], "not sorted"),
        ([[100.0, 1.0]], [[102.0, 1.0], [101.0, 1.0]], "not sorted"),
        ([[float("nan"), 1.0]], [[101.0, 1.0]], "no level"),
        ([[100.0, float("inf")]], [[101.0, 1.0]], "no level"),
        ([[100.0, 0.0]], [[101.0, 1.0]], "no level"),
    ],
)
def test_only_a_sound_book_may_be_published(bids: Any, asks: Any, fault: str) -> None:
    found = rules.fault_of(bids, asks)
    assert (fault in found) if fault else found == ""


def test_a_crossed_book_ends_in_gap_until_a_snapshot_heals_it() -> None:
    life = rules.after_depth(live(), spot(101, 104, fault="the book is crossed"), 11.0)
    assert life.status is FeedStatus.GAP
    assert rules.wish(life, LIMITS, 11.0) is Wish.RESYNC
    still = rules.after_depth(rules.resyncing(life), spot(105, 106, fault="the book is crossed"), 11.5)
    assert still.status is FeedStatus.GAP
    assert rules.wish(still, LIMITS, 15.0) is Wish.RESET_BOOK


@pytest.mark.parametrize(
    ("book_age", "trades_age", "status", "asked"),
    [
        (1.0, 5.0, FeedStatus.LIVE, Wish.NOTHING),
        (2.5, 5.0, FeedStatus.STALE, Wish.RESET_BOOK),
        (1.0, 31.0, FeedStatus.STALE, Wish.RESET_TRADES),
    ],
)
def test_silence_is_judged_per_channel_by_its_own_floor(
    book_age: float, trades_age: float, status: FeedStatus, asked: Wish
) -> None:
    now = 100.0
    life = msgspec.structs.replace(live(now - 50), book_at=now - book_age, trades_at=now - trades_age)
    life = rules.after_silence(life, LIMITS, now)
    assert life.status is status
    assert rules.wish(life, LIMITS, now) is asked
    if asked is not Wish.NOTHING:  # and not again at once
        assert rules.wish(rules.asked(life, now), LIMITS, now + 0.25) is Wish.NOTHING


def test_trades_that_come_back_make_the_book_live_again() -> None:
    life = rules.after_silence(msgspec.structs.replace(live(10.0), book_at=99.9), LIMITS, 100.0)
    assert life.status is FeedStatus.STALE
    assert rules.after_depth(life, spot(101, 102), 100.1).status is FeedStatus.STALE
    life = rules.after_depth(rules.after_trade(life, 100.2), spot(101, 102), 100.3)
    assert life.status is FeedStatus.LIVE


EVENTS = st.sampled_from(["next", "gap", "late", "crossed", "dropped", "garbage", "trade", "lost", "ack", "resync"])


@given(st.lists(EVENTS, max_size=60))
def test_live_always_stands_on_an_unbroken_chain_of_applied_sound_frames(events: list[str]) -> None:
    life, now, last = Life(), 0.0, 100
    sound = False  # since the newest snapshot, by the test's own book-keeping
    for event in events:
        now += 0.1
        frames = life.frames
        match event:
            case "next" | "crossed" | "dropped":
                frame = spot(
                    last + 1, last + 3, event != "dropped", "the book is crossed" if event == "crossed" else ""
                )
                life, last = rules.after_depth(life, frame, now), last + 3
                sound = event == "next"
            case "gap":
                life, last = rules.after_depth(life, spot(last + 5, last + 8), now), last + 8
                sound = life.gaps == 0  # the first frame of a connection follows anything
            case "late":
                life = rules.after_depth(life, spot(last - 9, last - 7, False), now)
            case "garbage":
                life, sound = rules.after_garbage(life, True, "x", now), False
            case "trade":
                life = rules.after_trade(life, now)
            case "lost":
                life, sound = rules.connecting(life, "lost", now), False
            case "ack":
                life = rules.subscribed(life, now)
            case "resync":
                life = rules.resyncing(life)
        if life.status is FeedStatus.LIVE and event in ("next", "crossed", "dropped", "garbage", "lost"):
            assert sound
        assert life.frames - frames == (event in ("next", "crossed", "dropped", "gap", "late", "trade"))


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_resyncs_are_bounded_by_the_bucket(gaps_s: list[float]) -> None:
    bucket, now, granted = Bucket(size=5, per_s=2, tokens=5, at=0.0), 0.0, []
    for gap_s in gaps_s:
        now += gap_s
        bucket, wait_s = bucket.take(now)
        now += wait_s
        granted.append(now)
    assert len(granted) <= 5 + 2 * now + 1e-6 + 1


# --- the actor on posted words ---------------------------------------------------------------------------------------


class Quiet:
    """A port of which the test posts everything itself."""

    def __init__(self, final: tuple[BookFrame, ...] = ()) -> None:
        self.final = final

    def close(self) -> tuple[BookFrame, ...]:
        return self.final


def feed(final: tuple[BookFrame, ...] = ()) -> tuple[Feed, RecordedContext]:
    actor, ctx = Feed(), RecordedContext("feed:binance")
    start(actor, ctx, venue="binance", product="spot", symbols=("BTC/USDT",), port=lambda _post, **_: Quiet(final))
    return actor, ctx


def frame(frames: int, changes: int = 1, status: FeedStatus = FeedStatus.LIVE, **fields: Any) -> BookFrame:
    known: dict[str, Any] = {
        "venue": "binance", "symbol": "BTC/USDT", "status": status, "changes": changes, "frames": frames, "deltas": 0,
        "gaps": 0, "resyncs": 0, "malformed": 0, "bought": 0.0, "sold": 0.0, "bids": ((100.0, 2.0), (99.0, 1.0)),
        "asks": ((101.0, 3.0),), "book_seq": frames, "event_ms": 1_723_161_253_937, "book_at": time.monotonic(),
    }  # fmt: skip
    return BookFrame(**{**known, **fields})


def changed(status: FeedStatus, changes: int, reason: str = "") -> LifeChanged:
    return LifeChanged(
        venue="binance", symbol="BTC/USDT", status=status, reason=reason, changes=changes, book_at=time.monotonic()
    )


def test_ticks_come_only_between_live_and_the_next_word() -> None:
    actor, ctx = feed()
    assert not [m for m in give(actor, ctx, frame(1, changes=0, status=FeedStatus.SYNCING)) if isinstance(m, Tick)]
    # a frame that overtakes the word about its own life waits for it
    assert not [m for m in give(actor, ctx, frame(2)) if isinstance(m, Tick)]
    said = give(actor, ctx, changed(FeedStatus.LIVE, 1))
    assert [type(m) for m in said] == [FeedState, Tick]
    assert [type(m) for m in give(actor, ctx, frame(3))] == [Tick]
    assert [type(m) for m in give(actor, ctx, changed(FeedStatus.GAP, 2, "sequence gap"))] == [FeedState]
    assert give(actor, ctx, frame(4)) == []  # of the former life
    assert ctx.is_ready


def test_a_tick_carries_depth_and_the_flow_since_the_last_one() -> None:
    actor, ctx = feed()
    give(actor, ctx, changed(FeedStatus.LIVE, 1), frame(1, bought=5.0, sold=1.0), frame(9, bought=7.5, sold=1.0))
    first, second = ctx.of(Tick)
    assert (first.bought, first.sold) == (5.0, 1.0)
    assert (second.bought, second.sold, second.bid, second.ask) == (2.5, 0.0, 100.0, 101.0)
    assert (second.bid_size, second.bid_depth, second.ask_depth, second.book_seq) == (2.0, 3.0, 3.0, 9)


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 20))
def test_in_is_out_plus_conflated_whatever_the_inbox_replaced(steps: list[int], unseen: int) -> None:
    total = sum(steps)
    actor, ctx = feed(final=(frame(total + unseen),))
    seen = 0
    for step in steps:
        seen += step
        give(actor, ctx, frame(seen))
    give(actor, ctx, SecondPassed())
    actor.terminate("end")
    report = ctx.of(FeedReport)[-1]
    assert report.frames_in == total + unseen
    assert report.frames_in == report.events_out + report.conflated


def test_it_is_ready_after_its_patience_and_says_what_is_missing() -> None:
    actor, ctx = feed()
    give(actor, ctx, changed(FeedStatus.DOWN, 1, "cannot load instruments"), PatienceOver())
    assert ctx.is_ready
    assert ctx.of(FeedState)[-1].reason == "cannot load instruments"


def test_a_live_book_of_a_port_that_fell_silent_is_called_stale() -> None:
    actor, ctx = feed()
    give(actor, ctx, changed(FeedStatus.LIVE, 1))
    ctx.offset_s = 60.0
    give(actor, ctx, SecondPassed())
    assert ctx.of(FeedState)[-1].status is FeedStatus.STALE


def test_a_port_that_ended_ends_the_feed() -> None:
    actor, ctx = feed()
    with pytest.raises(FeedBroken, match="thread died"):
        give(actor, ctx, PortFailed(text="thread died"))


# --- against a venue -------------------------------------------------------------------------------------------------

PRODUCTS = {
    "spot": ("binance", ("BTC/USDT", "ETH/USDT")),
    "usdm": ("binanceusdm", ("BTC/USDT:USDT", "ETH/USDT:USDT")),
}


class Real:
    """A feed with its real port at a venue."""

    def __init__(self, product: str, url: str, **arguments: Any) -> None:
        self.product, (self.venue, self.symbols) = product, PRODUCTS[product]
        self.actor, self.ctx = Feed(), RecordedContext(f"feed:{self.venue}")
        start(self.actor, self.ctx, venue=self.venue, product=product, symbols=self.symbols, url=url, **arguments)

    def until(self, done: Callable[[], Any], timeout_s: float = 30.0) -> None:
        run_until(self.actor, self.ctx, done, timeout_s)

    def status(self, symbol: str) -> FeedStatus:
        return self.actor.seen[symbol].status

    def all_live(self) -> bool:
        return all(self.status(symbol) is FeedStatus.LIVE for symbol in self.symbols)

    def report(self, symbol: str) -> FeedReport:
        return [report for report in self.ctx.of(FeedReport) if report.symbol == symbol][-1]

    def counted(self, symbol: str) -> int:
        """Frames of this symbol as last reported, 0 before the first report."""
        return max([report.frames_in for report in self.ctx.of(FeedReport) if report.symbol == symbol], default=0)


@pytest.mark.process
@pytest.mark.parametrize("product", ["spot", "usdm"])
def test_a_feed_survives_a_lost_connection_a_stall_and_a_venue_that_goes_away(product: str, tmp_path: Path) -> None:
    with venue(tmp_path / "venue") as served:
        port = served.port
        real = Real(product, served.url, ready_within_s=60.0)
        real.until(lambda: real.ctx.is_ready)
        assert real.all_live()
        first = real.symbols[0]
        assert served.fault("abort", product=product) >= 4
        real.until(lambda: not real.all_live())
        real.until(real.all_live)
        served.fault("stall", product=product, stream="depth", seconds=4.0)
        real.until(lambda: real.status(first) is FeedStatus.STALE)
        real.until(real.all_live)
        served.fault("gap", product=product, symbol="BTCUSDT", count=1)
        real.until(lambda: any(s.symbol == first and s.status is FeedStatus.GAP for s in real.ctx.of(FeedState)))
        real.until(real.all_live)
    real.until(lambda: not any(real.status(symbol) is FeedStatus.LIVE for symbol in real.symbols))
    with venue(tmp_path / "venue", port=port):
        real.until(real.all_live, 60.0)
    real.actor.terminate("end")
    assert all(tick.bid < tick.ask for tick in real.ctx.of(Tick))
    assert real.report(first).gaps == 1


@pytest.mark.process
def test_a_venue_that_is_away_is_a_state_and_the_feed_is_ready_all_the_same(tmp_path: Path) -> None:
    with venue(tmp_path / "venue") as served:
        url = served.url
    real = Real("spot", url, ready_within_s=1.0)
    real.until(lambda: real.ctx.is_ready)
    real.until(lambda: real.status("BTC/USDT") is FeedStatus.DOWN)
    real.until(lambda: "cannot load instruments" in real.ctx.of(FeedState)[-1].reason)
    real.actor.terminate("end")


def replayed(products: tuple[str, ...], served: Venue) -> list[Real]:
    """Feeds of a recording, run to its end: counts folded, books final."""
    feeds = [Real(product, served.url, ready_within_s=60.0) for product in products]
    end = time.monotonic() + 100.0
    looked = 0.0
    while True:
        for real in feeds:
            message = real.ctx.next(0.002)
            if message is not None:
                give(real.actor, real.ctx, message)
        if time.monotonic() - looked > 0.5:
            looked = time.monotonic()
            if served.get("state")["player"]["finished"]:
                break
        assert time.monotonic() < end, served.get("state")["player"]
    while not arrived(feeds, served) and time.monotonic() < end:  # what was sent last may still be on its way
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            for real in feeds:
                message = real.ctx.next(0.01)
                if message is not None:
                    give(real.actor, real.ctx, message)
    for real in feeds:
        real.actor.terminate("end")
    return feeds


def arrived(feeds: list[Real], served: Venue) -> bool:
    """Every frame the player has sent is in the feeds' own counts."""
    frames = served.get("state")["player"]["frames"]
    return all(real.counted(symbol) >= frames[f"{real.venue}:{symbol}"] for real in feeds for symbol in real.symbols)


def same_book(served: Venue, real: Real, symbol: str) -> bool:
    name = symbol.split(":")[0].replace("/", "")
    true = served.get(f"book?product={real.product}&symbol={name}&levels=20")
    report = real.report(symbol)
    sides = [tuple(tuple(map(float, level)) for level in true[side]) for side in ("bids", "asks")]
    return bool(true["last_update_id"] == report.book_seq and sides == [report.bids, report.asks])


@pytest.mark.process
@pytest.mark.data
def test_a_replay_with_every_fault_ends_with_the_true_books_and_exact_counts(
    tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    data = str(shared_data("binance_ws_20240808"))
    with venue(tmp_path / "venue", data=data, speed=20.0, faults="gap:10,dup:40,garble:20") as served:
        feeds = replayed(("spot", "usdm"), served)
        frames = served.get("state")["player"]["frames"]
        gaps = malformed = 0
        for real in feeds:
            for symbol in real.symbols:
                report = real.report(symbol)
                assert report.frames_in == frames[f"{real.venue}:{symbol}"]
                assert report.frames_in == report.events_out + report.conflated
                assert same_book(served, real, symbol)
                gaps, malformed = gaps + report.gaps, malformed + report.malformed
            assert all(tick.bid < tick.ask for tick in real.ctx.of(Tick))
        assert (gaps, malformed) == (30, 20)


@pytest.mark.process
@pytest.mark.data
def test_a_recording_with_deltas_cut_out_is_a_gap_and_never_a_crossed_tick(
    tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    source = shared_data("binance_ws_20240808") / "spot_btcusdt_20240808.gz"
    deltas = 0
    with gzip.open(source, "rb") as lines, gzip.open(cut / source.name, "wb", compresslevel=1) as kept:
        for number, line in enumerate(lines):
            deltas += b"depthUpdate" in line
            if not (b"depthUpdate" in line and 200 <= deltas < 260):
                kept.write(line)
            if number > 8000:
                break
    with venue(tmp_path / "venue", data=str(cut), speed=20.0) as served:
        real = Real("spot", served.url, ready_within_s=60.0)
        real.until(lambda: served.get("state")["player"]["finished"], 100.0)
        real.actor.terminate("end")
    btc = [state for state in real.ctx.of(FeedState) if state.symbol == "BTC/USDT"]
    assert any(state.status is FeedStatus.GAP and "does not follow" in state.reason for state in btc)
    assert real.report("BTC/USDT").gaps >= 1
    ticks = real.ctx.of(Tick)
    assert ticks
    assert all(tick.bid < tick.ask for tick in ticks)
    eth = [state for state in real.ctx.of(FeedState) if state.symbol == "ETH/USDT"]
    assert "lists no ETH/USDT" in eth[-1].reason  # the recording has none: said, not crashed
