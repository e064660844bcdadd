"""The public endpoints of both products: time, rules, book, ticker, trades, candles."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from actors.venues.simulator.book import Snapshot
from actors.venues.simulator.errors import VenueError, unknown_symbol
from actors.venues.simulator.instruments import SPOT, USDM, exchange_info
from actors.venues.simulator.listing import Listing
from actors.venues.simulator.rest import Call, Endpoint, Table
from actors.venues.simulator.streams import Hub

ROOT = {SPOT: "/api/v3", USDM: "/fapi/v1"}
MOST_LEVELS = {SPOT: 5000, USDM: 1000}
Answer = Callable[["Public", Call], Any]


class Public:
    """Answers over the listings."""

    def __init__(self, listings: Mapping[tuple[str, str], Listing], hub: Hub) -> None:
        self._listings, self._hub = listings, hub

    def table(self) -> Table:
        answers: dict[str, Answer] = {
            "ping": Public.ping,
            "time": Public.time,
            "exchangeInfo": Public.exchange_info,
            "depth": Public.depth,
            "ticker/24hr": Public.ticker,
            "aggTrades": Public.agg_trades,
            "klines": Public.klines,
        }
        table: Table = {
            (product, "GET", f"{root}/{path}"): Endpoint(partial(answer, self))
            for product, root in ROOT.items()
            for path, answer in answers.items()
        }
        table[SPOT, "GET", "/sapi/v1/system/status"] = Endpoint(lambda _call: {"status": 0, "msg": "normal"})
        return table

    def ping(self, _call: Call) -> dict[str, Any]:
        return {}

    def time(self, call: Call) -> dict[str, Any]:
        return {"serverTime": call.now_ms}

    def exchange_info(self, call: Call) -> dict[str, Any]:
        return exchange_info(call.product, (listing.instrument for listing in self._listings.values()), call.now_ms)

    def depth(self, call: Call) -> Any:
        listing = self._listing(call)
        limit = call.number("limit", 100)
        if not 0 < limit <= MOST_LEVELS[call.product]:
            raise VenueError(-4021, f"Limit {limit} is not valid, at most {MOST_LEVELS[call.product]}.")
        snapshot = self._captured(listing, limit) or listing.book.snapshot(limit)
        listing.served_at = time.monotonic()
        if call.product == SPOT:
            return {"lastUpdateId": snapshot.lastUpdateId, "bids": snapshot.bids, "asks": snapshot.asks}
        return {
            "lastUpdateId": snapshot.lastUpdateId,
            "E": snapshot.E or call.now_ms,
            "T": snapshot.T or call.now_ms,
            "bids": snapshot.bids,
            "asks": snapshot.asks,
        }

    def ticker(self, call: Call) -> Any:
        if call.parameters.get("symbol"):
            return self._listing(call).ticker(call.now_ms)
        return [row.ticker(call.now_ms) for row in self._listings.values() if row.instrument.product == call.product]

    def agg_trades(self, call: Call) -> list[dict[str, Any]]:
        trades = list(self._listing(call).tape.trades)[-min(call.number("limit", 500), 1000) :]
        extra = {"M": True} if call.product == SPOT else {}
        return [{"a": t.t, "p": t.p, "q": t.q, "f": t.t, "l": t.t, "T": t.T, "m": t.m} | extra for t in trades]

    def klines(self, call: Call) -> list[list[Any]]:
        listing, interval = self._listing(call), call.need("interval")
        if interval != "1m":
            raise VenueError(-1120, f"Invalid interval: the simulator keeps 1m candles, not {interval}.")
        since = call.number("startTime", 0)
        rows = [listing.candle_row(c) for c in listing.tape.candles if c.open_ms >= since]
        limit = min(call.number("limit", 500), 1500)
        return rows[:limit] if since else rows[-limit:]

    def _listing(self, call: Call) -> Listing:
        listing = self._listings.get((call.product, call.need("symbol")))
        if listing is None:
            raise unknown_symbol()
        return listing

    def _captured(self, listing: Listing, limit: int) -> Snapshot | None:
        """The recording's own snapshot, for the first request after the first subscription of its book."""
        captured = listing.captured
        if captured is None or (*listing.instrument.key, "depth") not in self._hub.acknowledged:
            return None
        listing.captured = None
        return Snapshot(captured.lastUpdateId, captured.bids[:limit], captured.asks[:limit], captured.E, captured.T)
