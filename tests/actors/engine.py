"""An `AiEngine` on a bench: a recorded context that also has an envelope and stopped clocks, and words to feed it."""

from __future__ import annotations

import os
from typing import Any

from actors.ai_engine import AiEngine
from actors.messages.market import CrossReading, FeedState, FeedStatus, Reading, Tick, Unavailable, Value
from actors.venues.market import Market, MarketStep
from models_onnx.dataset import mid_of, tick_of
from supervisor.message import SCHEMA, Envelope, Message, Provenance
from tests.actors.recorded import RecordedContext, start

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the first session, as the Makefile and `qt` do

VENUE = "binanceusdm"
BASES = ("BTC", "ETH", "SOL")
KEYS = tuple(f"{VENUE}:{base}/USDT:USDT" for base in BASES)
EPOCH_NS = 1_790_000_000_000_000_000


class Bench(RecordedContext):
    """`give` handles one message at one event time; both clocks stand still until it moves them there."""

    def __init__(self) -> None:
        super().__init__("ai_engine")
        self.stopped_at = EPOCH_NS / 1e9
        self.event_ns = EPOCH_NS

    def envelope(self) -> Envelope:
        return Envelope(SCHEMA, "feed", 1, 1, self.event_ns, self.event_ns, Provenance.SYNTHETIC, "", "", None)

    def give(self, engine: AiEngine, message: Message, at_s: float) -> list[Message]:
        """What the engine published about this message."""
        self.event_ns = EPOCH_NS + round(at_s * 1e9)
        self.stopped_at = self.event_ns / 1e9
        before = len(self.published)
        engine.handle(message)
        self.release()
        return self.published[before:]


def engine(**settings: Any) -> tuple[AiEngine, Bench]:
    """A started engine over the shipped models."""
    made, bench = AiEngine(), Bench()
    start(made, bench, **{"models_dir": None, "instruments": KEYS, **settings})
    return made, bench


def feed_state(key: str, status: FeedStatus = FeedStatus.LIVE) -> FeedState:
    """A word of the feed about one instrument."""
    venue, _, symbol = key.partition(":")
    return FeedState(venue=venue, symbol=symbol, status=status, reason="test", since_ns=EPOCH_NS, age_s=0.0)


def reading(base: str, basis: Reading | None = None) -> CrossReading:
    """A basis reading, unavailable unless given."""
    none = Unavailable(reason="test")
    return CrossReading(base=base, basis_bps=basis or none, divergence_bps=none, median_basis_bps=none, samples=1)


def ticks(step: MarketStep) -> dict[str, Tick]:
    """The perpetuals' ticks of one market step, by base."""
    made = {}
    for base in BASES:
        perpetual = step.instruments["usdm", base]
        bought = float(sum(trade.quantity for trade in perpetual.trades if not trade.buyer_is_maker))
        sold = float(sum(trade.quantity for trade in perpetual.trades if trade.buyer_is_maker))
        made[base] = tick_of(base, perpetual, bought, sold, step.number)
    return made


def run_market(made: AiEngine, bench: Bench, seed: int, seconds: float, start_s: float = 0.0) -> list[Message]:
    """Feed `seconds` of a fresh built-in market, with feed states and basis readings once a second."""
    market = Market(seed)
    before = len(bench.published)
    for number in range(round(seconds * 10)):
        at_s = start_s + number / 10
        step = market.step()
        for base, key in zip(BASES, KEYS, strict=True):
            if number % 10 == 0:
                bench.give(made, feed_state(key), at_s)
                basis = mid_of(step.instruments["usdm", base]) / mid_of(step.instruments["spot", base]) - 1.0
                bench.give(made, reading(base, Value(value=basis * 1e4, age_s=0.1)), at_s)
        for tick in ticks(step).values():
            bench.give(made, tick, at_s)
    return bench.published[before:]
