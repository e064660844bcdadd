"""The venue as one aiohttp application on 127.0.0.1: routes by the host in the path, owns all the parts.

Prefix mode: `http://127.0.0.1:PORT/<host>/<path>` is `https://<host>/<path>` of the real venue; the first segment says
which door is meant and is stripped. A host we do not simulate is refused, so nothing can be mistaken for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from actors.venues.simulator import generator, player, report
from actors.venues.simulator.account import Account
from actors.venues.simulator.accounts import Balance, Truth, Wallet
from actors.venues.simulator.control import Control
from actors.venues.simulator.engine import Engine
from actors.venues.simulator.faults import Faults, parse_plan
from actors.venues.simulator.generator import Generator
from actors.venues.simulator.instruments import SPOT, USDM
from actors.venues.simulator.listing import Listing, Print
from actors.venues.simulator.player import Player
from actors.venues.simulator.public import Public
from actors.venues.simulator.rest import Door
from actors.venues.simulator.streams import Connection, Hub, stream_key
from actors.venues.simulator.trading import Trading
from actors.venues.simulator.user_streams import UserStreams

log = logging.getLogger(__name__)

REST_HOSTS = {"api.binance.com": SPOT, "fapi.binance.com": USDM}
STREAM_HOSTS = {"stream.binance.com:9443": SPOT, "fstream.binance.com": USDM}
API_HOSTS = {"ws-api.binance.com:443": SPOT}
PRODUCTS_OF = REST_HOSTS | STREAM_HOSTS | API_HOSTS
DEFAULT_KEY, DEFAULT_SECRET = "sim-key", "sim-secret"
SECOND_S = 1.0
MAINTENANCE = "<html><body>503 The venue is parked for maintenance.</body></html>"
MAX_MESSAGE = 1 << 20


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a simulator runs. `port` 0 takes a free one; `data` plays recordings instead of the built-in market."""

    home: str
    host: str = "127.0.0.1"
    port: int = 0
    data: str = ""
    speed: float = 1.0  # of the player; 0 is as fast as readers read
    faults: str = ""  # "gap:10,dup:200,garble:50", over a recording
    seed: int = 7
    symbols: tuple[str, ...] = ("BTC", "ETH", "SOL")  # of the built-in market
    deposits: dict[str, str] = msgspec.field(default_factory=lambda: {"spot:USDT": "100000", "usdm:USDT": "100000"})
    keys: dict[str, str] = msgspec.field(
        default_factory=lambda: {DEFAULT_KEY: DEFAULT_SECRET}
    )  # API key → secret; each key is an account


class Server:
    """One simulator. `start` listens, `stop` ends it; everything in between happens on the calling event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.port = 0
        self.parked = False
        self.parked_products: set[str] = set()
        self.failed: BaseException | None = None  # what ended the market or the player, if something did
        self.on_failure: Callable[[], None] = lambda: None
        home = Path(settings.home)
        home.mkdir(parents=True, exist_ok=True)
        self.hub = Hub()
        self.faults = Faults(home / "faults.jsonl")
        self.listings: dict[tuple[str, str], Listing] = {}
        self.source: Player | Generator = self._open_source()
        self.records = Truth(home / "truth.jsonl")
        self.engine = Engine(self.records, self.listings, self._tell)
        self.hub.refuses = self._refuses
        self._deposit()
        self._users = UserStreams(self.hub, self.records, settings.keys)
        table = Public(self.listings, self.hub).table()
        table |= Trading(self.engine, self.listings).table() | Account(self.engine, self.listings).table()
        self._door = Door(table, settings.keys, self.faults)
        self._control = Control(self)
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> int:
        """Listen and let the market run; returns the port. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=MAX_MESSAGE)
        app.router.add_route("*", "/{tail:.*}", self._route)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        if isinstance(self.source, Generator):
            self.source.step()  # a book stands before the first client asks for it
        self._tasks = [self._watch(self.source.run()), self._watch(self._each_second())]
        log.info("simulator listens on http://%s:%d", self.settings.host, self.port)
        return self.port

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.hub.close(self.hub.connections.values())
        if self._runner is not None:
            await self._runner.cleanup()
        self.records.close()

    def state(self) -> dict[str, Any]:
        """What a person or a test asks: streams, frames, progress, faults."""
        frames: dict[str, dict[str, int]] = {}
        for (product, symbol, kind), count in self.hub.frames.items():
            frames.setdefault(self.listings[product, symbol].instrument.name, {})[kind] = count
        return {
            "schema": 1,
            "mode": "replay" if isinstance(self.source, Player) else "sim",
            "parked": self.parked,
            "failed": repr(self.failed) if self.failed else "",
            "instruments": [listing.instrument.name for listing in self.listings.values()],
            "connections": self.hub.state(),
            "frames": frames,
            "player": self.source.state(),
            "requests": dict(self._door.requests),
            "refused": {str(code): count for code, count in self._door.refused.items()},
            "faults": dict(self.faults.injected),
            "faults_ordered": [msgspec.structs.asdict(fault) for fault in self.faults.ordered],
            "fault_log": list(self.faults.log)[-100:],
        }

    def truth(self, account: str = "") -> dict[str, Any]:
        """What the venue holds of an account (default: the first key's). Raises KeyError for an unknown one."""
        account = account or next(iter(self.settings.keys))
        if account not in self.settings.keys:
            raise KeyError(f"no account {account!r}; there are {', '.join(self.settings.keys)}")
        return report.truth(self.engine, account)

    def book(self, product: str, symbol: str, levels: int) -> dict[str, Any]:
        """The true book. Raises KeyError for an instrument that is not listed."""
        listing = self.listings.get((product, symbol))
        if listing is None:
            raise KeyError(f"{product} {symbol} is not listed; listed are {[' '.join(key) for key in self.listings]}")
        snapshot = listing.book.snapshot(levels)
        return {
            "product": product,
            "symbol": symbol,
            "name": listing.instrument.name,
            "last_update_id": snapshot.lastUpdateId,
            "bids": snapshot.bids,
            "asks": snapshot.asks,
            "event_ms": snapshot.E,
        }

    def kill_listen_keys(self) -> int:
        return self._users.kill_listen_keys()

    async def park(self, parked: bool, product: str = "") -> None:
        """Maintenance: sockets are closed, new ones and all REST calls are refused until it is over. With a `product`
        only what belongs to that one; its user streams among them."""
        if product:
            (self.parked_products.add if parked else self.parked_products.discard)(product)
            self.faults.note("park" if parked else "unpark", product)
            if parked:
                await self.hub.close([one for one in self.hub.connections.values() if one.product == product])
            return
        self.parked = parked
        self.faults.note("park" if parked else "unpark", "")
        if parked:
            await self.hub.close(self.hub.connections.values())

    def _open_source(self) -> Player | Generator:
        settings = self.settings
        if settings.data:
            recordings = player.find(Path(settings.data))
            self.listings.update({r.key: player.list_instrument(r) for r in recordings})
            return Player(
                recordings,
                self.listings,
                self.hub,
                self.faults,
                speed=settings.speed,
                plan=parse_plan(settings.faults),
                seed=settings.seed,
                traded=self._traded,
                moved=self._moved,
            )
        if settings.faults:
            raise ValueError(f"a fault plan ({settings.faults}) needs a recording; order live faults at /_venue/fault")
        saved = Path(settings.home) / "market.pickle"
        market = generator.resume(saved, settings.seed, settings.symbols)
        self.listings.update({row.instrument.key: row for row in generator.list_instruments(market)})
        return Generator(
            market,
            self.listings,
            self.hub,
            self.faults,
            seed=settings.seed,
            bases=settings.symbols,
            saved=saved,
            traded=self._traded,
            moved=self._moved,
        )

    def _traded(self, listing: Listing, trade: Print, price: Decimal, quantity: Decimal) -> None:
        self.engine.traded(listing, trade, price, quantity)

    def _moved(self, listing: Listing) -> None:
        self.engine.moved(listing)

    def _refuses(self, kind: str, product: str) -> bool:
        """Is this fault ordered? It is used up and noted."""
        if not self.faults.ordered or self.faults.take((kind,), product) is None:
            return False
        self.faults.note(kind, product)
        return True

    def _tell(self, product: str, account: str, event: dict[str, Any]) -> None:
        """A user event on its way out, which a fault may lose or double."""
        if self._refuses("user_drop", product):
            return
        self.hub.user(product, account, event)
        if self._refuses("user_dup", product):
            self.hub.user(product, account, event)

    def _deposit(self) -> None:
        """Give every account that has nothing yet its starting money."""
        for account in self.settings.keys:
            if any(owner == account for owner, _ in (*self.records.balances, *self.records.wallets)):
                continue
            for place, amount in self.settings.deposits.items():
                product, _, asset = place.partition(":")
                if product not in (SPOT, USDM) or not asset:
                    raise ValueError(f"deposit {place!r}: want spot:ASSET or usdm:ASSET")
                if product == SPOT:
                    self.records.keep(Balance(account=account, asset=asset, free=Decimal(amount)))
                else:
                    self.records.keep(Wallet(account=account, asset=asset, amount=Decimal(amount)))
        self.records.commit(time.time_ns())

    async def _route(self, request: web.Request) -> web.StreamResponse:
        # the raw path: aiohttp would merge slashes and decode, and the signature is over raw bytes
        raw, _, query = request.raw_path.partition("?")
        host, _, rest = raw.lstrip("/").partition("/")
        path = "/" + rest
        if host == "_venue":
            return await self._control.handle(request, rest)
        if self.parked or (self.parked_products and PRODUCTS_OF.get(host) in self.parked_products):
            return web.Response(text=MAINTENANCE, status=503, content_type="text/html")
        if host in REST_HOSTS:
            return await self._door.handle(request, REST_HOSTS[host], path, query.encode())
        if host in STREAM_HOSTS:
            return await self._socket(request, STREAM_HOSTS[host], path)
        if host in API_HOSTS:
            return await self._serve_socket(request, API_HOSTS[host], path, lambda _: None, self._users.request)
        known = ", ".join((*REST_HOSTS, *STREAM_HOSTS, *API_HOSTS))
        return web.json_response({"code": -1000, "msg": f"host {host!r} is not simulated; known: {known}"}, status=404)

    async def _socket(self, request: web.Request, product: str, path: str) -> web.StreamResponse:
        """A stream connection: `/ws/…` bare, `/stream…` wrapped, `/private/ws?listenKey=` a user stream."""

        def greet(connection: Connection) -> None:
            if "/private" in path or "listenKey" in request.query:
                self._users.attach(connection, request.query.get("listenKey", ""))
            names = path.rpartition("/ws/")[2] if "/ws/" in path else request.query.get("streams", "")
            for name in filter(None, names.split("/")):
                if "@" in name:
                    self.hub.subscribe(connection, name, stream_key(product, name))

        return await self._serve_socket(request, product, path, greet, self.hub.request)

    async def _serve_socket(
        self,
        request: web.Request,
        product: str,
        path: str,
        greet: Callable[[Connection], None],
        hear: Callable[[Connection, str], None],
    ) -> web.StreamResponse:
        refusal = self.faults.take(("handshake",), product) if self.faults.ordered else None
        if refusal is not None:
            self.faults.note("handshake", product, detail=path)
            headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else None
            return web.Response(status=refusal.status or 503, headers=headers)
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        connection = self.hub.open(product, path, socket, wrapped=path.startswith("/stream"))
        connection.transport = request.transport
        writer = asyncio.create_task(connection.write())
        try:
            greet(connection)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    hear(connection, message.data)
        except ValueError as bad:  # an unknown stream named in the path
            log.warning("connection %d %s refused: %s", connection.number, path, bad)
        finally:
            self.hub.drop(connection)
            writer.cancel()
        return socket

    async def _each_second(self) -> None:
        kinds = ("miniTicker", "ticker", "markPrice", "kline_1m")
        while True:
            await asyncio.sleep(SECOND_S)
            self._users.expire()
            now_ms = time.time_ns() // 1_000_000
            for key, listing in self.listings.items():
                wanted = [kind for kind in kinds if self.hub.subscribed((*key, kind))]
                if "kline_1m" in wanted:
                    for event in listing.closed_candles(now_ms):
                        self.hub.publish((*key, "kline_1m"), msgspec.json.encode(event))
                if wanted:
                    for kind, event in listing.events(now_ms, wanted).items():
                        self.hub.publish((*key, kind), msgspec.json.encode(event))

    def _watch(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)

        def ended(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and done.exception() is not None:
                self.failed = done.exception()
                log.error("the simulator's market stopped: %r", self.failed, exc_info=self.failed)
                self.on_failure()

        task.add_done_callback(ended)
        return task
