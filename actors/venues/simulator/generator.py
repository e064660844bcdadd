"""The live market of `sim` mode: each step of the built-in market becomes depth deltas, trades and a mark price.

The generator keeps the venue's wire habits that clients rely on: update ids that only rise (also over a restart), `pu`
chains on USD-M with the holes real ones have, a 100 ms cadence.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from actors.venues.market import STEP_S, InstrumentStep, Market
from actors.venues.simulator.book import Delta, Level, Side
from actors.venues.simulator.faults import Faults
from actors.venues.simulator.instruments import USDM, Instrument
from actors.venues.simulator.listing import Listing, Print
from actors.venues.simulator.player import send_delta
from actors.venues.simulator.streams import Hub

log = logging.getLogger(__name__)

QUOTE = "USDT"
LATE_S = 1.0  # later than this, steps are skipped instead of caught up
SAVE_EVERY = 10  # steps
# what unpickling bytes of another version, cut or foreign, raises
DAMAGED = (pickle.UnpicklingError, EOFError, LookupError, AttributeError, ImportError, ValueError, TypeError)


def list_instruments(market: Market) -> list[Listing]:
    """A listing per instrument of the built-in market, with its rules."""
    return [
        Listing(
            Instrument(
                product=rules.product,
                symbol=rules.base + QUOTE,
                base=rules.base,
                quote=QUOTE,
                tick=rules.tick_size,
                lot=rules.lot_size,
                min_notional=rules.min_notional,
            )
        )
        for rules in market.instruments()
    ]


def resume(path: Path, seed: int, bases: tuple[str, ...]) -> Market:
    """The market where its last run left it (prices go on over a restart of the venue), or a new one from the seed."""
    try:
        saved: tuple[int, tuple[str, ...], Market] = pickle.loads(path.read_bytes())
        identity, market = saved[:2], saved[2]
    except FileNotFoundError:
        return Market(seed, bases)
    except DAMAGED as bad:
        log.warning("%s is of another version or damaged (%r): the market starts anew", path, bad)
        return Market(seed, bases)
    if identity != (seed, bases):
        log.info("the saved market has another seed or other symbols: a new one starts")
        return Market(seed, bases)
    return market


class Generator:
    """Steps the market every 100 ms for ever, and remembers on disk where it was, to about a second."""

    def __init__(
        self,
        market: Market,
        listings: Mapping[tuple[str, str], Listing],
        hub: Hub,
        faults: Faults,
        *,
        seed: int,
        bases: tuple[str, ...],
        saved: Path,
        traded: Callable[[Listing, Print, Decimal, Decimal], None],
        moved: Callable[[Listing], None],
    ) -> None:
        self.steps = 0
        self._identity, self._saved = (seed, bases), saved
        self._market, self._listings, self._hub, self._faults = market, listings, hub, faults
        self._traded, self._moved = traded, moved
        self._rng = Random(f"ids:{seed}")
        started = int(time.time())
        self._update_id = dict.fromkeys(listings, started * 10_000)
        self._trade_id = started * 100

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            self.step()
            if self.steps % SAVE_EVERY == 0:
                self._save()
            due += STEP_S
            wait = due - time.monotonic()
            if wait < -LATE_S:
                log.warning("the market is %.1f s late: steps skipped", -wait)
                due = time.monotonic()
            await asyncio.sleep(max(0.0, wait))

    def step(self) -> None:
        """One step of all instruments: trades at the book the takers saw, then the new book."""
        self.steps += 1
        now_ms = time.time_ns() // 1_000_000
        for (product, base), step in self._market.step().instruments.items():
            listing = self._listings[product, base + QUOTE]
            listing.told_mark = step.mark_price
            for trade in step.trades:
                self._trade(listing, trade.price, trade.quantity, trade.buyer_is_maker, now_ms)
            self._delta(listing, step, now_ms)
            self._moved(listing)

    def _save(self) -> None:
        """Without fsync: a second of market is no truth that anybody was told to keep."""
        fresh = self._saved.with_suffix(".new")
        fresh.write_bytes(pickle.dumps((*self._identity, self._market)))
        fresh.replace(self._saved)

    def state(self) -> dict[str, Any]:
        return {"finished": False, "steps": self.steps}

    def _trade(self, listing: Listing, price: Decimal, quantity: Decimal, buyer_is_maker: bool, now_ms: int) -> None:
        i = listing.instrument
        self._trade_id += 1
        trade = Print(self._trade_id, i.price_text(price), i.quantity_text(quantity), now_ms, buyer_is_maker)
        listing.tape.add(trade, price, quantity)
        key = (i.product, i.symbol)
        if self._hub.subscribed((*key, "trade")):
            event = {"e": "trade", "E": now_ms, "T": now_ms, "s": i.symbol, "t": trade.t, "p": trade.p, "q": trade.q}
            event |= {"X": "MARKET", "m": buyer_is_maker} if i.product == USDM else {"m": buyer_is_maker, "M": True}
            self._hub.publish((*key, "trade"), msgspec.json.encode(event))
        if self._hub.subscribed((*key, "aggTrade")):
            event = {"e": "aggTrade", "E": now_ms, "s": i.symbol, "a": trade.t, "p": trade.p, "q": trade.q,
                     "f": trade.t, "l": trade.t, "T": now_ms, "m": buyer_is_maker}  # fmt: skip
            if i.product != USDM:
                event["M"] = True
            self._hub.publish((*key, "aggTrade"), msgspec.json.encode(event))
        self._traded(listing, trade, price, quantity)

    def _delta(self, listing: Listing, step: InstrumentStep, now_ms: int) -> None:
        i, book = listing.instrument, listing.book
        bids = _changes(book.bids, {i.price_text(p): i.quantity_text(q) for p, q in step.bids}, i)
        asks = _changes(book.asks, {i.price_text(p): i.quantity_text(q) for p, q in step.asks}, i)
        if not bids and not asks:
            return
        before = self._update_id[i.key]
        hole = self._rng.randrange(300) if i.product == USDM else 0  # real USD-M frames leave ids out before U
        first, last = before + 1 + hole, before + hole + len(bids) + len(asks)
        self._update_id[i.key] = last
        event: dict[str, Any] = {"e": "depthUpdate", "E": now_ms}
        if i.product == USDM:
            event |= {"T": now_ms, "s": i.symbol, "U": first, "u": last, "pu": before}
        else:
            event |= {"s": i.symbol, "U": first, "u": last}
        event |= {"b": bids, "a": asks}
        book.apply(Delta(first, last, bids, asks, now_ms))
        send_delta(self._hub, self._faults, (*i.key, "depth"), msgspec.json.encode(event), now_ms * 1_000_000)
        if self._hub.subscribed((*i.key, "bookTicker")):
            bid, ask = book.bids.best() or ("0", "0"), book.asks.best() or ("0", "0")
            top: dict[str, Any] = {"u": last, "s": i.symbol, "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
            if i.product == USDM:
                top = {"e": "bookTicker", "E": now_ms, "T": now_ms} | top
            self._hub.publish((*i.key, "bookTicker"), msgspec.json.encode(top))


def _changes(side: Side, new: dict[str, str], instrument: Instrument) -> list[Level]:
    """What turns the side into `new`: changed and new levels, and zeros for the levels that went."""
    old = dict(side.best_first())
    gone = instrument.quantity_text(Decimal(0))
    changed = [(price, quantity) for price, quantity in new.items() if old.get(price) != quantity]
    return changed + [(price, gone) for price in old if price not in new]
