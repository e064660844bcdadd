"""The judge's own door, `/_venue/…`: truth, state and book to read; faults and parking to order.

It is no part of the simulated venue and needs no key: it listens on the same 127.0.0.1 port.

`POST /_venue/fault {"kind": …}`; every field but `kind` is optional, `product` (spot, usdm), `symbol`, `path` and
`stream` (a part of a stream's name, or "user") narrow it down, `count` repeats it:

    gap, dup, garble            the next `count` depth deltas are lost, sent twice, cut so that they are no JSON
    user_drop, user_dup         the next user events are lost, sent twice
    no_ack                      the next SUBSCRIBE is neither acknowledged nor done
    handshake                   the next websocket handshake is refused with `status` (503) and `retry_after`
    close, abort                now: matching sockets get a close frame with `code` (1001), or their TCP is cut
    stall                       now: data is withheld for `seconds` (10), pings and answers go on
    kill_listen_key             now: all listen keys die
    terminate_user_stream       now: spot user streams end with eventStreamTerminated
    reject                      the next new order is refused with `code` (-2010) and `text`
    delay, timeout              the next new order waits `seconds` before or after (`when`) it is executed; timeout
                                answers 504 then, delay answers properly
    cut                         the next new order is executed, its answer breaks off half-way
    status                      the next call (`path`) is answered `status` with `code`, `text` and `retry_after`
    answer                      the next call is answered `status` (200) with `text` as it is: HTML, nothing, half JSON
    clear                       forget what is ordered and end all stalls
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from actors.venues.simulator.faults import KINDS, NOW_FAULTS, Fault, Faults
from actors.venues.simulator.instruments import SPOT, USDM
from actors.venues.simulator.streams import Connection, Hub, Stall

log = logging.getLogger(__name__)

_FIELDS = (
    "kind",
    "count",
    "product",
    "symbol",
    "path",
    "when",
    "seconds",
    "code",
    "text",
    "status",
    "retry_after",
    "stream",
)


class Venue(Protocol):
    """What the control door may touch."""

    hub: Hub
    faults: Faults
    parked: bool

    def state(self) -> dict[str, Any]: ...
    def truth(self, account: str = "") -> dict[str, Any]: ...
    def book(self, product: str, symbol: str, levels: int) -> dict[str, Any]: ...
    def kill_listen_keys(self) -> int: ...
    async def park(self, parked: bool, product: str = "") -> None: ...


class Control:
    """Handles `/_venue/…` requests."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    async def handle(self, request: web.Request, path: str) -> web.StreamResponse:
        answers: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "state"): self._venue.state,
            ("GET", "truth"): lambda: self._venue.truth(request.query.get("account", "")),
            ("GET", "faults"): lambda: list(self._venue.faults.log),
            ("GET", "book"): lambda: self._book(request),
        }
        try:
            if (request.method, path) in answers:
                return _json(answers[request.method, path]())
            if request.method == "POST" and path == "fault":
                return _json({"ok": True, "injected": await self._fault(await _document(request))})
            if request.method == "POST" and path == "park":
                order = await _document(request)
                parked, product = bool(order.get("parked", True)), str(order.get("product", ""))
                if product not in ("", SPOT, USDM):
                    raise ValueError(f"product {product!r} is unknown; known are {SPOT}, {USDM}")
                await self._venue.park(parked, product)
                return _json({"ok": True, "parked": parked, "product": product})
        except (ValueError, KeyError, TypeError, msgspec.MsgspecError) as bad:
            return _json({"ok": False, "text": str(bad)}, 400)
        return _json(
            {"ok": False, "text": f"no {request.method} /_venue/{path}: state, truth, book, faults, fault, park"}, 404
        )

    def _book(self, request: web.Request) -> dict[str, Any]:
        query = request.query
        levels = int(query.get("levels", "20"))
        return self._venue.book(query["product"], query["symbol"].upper(), levels)

    async def _fault(self, order: dict[str, Any]) -> int:
        """Order or do a fault; returns on how many connections or keys it acted (0: it waits for its occasion)."""
        kind = order.get("kind", "")
        if kind not in KINDS:
            raise ValueError(f"fault kind {kind!r} is unknown; known are {', '.join(KINDS)}")
        unknown = sorted(set(order) - set(_FIELDS))
        if unknown:
            raise ValueError(f"fault {kind}: unknown fields {', '.join(unknown)}; known are {', '.join(_FIELDS)}")
        if order.get("when", "after") not in ("before", "after"):
            raise ValueError(f"fault {kind}: when is {order['when']!r}, want before or after")
        log.warning("fault ordered: %s", order)
        if kind in NOW_FAULTS:
            return await self._now(kind, order)
        fields = {k: v for k, v in order.items() if k not in ("count", "stream")}
        fields["symbol"] = str(fields.get("symbol", "")).upper()
        self._venue.faults.order(msgspec.convert(fields | {"left": order.get("count", 1)}, Fault))
        return 0

    async def _now(self, kind: str, order: dict[str, Any]) -> int:
        hub, faults, product = self._venue.hub, self._venue.faults, str(order.get("product", ""))
        chosen = [c for c in hub.connections.values() if _matches(c, product, str(order.get("stream", "")))]
        if kind == "clear":
            faults.clear()
            hub.stalls.clear()
            return 0
        if kind == "kill_listen_key":
            killed = self._venue.kill_listen_keys()
            faults.note(kind, "usdm", detail=f"{killed} keys")
            return killed
        if kind == "stall":
            seconds = float(order.get("seconds", 10.0))
            hub.stalls.append(Stall(product or None, order.get("stream") or None, time.monotonic() + seconds))
        elif kind == "close":
            await hub.close(chosen, int(order.get("code") or 1001))
        elif kind == "abort":
            for connection in chosen:
                connection.abort()
        else:  # terminate_user_stream: the event that ccxt wakes nobody for
            chosen = [c for c in chosen if c.account and c.subscription_id is not None]
            for connection in chosen:
                event = {"e": "eventStreamTerminated", "E": time.time_ns() // 1_000_000}
                connection.push_json({"subscriptionId": connection.subscription_id, "event": event})
                connection.account = ""
        faults.note(kind, product, detail=f"{len(chosen)} connections")
        return len(chosen)


def _matches(connection: Connection, product: str, stream: str) -> bool:
    """By product, and by a part of a subscribed stream's name or "user" for user streams."""
    if product and connection.product != product:
        return False
    if stream == "user":
        return bool(connection.account)
    return not stream or any(stream in name for name in connection.streams)


async def _document(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    document = msgspec.json.decode(body) if body else {}
    if not isinstance(document, dict):
        raise TypeError(f"want a JSON object, got {type(document).__name__}")
    return document


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
