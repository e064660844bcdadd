"""The public data port of one venue product: ccxt.pro's streams in, `BookFrame` and `LifeChanged` out.

Picture: watch loops only keep subscriptions alive. Every depth and trade frame is seen by the guard's hook right after
ccxt handled it; the hook counts it, asks `actors/rules/feed.py` what it means and posts one conflating `BookFrame` with
cumulative counts. Counters in the newest frame contain those of every frame it replaced, so nothing counted is lost.
A watchdog asks the rules four times a second what the clock alone has to say, and does it under one token bucket.

It publishes nothing, keeps no history, and believes neither ccxt's `last_message_at` nor its silence.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec

from actors.messages.market import FeedStatus
from actors.rules import feed as rules
from actors.rules.feed import DepthFrame, Life, Limits, Wish
from actors.venues import exchange as ccxt_room
from actors.venues.loop import LoopThread
from actors.venues.words import BookFrame, LifeChanged, PortFailed
from supervisor.message import Message
from supervisor.runtime.log import get_logger

LEVELS = 20
WATCH_S = 0.25  # the watchdog's period, and the longest wait of a watch loop nobody woke
YIELD_S = 0.01  # no error path may turn without giving the loop away
RETRY_CAP_S = 10.0
CLOSE_S = 2.0

log = get_logger(__name__)


class _Instrument:
    """What the port holds of one symbol. Touched by the port's thread only."""

    __slots__ = (
        "asks", "bids", "book_seq", "book_wanted", "bought", "event_ms", "joined", "life", "market_id", "sold",
        "symbol", "told", "trades_wanted",
    )  # fmt: skip

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.market_id = ""
        self.life = Life()
        self.told = -1  # `changes` of the last LifeChanged
        self.bids: tuple[tuple[float, float], ...] = ()
        self.asks: tuple[tuple[float, float], ...] = ()
        self.book_seq = 0
        self.event_ms = 0
        self.joined: list[int] = []  # last update ids of the deltas that ccxt applied since the last depth frame
        self.bought = 0.0
        self.sold = 0.0
        self.book_wanted = asyncio.Event()  # wakes the watch loop: the subscription needs a look
        self.trades_wanted = asyncio.Event()


class MarketPort:
    """One ccxt.pro instance in one thread. Opened by `open`, ended by `close`."""

    def __init__(
        self,
        post: Callable[[Message], None],
        *,
        venue: str,
        product: str,
        symbols: tuple[str, ...],
        url: str | None,
        limits: Limits,
    ) -> None:
        self._post, self.venue, self.product, self.url, self.limits = post, venue, product, url, limits
        self._instruments = [_Instrument(symbol) for symbol in symbols]
        self._by_id: dict[str, _Instrument] = {}
        self._homes: dict[tuple[str, str], _Instrument] = {}  # what a connection carried last
        self._bucket = rules.Bucket(size=20, per_s=4.0, tokens=20, at=time.monotonic())
        self._jitter = random.Random()
        self._exchange: Any = None
        self._guard: ccxt_room.Guard | None = None
        self._thread = LoopThread(f"market-{venue}", self._main, self._failed, self._unhandled)

    # --- asked by the actor ---

    def close(self) -> tuple[BookFrame, ...]:
        """End the thread and give the final frame of every instrument: the counts to the very last one."""
        if not self._thread.stop(CLOSE_S + 2.0):
            log.warning("market_port_close_late", venue=self.venue)
        return tuple(self._frame(ins) for ins in self._instruments)

    # --- the thread ---

    async def _main(self) -> None:
        exchange = self._exchange = ccxt_room.stream(self.product, self.url)
        self._guard = ccxt_room.Guard(exchange, seen=self._seen, malformed=self._malformed, closed=self._closed)
        ccxt_room.watch_deltas(exchange, self._joined)
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._load_markets()
            tasks = [asyncio.create_task(self._watchdog())]
            for ins in self._instruments:
                if ins.market_id:
                    tasks.append(asyncio.create_task(self._keep_book(ins)))
                    tasks.append(asyncio.create_task(self._keep_trades(ins)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._guard = None
            problem = await ccxt_room.quietly(exchange.close(), CLOSE_S)
            if problem:
                log.warning("exchange_close", venue=self.venue, problem=problem)

    async def _load_markets(self) -> None:
        attempt = 0
        while True:
            for ins in self._instruments:
                if ins.life.status is FeedStatus.DOWN:
                    self._move(ins, rules.connecting(ins.life, "loading the venue's instruments", time.monotonic()))
            try:
                markets = await self._exchange.load_markets()
                if markets:
                    break
                problem = "the venue lists no instruments"
            except Exception as error:  # noqa: BLE001 - any failure of a foreign library here means: venue away
                problem = ccxt_room.text_of(error)
            attempt += 1
            for ins in self._instruments:
                self._move(
                    ins, rules.down(ins.life, f"cannot load instruments (try {attempt}): {problem}", time.monotonic())
                )
            await asyncio.sleep(self._delay_s(attempt))
        for ins in self._instruments:
            market = markets.get(ins.symbol)
            if market is None:
                reason = (
                    f"{self.venue} lists no {ins.symbol} among its {len(markets)} instruments; check the configuration"
                )
                self._move(ins, rules.down(ins.life, reason, time.monotonic()))
                log.error("unknown_symbol", venue=self.venue, symbol=ins.symbol)
                continue
            ins.market_id = market["id"]
            self._by_id[ins.market_id] = ins

    async def _keep_book(self, ins: _Instrument) -> None:
        attempt = 0
        while True:
            waiting = ccxt_room.rejection(self._exchange, f"orderbook::{ins.symbol}")
            if waiting is not None and ins.life.status is FeedStatus.LIVE:
                self._move(ins, rules.broken(ins.life, ccxt_room.text_of(waiting), time.monotonic()))
            if f"orderbook::{ins.symbol}" not in self._subscriptions(ins) and ins.life.status is FeedStatus.GAP:
                await self._token()
                self._move(ins, rules.asked(rules.resyncing(ins.life), time.monotonic()))
            elif not self._subscriptions(ins):
                self._move(ins, rules.connecting(ins.life, ins.life.reason or "connecting", time.monotonic()))
            ins.book_wanted.clear()
            problem = await self._watch(self._exchange.watch_order_book(ins.symbol))
            if not problem:
                attempt = 0
                await self._woken(ins.book_wanted)
                continue
            if ins.life.status in (FeedStatus.LIVE, FeedStatus.GAP):
                # a gap that ccxt saw: it is noticed in the hook already; go straight to the new subscription
                if ins.life.status is FeedStatus.LIVE:
                    self._move(ins, rules.broken(ins.life, problem, time.monotonic()))
                await asyncio.sleep(YIELD_S)
                continue
            attempt += 1
            self._move(ins, rules.connecting(ins.life, problem, time.monotonic()))
            await asyncio.sleep(self._delay_s(attempt))

    async def _keep_trades(self, ins: _Instrument) -> None:
        attempt = 0
        while True:
            ins.trades_wanted.clear()
            ccxt_room.rejection(self._exchange, f"trade::{ins.symbol}")  # told by `_closed` already
            problem = await self._watch(self._exchange.watch_trades(ins.symbol))
            if not problem:
                attempt = 0
                await self._woken(ins.trades_wanted)
                continue
            attempt += 1
            log.info("trades_lost", venue=self.venue, symbol=ins.symbol, problem=problem)
            await asyncio.sleep(self._delay_s(attempt))

    async def _watch(self, watching: Any) -> str:
        """One watch call: "" when data came, else why not. ccxt's own close() cancels watchers: no stop of ours."""
        try:
            await watching
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return "connection closed"
        except Exception as error:  # noqa: BLE001 - whatever a foreign library raises here, the answer is to subscribe again
            return ccxt_room.text_of(error)
        return ""

    async def _woken(self, wanted: asyncio.Event) -> None:
        # between two looks the hook sees every frame; waking for each would cost more than handling it
        try:
            async with asyncio.timeout(WATCH_S):
                await wanted.wait()
        except TimeoutError:
            return

    def _delay_s(self, attempt: int) -> float:
        return self._jitter.uniform(0.02, min(RETRY_CAP_S, 0.25 * 2**attempt))

    async def _token(self) -> None:
        self._bucket, wait_s = self._bucket.take(time.monotonic())
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _watchdog(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            for ins in self._instruments:
                if not ins.market_id:
                    continue
                self._move(ins, rules.after_silence(ins.life, self.limits, now))
                asked = rules.wish(ins.life, self.limits, now)
                if asked is not Wish.NOTHING:
                    await self._token()
                    self._grant(ins, asked)

    def _grant(self, ins: _Instrument, asked: Wish) -> None:
        now = time.monotonic()
        reason = f"{asked}: {ins.life.reason}"
        log.info("feed_reset", venue=self.venue, symbol=ins.symbol, wish=str(asked), reason=ins.life.reason)
        self._move(ins, rules.asked(ins.life, now))
        if asked is Wish.RESYNC:
            self._forget_book(ins)
            return
        for client in self._clients(ins, "orderbook" if asked is Wish.RESET_BOOK else "trade"):
            ccxt_room.drop(client, reason)
        (ins.book_wanted if asked is Wish.RESET_BOOK else ins.trades_wanted).set()

    def _forget_book(self, ins: _Instrument) -> None:
        """What ccxt itself does after a checksum error: forget the book; the watch loop subscribes anew."""
        self._exchange.orderbooks.pop(ins.symbol, None)
        for client in self._clients(ins, "orderbook"):
            client.subscriptions.pop(f"orderbook::{ins.symbol}", None)
        ins.book_wanted.set()

    def _clients(self, ins: _Instrument, channel: str) -> list[Any]:
        name = f"{channel}::{ins.symbol}"
        clients = list((self._exchange.clients or {}).values())
        return [client for client in clients if name in client.subscriptions or name in client.futures]

    def _subscriptions(self, ins: _Instrument) -> set[str]:
        return {name for client in self._clients(ins, "orderbook") for name in client.subscriptions}

    # --- called by ccxt, in the port's thread ---

    def _seen(self, client: Any, message: Any) -> None:
        if not isinstance(message, dict):
            return
        kind = message.get("e")
        if kind == "depthUpdate":
            ins = self._by_id.get(message.get("s", ""))
            if ins is not None:
                self._homes[client.url, "orderbook"] = ins
                self._depth(ins, message)
        elif kind in ("trade", "aggTrade"):
            ins = self._by_id.get(message.get("s", ""))
            if ins is not None:
                self._homes[client.url, "trade"] = ins
                self._trade(ins, message)
        elif "id" in message and message.get("result", "") is None:
            for ins in self._of(client, "orderbook"):
                self._move(ins, rules.subscribed(ins.life, time.monotonic()))

    def _joined(self, market_id: str, last: int) -> None:
        ins = self._by_id.get(market_id)
        if ins is not None:
            ins.joined.append(last)

    def _depth(self, ins: _Instrument, message: dict[str, Any]) -> None:
        now = time.monotonic()
        last = int(message["u"])
        book = self._exchange.orderbooks.get(ins.symbol)
        applied = book is not None and book["nonce"] == last
        fault = ""
        if applied:
            bids, asks = book["bids"][:LEVELS], book["asks"][:LEVELS]
            fault = rules.fault_of(bids, asks)
            if not fault:
                ins.bids = tuple((level[0], level[1]) for level in bids)
                ins.asks = tuple((level[0], level[1]) for level in asks)
                ins.book_seq = last
        ins.event_ms = int(message["E"])
        previous = message.get("pu")
        joined, ins.joined = tuple(ins.joined), []
        frame = DepthFrame(int(message["U"]), last, None if previous is None else int(previous), applied, fault, joined)
        gaps = ins.life.gaps
        self._move(ins, rules.after_depth(ins.life, frame, now))
        if ins.life.gaps != gaps:
            log.info("feed_gap", venue=self.venue, symbol=ins.symbol, reason=ins.life.reason)
        if book is None:  # ccxt forgot it after a gap: the watch loop has to subscribe anew
            ins.book_wanted.set()
        self._post(self._frame(ins))

    def _trade(self, ins: _Instrument, message: dict[str, Any]) -> None:
        quantity, price = float(message["q"]), float(message["p"])
        if not (math.isfinite(quantity) and math.isfinite(price)):
            raise ValueError(f"trade of {message['q']} at {message['p']}")
        if price > 0 and message.get("X", "MARKET") == "MARKET":  # USD-M also reports insurance fund and ADL rows
            if message["m"]:
                ins.sold += quantity
            else:
                ins.bought += quantity
        ins.event_ms = int(message["E"])
        self._move(ins, rules.after_trade(ins.life, time.monotonic()))
        self._post(self._frame(ins))

    def _malformed(self, client: Any, why: str) -> None:
        now = time.monotonic()
        for ins in self._of(client, "orderbook"):
            self._move(ins, rules.after_garbage(ins.life, True, why, now))
            self._post(self._frame(ins))
        for ins in self._of(client, "trade"):
            self._move(ins, rules.after_garbage(ins.life, False, why, now))
            self._post(self._frame(ins))
        log.info("malformed_frame", venue=self.venue, url=client.url, problem=why[:120])

    def _closed(self, client: Any, why: str) -> None:
        now = time.monotonic()
        for ins in self._of(client, "orderbook"):
            ins.joined = []
            self._move(ins, rules.connecting(ins.life, why, now))
            ins.book_wanted.set()
        for ins in self._of(client, "trade"):
            ins.trades_wanted.set()

    def _of(self, client: Any, channel: str) -> list[_Instrument]:
        # after a gap ccxt has forgotten the subscription while the connection still speaks: then its past tells
        names = {*client.subscriptions, *client.futures}
        found = [ins for ins in self._instruments if f"{channel}::{ins.symbol}" in names]
        home = self._homes.get((client.url, channel))
        return found or ([home] if home is not None else [])

    def _unhandled(self, context: dict[str, Any]) -> None:
        if self._guard is not None and self._guard.unhandled(context):
            return
        log.info(
            "loop_exception",
            venue=self.venue,
            text=str(context.get("message"))[:200],
            error=repr(context.get("exception"))[:200],
        )

    def _failed(self, error: BaseException) -> None:
        self._post(PortFailed(text=f"the market port of {self.venue} ended: {ccxt_room.text_of(error)}"))

    # --- out ---

    def _move(self, ins: _Instrument, life: Life) -> None:
        ins.life = life
        if life.changes != ins.told:
            ins.told = life.changes
            self._post(
                LifeChanged(
                    venue=self.venue,
                    symbol=ins.symbol,
                    status=life.status,
                    reason=life.reason,
                    changes=life.changes,
                    book_at=life.book_at,
                )
            )

    def _frame(self, ins: _Instrument) -> BookFrame:
        life = ins.life
        return BookFrame(
            venue=self.venue,
            symbol=ins.symbol,
            status=life.status,
            changes=life.changes,
            frames=life.frames,
            deltas=life.deltas,
            gaps=life.gaps,
            resyncs=life.resyncs,
            malformed=life.malformed,
            bought=ins.bought,
            sold=ins.sold,
            bids=ins.bids,
            asks=ins.asks,
            book_seq=ins.book_seq,
            event_ms=ins.event_ms,
            book_at=life.book_at,
        )


def open(
    post: Callable[[Message], None],
    *,
    venue: str,
    product: str,
    symbols: tuple[str, ...] | list[str],
    url: str | None = None,
    limits: dict[str, float] | None = None,
) -> MarketPort:
    """Open the port: the thread starts at once and connects. `limits` overrides fields of `rules.feed.Limits`.

    Raises:
        BadVenue: unknown product, or a local url that is none.
    """
    known = msgspec.convert(limits or {}, Limits)
    if product not in ccxt_room.CLASS_OF_PRODUCT:
        raise ccxt_room.BadVenue(
            f"feed:{venue}: product is {product!r}; known are {', '.join(ccxt_room.CLASS_OF_PRODUCT)}"
        )
    return MarketPort(post, venue=venue, product=product, symbols=tuple(symbols), url=url, limits=known)
