"""The websockets: who is connected, what each one subscribed to, and the bounded way out of the house.

Every connection has one outgoing queue and one task that empties it, so nobody's slow reading stops the market. The
live market drops a connection whose queue is full, as the venue does; the player waits for room instead (`room`), so a
replay at full speed loses nothing. The acknowledgement of SUBSCRIBE always leaves before the first data of the stream.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

log = logging.getLogger(__name__)

QUEUE_LIMIT = 20_000  # frames of one connection; beyond it the connection is dropped
ROOM_BELOW = 256  # frames: the player waits while a queue is longer
SLOW_AFTER_S = 10.0  # a reader that takes nothing for this long while the player waits is dropped
STREAM_KINDS = ("depth", "trade", "aggTrade", "bookTicker", "miniTicker", "ticker", "markPrice", "kline_1m")

StreamKey = tuple[str, str, str]  # product, venue symbol, kind


class Connection:
    """One websocket of a client. `label` is what a person sees in the state."""

    def __init__(self, number: int, product: str, path: str, socket: web.WebSocketResponse, *, wrapped: bool) -> None:
        self.number = number
        self.product = product
        self.path = path
        self.socket = socket
        self.wrapped = wrapped
        self.streams: dict[str, StreamKey] = {}
        self.account = ""  # API key, on a user stream
        self.listen_key = ""
        self.subscription_id: int | None = None  # on the spot WebSocket API
        self.sent = 0
        self.transport: asyncio.BaseTransport | None = None
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._closed = False

    @property
    def backlog(self) -> int:
        return 0 if self._closed else len(self._queue)

    def push(self, frame: bytes) -> None:
        """Queue one text frame; a full queue drops the connection, never the frame alone."""
        if self._closed:
            return
        if len(self._queue) >= QUEUE_LIMIT:
            log.warning("connection %d %s: %d frames unread, dropped as too slow", self.number, self.path, QUEUE_LIMIT)
            self.abort()
            return
        self._queue.append(frame)
        self._wake.set()
        if len(self._queue) > ROOM_BELOW:
            self._space.clear()

    def push_json(self, document: Any) -> None:
        self.push(msgspec.json.encode(document))

    async def room(self) -> None:
        """Wait until the queue is short; drop a reader that takes nothing for `SLOW_AFTER_S`."""
        while not self._closed and not self._space.is_set():
            before = self.sent
            try:
                await asyncio.wait_for(self._space.wait(), SLOW_AFTER_S)
            except TimeoutError:
                if self.sent == before:
                    log.warning(
                        "connection %d %s reads nothing for %.0f s, dropped", self.number, self.path, SLOW_AFTER_S
                    )
                    self.abort()

    async def write(self) -> None:
        """Empty the queue for ever; ends when the socket does."""
        try:
            while not self._closed:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await self.socket.send_frame(self._queue[0], WSMsgType.TEXT)
                    self._queue.popleft()  # after the send: an empty queue means that all of it is on the wire
                    self.sent += 1
                    if len(self._queue) <= ROOM_BELOW // 2:
                        self._space.set()
        except (ConnectionError, RuntimeError) as gone:  # aiohttp raises both for a socket that closed under us
            log.info("connection %d %s is gone: %s", self.number, self.path, gone)
        finally:
            self.closed()

    def closed(self) -> None:
        self._closed = True
        self._queue.clear()
        self._space.set()
        self._wake.set()

    def abort(self) -> None:
        """Cut TCP without a close frame."""
        self.closed()
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def close(self, code: int) -> None:
        self.closed()
        await self.socket.close(code=code, message=b"")


class Stall:
    """Data of matching connections is withheld until `until` (monotonic); pings and answers go on."""

    def __init__(self, product: str | None, kind: str | None, until: float) -> None:
        self.product, self.kind, self.until = product, kind, until


class Hub:
    """All connections, and the index from stream to subscribers."""

    def __init__(self) -> None:
        self.connections: dict[int, Connection] = {}
        self.frames: Counter[StreamKey] = Counter()  # data frames put on the wire
        self.acknowledged: dict[StreamKey, float] = {}  # first acknowledgement, monotonic
        self.last_ack = 0.0
        self.stalls: list[Stall] = []
        self.refuses: Callable[[str, str], bool] = lambda _kind, _product: False  # asks for an ordered fault
        self._subscribers: dict[StreamKey, list[tuple[Connection, bytes]]] = {}
        self._numbers = itertools.count(1)

    def open(self, product: str, path: str, socket: web.WebSocketResponse, *, wrapped: bool) -> Connection:
        connection = Connection(next(self._numbers), product, path, socket, wrapped=wrapped)
        self.connections[connection.number] = connection
        return connection

    def drop(self, connection: Connection) -> None:
        connection.closed()
        for name in list(connection.streams):
            self._remove(connection, name)
        self.connections.pop(connection.number, None)

    def subscribed(self, key: StreamKey) -> bool:
        return bool(self._subscribers.get(key))

    def publish(self, key: StreamKey, data: bytes, *, count: bool = True) -> int:
        """Send the data text to everybody on this stream, bare or wrapped as the connection wants it."""
        sent = 0
        for connection, name in self._subscribers.get(key, ()):
            if self.stalls and self._stalled(connection, key[2]):
                continue
            connection.push(b'{"stream":"%b","data":%b}' % (name, data) if connection.wrapped else data)
            sent += 1
        if count:
            self.frames[key] += sent
        return sent

    def request(self, connection: Connection, text: str) -> None:
        """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS: acknowledged in order, repeats accepted."""
        try:
            message = msgspec.json.decode(text)
            method, names, number = message["method"], message.get("params") or [], message.get("id")
            keys = [(str(name), stream_key(connection.product, str(name))) for name in names]
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError) as bad:
            connection.push_json({"error": {"code": 2, "msg": f"Invalid request: {bad}"}, "id": None})
            return
        if method == "LIST_SUBSCRIPTIONS":
            connection.push_json({"result": sorted(connection.streams), "id": number})
            return
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            connection.push_json(
                {"error": {"code": 2, "msg": f"Invalid request: unknown method {method}"}, "id": number}
            )
            return
        if method == "SUBSCRIBE" and self.refuses("no_ack", connection.product):
            return
        connection.push_json({"result": None, "id": number})
        for name, key in keys:
            if method == "SUBSCRIBE":
                self.subscribe(connection, name, key)
            else:
                self._remove(connection, name)

    def subscribe(self, connection: Connection, name: str, key: StreamKey) -> None:
        if name not in connection.streams:
            connection.streams[name] = key
            self._subscribers.setdefault(key, []).append((connection, name.encode()))
        self.last_ack = time.monotonic()
        self.acknowledged.setdefault(key, self.last_ack)

    def user(self, product: str, account: str, event: dict[str, Any]) -> None:
        """One user event to all user streams of this account."""
        for connection in list(self.connections.values()):
            if connection.account != account or connection.product != product:
                continue
            if self.stalls and self._stalled(connection, "user"):
                continue
            wrapped = connection.subscription_id is not None
            connection.push_json({"subscriptionId": connection.subscription_id, "event": event} if wrapped else event)

    async def room(self) -> None:
        """Back-pressure: wait for every connection whose queue is long."""
        for connection in list(self.connections.values()):
            if connection.backlog > ROOM_BELOW:
                await connection.room()

    async def drained(self, deadline_s: float) -> bool:
        """True once every queue is empty, False after the deadline."""
        until = time.monotonic() + deadline_s
        while any(connection.backlog for connection in self.connections.values()):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.01)
        return True

    async def close(self, connections: Iterable[Connection], code: int = WSCloseCode.GOING_AWAY) -> int:
        chosen = list(connections)
        await asyncio.gather(*(connection.close(code) for connection in chosen), return_exceptions=True)
        return len(chosen)

    def state(self) -> list[dict[str, Any]]:
        return [
            {
                "connection": c.number,
                "product": c.product,
                "path": c.path,
                "streams": sorted(c.streams),
                "user": bool(c.account),
                "sent": c.sent,
                "queued": c.backlog,
            }
            for c in self.connections.values()
        ]

    def _remove(self, connection: Connection, name: str) -> None:
        key = connection.streams.pop(name, None)
        if key is not None:
            left = [entry for entry in self._subscribers.get(key, ()) if entry != (connection, name.encode())]
            self._subscribers[key] = left

    def _stalled(self, connection: Connection, kind: str) -> bool:
        now = time.monotonic()
        self.stalls = [stall for stall in self.stalls if stall.until > now]
        return any(s.product in (None, connection.product) and s.kind in (None, kind) for s in self.stalls)


def stream_key(product: str, name: str) -> StreamKey:
    """`btcusdt@depth@100ms` → ("spot", "BTCUSDT", "depth"): the speed suffix is the client's wish, not another stream.

    Raises ValueError for a stream this venue does not have.
    """
    symbol, _, rest = name.partition("@")
    kind = rest.partition("@")[0]
    if not symbol or kind not in STREAM_KINDS:
        raise ValueError(f"stream {name!r} is not offered here; kinds are {', '.join(STREAM_KINDS)}")
    return (product, symbol.upper(), kind)
