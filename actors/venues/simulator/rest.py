"""The REST door: one table of endpoints, and what every call passes on its way: faults, key, clock, signature.

An endpoint is a function from a `Call` to a document; `public`, `trading` and `account` fill the table. Refusals are
`VenueError`s, turned into Binance's envelope here and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from actors.venues.simulator.errors import VenueError, missing
from actors.venues.simulator.faults import CALL_FAULTS, ORDER_FAULTS, Fault, Faults
from actors.venues.simulator.signing import check_clock, check_signature

log = logging.getLogger(__name__)

GATEWAY_TIMEOUT = "<html><body>504 Gateway Time-out</body></html>"


class Security(Enum):
    """What a call has to bring."""

    NONE = 0
    KEY = 1  # the key header only (listenKey)
    SIGNED = 2


class Call(NamedTuple):
    """One request: who, which parameters (query and form together), when."""

    product: str
    account: str  # API key, "" when public
    parameters: Mapping[str, str]
    now_ms: int

    def need(self, name: str) -> str:
        value = self.parameters.get(name, "")
        if not value:
            raise missing(name)
        return value

    def number(self, name: str, default: int) -> int:
        text = self.parameters.get(name, "")
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise _illegal(name) from None

    def decimal(self, name: str) -> Decimal:
        """A non-negative finite number; absent is 0."""
        text = self.parameters.get(name, "")
        if not text:
            return Decimal(0)
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise _illegal(name) from None
        if not number.is_finite() or number < 0:
            raise _illegal(name)
        return number

    def flag(self, name: str) -> bool:
        return self.parameters.get(name, "false").lower() == "true"

    def side(self) -> str:
        side = self.need("side").upper()
        if side not in ("BUY", "SELL"):
            raise VenueError(-1117, "Invalid side.")
        return side


class Endpoint(NamedTuple):
    answer: Callable[[Call], Any]
    security: Security = Security.NONE
    places_order: bool = False  # the orders that the reject, delay and timeout faults are about


Table = dict[tuple[str, str, str], Endpoint]  # (product, method, path)


class Door:
    """Handles every REST request of one product's host."""

    def __init__(self, table: Table, secrets: Mapping[str, str], faults: Faults) -> None:
        self.requests: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()  # by code
        self._table, self._secrets, self._faults = table, secrets, faults

    async def handle(self, request: web.Request, product: str, path: str, query: bytes) -> web.StreamResponse:
        endpoint = self._table.get((product, request.method, path))
        self.requests[f"{request.method} {path}"] += 1
        fault = self._faults.take(CALL_FAULTS, product, "", path) if self._faults.ordered else None
        if fault is not None:
            self._faults.note(fault.kind, product, detail=f"{fault.status} {path}")
            return _status(fault) if fault.kind == "status" else _as_is(fault)
        body = await request.read()
        raw = body if request.method in ("POST", "PUT") and body else query
        try:
            if endpoint is None:
                raise VenueError(-1000, f"The simulator has no {request.method} {path}.", 404)
            pairs = parse_qsl(query.decode(), keep_blank_values=True) + parse_qsl(body.decode(), keep_blank_values=True)
            parameters = dict(pairs)
            now_ms = time.time_ns() // 1_000_000
            account = self._check(endpoint.security, request.headers.get("X-MBX-APIKEY", ""), raw, parameters, now_ms)
            call = Call(product, account, parameters, now_ms)
            if endpoint.places_order and self._faults.ordered:
                return await self._faulty_order(request, endpoint, call, path)
            return _json(endpoint.answer(call))
        except UnicodeDecodeError:
            return self._refuse(VenueError(-1100, "Illegal characters found in a parameter."))
        except VenueError as refusal:
            return self._refuse(refusal)

    def _check(self, security: Security, key: str, raw: bytes, parameters: dict[str, str], now_ms: int) -> str:
        if security is Security.NONE:
            return ""
        if not key:
            raise VenueError(-2014, "API-key format invalid.", 401)
        secret = self._secrets.get(key)
        if secret is None:
            raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if security is Security.SIGNED:
            check_clock(parameters, now_ms)
            check_signature(raw, secret)
        return key

    async def _faulty_order(
        self, request: web.Request, endpoint: Endpoint, call: Call, path: str
    ) -> web.StreamResponse:
        """Reject, cut the answer, or delay or time out before or after the order is executed."""
        symbol = call.parameters.get("symbol", "")
        fault = self._faults.take(ORDER_FAULTS, call.product, symbol, path)
        if fault is None:
            return _json(endpoint.answer(call))
        client_id = call.parameters.get("newClientOrderId") or call.parameters.get("clientAlgoId", "")
        self._faults.note(fault.kind, call.product, symbol, detail=f"{fault.when} {client_id}".strip())
        if fault.kind == "reject":
            raise VenueError(fault.code or -2010, fault.text or "Order rejected by an injected fault.")
        if fault.when == "before":
            await asyncio.sleep(fault.seconds)
            return _timeout() if fault.kind == "timeout" else _json(endpoint.answer(call))
        try:
            answer = _json(endpoint.answer(call))
        except VenueError as refusal:
            answer = self._refuse(refusal)
        if fault.kind == "cut":
            return await _cut(request, answer)
        await asyncio.sleep(fault.seconds)
        return _timeout() if fault.kind == "timeout" else answer

    def _refuse(self, refusal: VenueError) -> web.Response:
        self.refused[refusal.code] += 1
        return _json({"code": refusal.code, "msg": refusal.text}, refusal.status)


def _illegal(parameter: str) -> VenueError:
    return VenueError(-1100, f"Illegal characters found in parameter '{parameter}'.")


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


async def _cut(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Promise the whole body, send half of it and drop the connection."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    response = web.StreamResponse(status=whole.status)
    response.content_type, response.content_length = "application/json", len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
    return response


def _as_is(fault: Fault) -> web.Response:
    return web.Response(text=fault.text, status=fault.status or 200, content_type="text/html")


def _timeout() -> web.Response:
    return web.Response(text=GATEWAY_TIMEOUT, status=504, content_type="text/html")


def _status(fault: Fault) -> web.Response:
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else None
    document = {"code": fault.code or -1003, "msg": fault.text or f"Injected status {fault.status}."}
    return web.Response(
        body=msgspec.json.encode(document), status=fault.status or 503, headers=headers, content_type="application/json"
    )
