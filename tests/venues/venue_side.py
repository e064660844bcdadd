"""A simulator on a thread of its own, and unmodified ccxt pointed at it in prefix mode."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import ccxt.pro

from actors.venues.simulator.server import Server, Settings

TRIM = {"fetchCurrencies": False, "fetchMargins": False, "warnOnFetchOpenOrdersWithoutSymbol": False}


def localize(urls: Any, port: int) -> Any:
    """Prefix mode: every URL leaf `https://HOST/PATH` becomes `http://127.0.0.1:PORT/HOST/PATH`, wss likewise."""
    if isinstance(urls, dict):
        return {key: localize(value, port) for key, value in urls.items()}
    scheme, _, rest = urls.partition("://")
    return f"{'ws' if scheme.startswith('ws') else 'http'}://127.0.0.1:{port}/{rest}"


def client(product: str, port: int, *, key: str = "sim-key", secret: str = "sim-secret") -> Any:
    """ccxt.pro of one product; close it with `await ex.close()`."""
    kind = ccxt.pro.binance if product == "spot" else ccxt.pro.binanceusdm
    options: dict[str, Any] = dict(TRIM)
    if product == "spot":
        options["fetchMarkets"] = {"types": ["spot"]}
    exchange = kind({"apiKey": key, "secret": secret, "enableRateLimit": False, "options": options})
    exchange.urls["api"] = localize(exchange.urls["api"], port)
    return exchange


class Running:
    """A simulator in its own thread and loop; `stop` is orderly, `kill` leaves what a crash leaves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loop = asyncio.new_event_loop()
        self.server = Server(settings)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.port: int = self.call(self.server.start())

    def call(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(20)

    def do(self, function: Callable[[], Any]) -> Any:
        async def inside() -> Any:
            return function()

        return self.call(inside())

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_venue/{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, control: str, **document: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}/_venue/{control}"
        request = urllib.request.Request(url, json.dumps(document).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self.call(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


async def until(question: Callable[[], Any], what: str, deadline_s: float = 20.0) -> Any:
    """Wait for an answer that is true; fail with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {deadline_s} s: {what}")
