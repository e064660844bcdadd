"""One instrument as the venue runs it: rules, true book, and the tape (trades, one-minute candles, day figures)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from actors.venues.simulator.book import Book, Snapshot
from actors.venues.simulator.instruments import USDM, Instrument

TRADES_KEPT = 1000
CANDLES_KEPT = 1500
MINUTE_MS = 60_000
ZERO = Decimal(0)


class Print(msgspec.Struct):
    """A public trade as it goes over the wire; `m`: the buyer was the maker."""

    t: int
    p: str
    q: str
    T: int
    m: bool


class Candle(msgspec.Struct):
    """One minute of trades."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote: Decimal = ZERO
    bought: Decimal = ZERO  # by takers
    bought_quote: Decimal = ZERO
    count: int = 0


class Tape:
    """What was traded since the simulator started; bounded."""

    def __init__(self) -> None:
        self.trades: deque[Print] = deque(maxlen=TRADES_KEPT)
        self.candles: deque[Candle] = deque(maxlen=CANDLES_KEPT)
        self.last: Decimal | None = None
        self.count = 0

    def add(self, trade: Print, price: Decimal, quantity: Decimal) -> None:
        self.trades.append(trade)
        self.last = price
        self.count += 1
        minute = trade.T - trade.T % MINUTE_MS
        if not self.candles or self.candles[-1].open_ms < minute:
            self.candles.append(Candle(minute, price, price, price, price))
        candle = self.candles[-1]
        candle.high = max(candle.high, price)
        candle.low = min(candle.low, price)
        candle.close = price
        candle.volume += quantity
        candle.quote += price * quantity
        candle.count += 1
        if not trade.m:
            candle.bought += quantity
            candle.bought_quote += price * quantity

    def day(self) -> Candle | None:
        """All kept candles as one, None before the first trade."""
        if not self.candles:
            return None
        rows = list(self.candles)
        return Candle(
            rows[0].open_ms,
            rows[0].open,
            max(r.high for r in rows),
            min(r.low for r in rows),
            rows[-1].close,
            sum((r.volume for r in rows), ZERO),
            sum((r.quote for r in rows), ZERO),
            sum((r.bought for r in rows), ZERO),
            sum((r.bought_quote for r in rows), ZERO),
            sum(r.count for r in rows),
        )


class Listing:
    """An instrument with its book and tape. `captured` is a recording's REST snapshot, until it has been served."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book()
        self.tape = Tape()
        self.captured: Snapshot | None = None
        self.served_at = 0.0  # monotonic: when somebody last fetched a snapshot
        self.told_mark: Decimal | None = None  # the generator's mark price
        self._closed_minute = 0

    @property
    def mark(self) -> Decimal | None:
        """The mark price: the market's own, else the middle of the book; None without a book."""
        if self.told_mark is not None:
            return self.told_mark
        bid, ask = self.book.bids.best(), self.book.asks.best()
        if bid is None or ask is None:
            return self.tape.last
        return (Decimal(bid[0]) + Decimal(ask[0])) / 2

    def candle_row(self, candle: Candle) -> list[Any]:
        i = self.instrument
        return [
            candle.open_ms,
            i.price_text(candle.open),
            i.price_text(candle.high),
            i.price_text(candle.low),
            i.price_text(candle.close),
            i.quantity_text(candle.volume),
            candle.open_ms + MINUTE_MS - 1,
            f"{candle.quote:.8f}",
            candle.count,
            i.quantity_text(candle.bought),
            f"{candle.bought_quote:.8f}",
            "0",
        ]

    def ticker(self, now_ms: int) -> dict[str, Any]:
        """The answer of ticker/24hr, over what was traded since the start."""
        i, day = self.instrument, self.tape.day()
        bid, ask = self.book.bids.best() or ("0", "0"), self.book.asks.best() or ("0", "0")
        price = i.price_text
        last = day.close if day else self.mark or ZERO
        opened = day.open if day else last
        change = last - opened
        quantity = self.tape.trades[-1].q if self.tape.trades else "0"
        row = {
            "symbol": i.symbol,
            "priceChange": price(change),
            "priceChangePercent": f"{change / opened * 100:.3f}" if opened else "0.000",
            "weightedAvgPrice": price(day.quote / day.volume) if day and day.volume else price(last),
            "lastPrice": price(last),
            "lastQty": quantity,
            "openPrice": price(opened),
            "highPrice": price(day.high if day else last),
            "lowPrice": price(day.low if day else last),
            "volume": i.quantity_text(day.volume if day else ZERO),
            "quoteVolume": f"{day.quote if day else ZERO:.8f}",
            "openTime": day.open_ms if day else now_ms,
            "closeTime": now_ms,
            "firstId": self.tape.trades[0].t if self.tape.trades else -1,
            "lastId": self.tape.trades[-1].t if self.tape.trades else -1,
            "count": day.count if day else 0,
        }
        if i.product != USDM:
            row |= {
                "prevClosePrice": price(opened),
                "bidPrice": bid[0],
                "bidQty": bid[1],
                "askPrice": ask[0],
                "askQty": ask[1],
            }
        return row

    def events(self, now_ms: int, kinds: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The once-a-second stream events of these kinds."""
        i, found = self.instrument, {}
        row = self.ticker(now_ms)
        mini = {
            "E": now_ms,
            "s": i.symbol,
            "c": row["lastPrice"],
            "o": row["openPrice"],
            "h": row["highPrice"],
            "l": row["lowPrice"],
            "v": row["volume"],
            "q": row["quoteVolume"],
        }
        if "miniTicker" in kinds:
            found["miniTicker"] = {"e": "24hrMiniTicker"} | mini
        if "ticker" in kinds:
            bid, ask = self.book.bids.best() or ("0", "0"), self.book.asks.best() or ("0", "0")
            found["ticker"] = (
                {"e": "24hrTicker"}
                | mini
                | {
                    "p": row["priceChange"],
                    "P": row["priceChangePercent"],
                    "w": row["weightedAvgPrice"],
                    "x": row["openPrice"],
                    "Q": row["lastQty"],
                    "b": bid[0],
                    "B": bid[1],
                    "a": ask[0],
                    "A": ask[1],
                    "O": row["openTime"],
                    "C": row["closeTime"],
                    "F": row["firstId"],
                    "L": row["lastId"],
                    "n": row["count"],
                }
            )
        mark = self.mark
        if "markPrice" in kinds and mark is not None:
            found["markPrice"] = {
                "e": "markPriceUpdate", "E": now_ms, "s": i.symbol, "p": f"{mark:.8f}", "i": f"{mark:.8f}",
                "P": f"{mark:.8f}", "r": "0.00000000", "T": now_ms - now_ms % 28_800_000 + 28_800_000,
            }  # fmt: skip
        if "kline_1m" in kinds and self.tape.candles:
            found["kline_1m"] = self._kline(self.tape.candles[-1], now_ms)
        return found

    def closed_candles(self, now_ms: int) -> list[dict[str, Any]]:
        """Kline events of the minutes that ended since the last call: a trade of a later minute ends one."""
        done = [c for c in list(self.tape.candles)[:-1] if c.open_ms > self._closed_minute] if self.tape.candles else []
        if done:
            self._closed_minute = done[-1].open_ms
        return [self._kline(candle, now_ms, closed=True) for candle in done]

    def _kline(self, candle: Candle, now_ms: int, *, closed: bool = False) -> dict[str, Any]:
        t, o, h, low, c, v, end, quote, n, bought, bought_quote, _ = self.candle_row(candle)
        inner = {
            "t": t, "T": end, "s": self.instrument.symbol, "i": "1m", "f": 0, "L": 0, "o": o, "c": c, "h": h, "l": low,
            "v": v, "n": n, "x": closed, "q": quote, "V": bought, "Q": bought_quote, "B": "0",
        }  # fmt: skip
        return {"e": "kline", "E": now_ms, "s": self.instrument.symbol, "k": inner}
