"""The only door to ccxt: exchanges are built here, pointed somewhere here, and distrusted here.

Picture: unmodified ccxt on one side, our ports on the other. `stream`, `signed` and `plain` build instances with the
trimmed profile (one request to load markets, short keep-alive, never a retry of its own). With a base URL the instance
is *localised*: every URL it knows is moved under `http://127.0.0.1:PORT/<old host>/…`, so it cannot reach a real venue
even by a forgotten leaf; without one it talks to production. Going live is leaving the URL away, nothing else.

What it does not do: decide anything about books or orders. `actors/rules` decides, the ports act.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from actors.venues import lean

lean.enter()
import ccxt  # noqa: E402  (only the two exchanges we use, see lean.py)

Exchange = Any  # ccxt is untyped; everything that leaves this room has been checked by its port

CLASS_OF_PRODUCT = {"spot": "binance", "usdm": "binanceusdm"}
LOOPBACK = "127.0.0.1"
KEEP_ALIVE_MS = 5_000
REST_TIMEOUT_MS = 5_000
RECEIVE_WINDOW_MS = 5_000  # how long a request may travel; `rules.orders.PROOF_AFTER_S` is just above it
LOCAL_RATE_LIMIT_MS = 1


class BadVenue(ValueError):
    """A venue setting that cannot be used. The text names the setting, its value and the rule."""

    retryable = False  # the supervisor parks such at once: another try reads the same setting


def stream(product: str, url: str | None) -> Exchange:
    """A public `ccxt.pro` instance for one product ("spot", "usdm"). Needs a running event loop to be used."""
    import ccxt.pro  # not at the top: the emergency stop has no use for it

    return _build(ccxt.pro, product, url, {})


def signed(product: str, url: str | None, key: str, secret: str) -> Exchange:
    """A private `ccxt.pro` instance. One per API key and process."""
    import ccxt.pro

    return _build(ccxt.pro, product, url, {"apiKey": key, "secret": secret})


def plain(product: str, url: str | None, key: str, secret: str) -> Exchange:
    """A synchronous private instance: the emergency stop's own connection."""
    return _build(ccxt, product, url, {"apiKey": key, "secret": secret})


def _build(package: Any, product: str, url: str | None, keys: dict[str, str]) -> Exchange:
    if product not in CLASS_OF_PRODUCT:
        raise BadVenue(f"product is {product!r}; known are {', '.join(sorted(CLASS_OF_PRODUCT))}")
    options: dict[str, Any] = {
        # the three extra downloads of load_markets need keys or are never used
        "fetchCurrencies": False,
        "fetchMargins": False,
        "fetchMarkets": {"types": ["spot"] if product == "spot" else ["linear"]},
        "maxRetriesOnFailure": 0,  # it would repeat orders, too
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        "recvWindow": RECEIVE_WINDOW_MS,
    }
    settings: dict[str, Any] = {
        **keys,
        "timeout": REST_TIMEOUT_MS,
        "enableRateLimit": True,
        "options": options,
        "streaming": {"keepAlive": KEEP_ALIVE_MS, "maxPingPongMisses": 2},
    }
    if url is not None:
        # a simulator has weights of its own; a resync must not wait a second in the client's limiter
        settings["rateLimit"] = LOCAL_RATE_LIMIT_MS
        # a localised instance speaks plain HTTP only; without this ccxt loads a certificate store, 12 MB a process
        settings["verify"] = False
        options["ws"] = {"cost": 1}
    exchange = getattr(package, CLASS_OF_PRODUCT[product])(settings)
    if url is not None:
        localise(exchange, url)
    promote_errors(exchange, product)
    return exchange


def localise(exchange: Exchange, base_url: str) -> None:
    """Move every URL of this instance under `base_url`: `https://HOST/PATH` becomes `http://127.0.0.1:PORT/HOST/PATH`.

    The old host stays visible in the path because ccxt's own heuristics look for it and the venue dispatches on it.

    Raises:
        BadVenue: `base_url` is not `http://127.0.0.1:PORT`, or a leaf would still name another host afterwards.
    """
    base = urlsplit(base_url)
    if base.scheme != "http" or base.hostname != LOOPBACK or base.port is None or base.path.strip("/"):
        raise BadVenue(f"venue url is {base_url!r}; a local venue must read http://{LOOPBACK}:PORT")
    netloc = f"{LOOPBACK}:{base.port}"
    exchange.urls = _moved(exchange.urls, netloc)
    for leaf in leaves(exchange.urls):
        if urlsplit(leaf).hostname != LOOPBACK:
            raise BadVenue(f"{exchange.id}: {leaf} would still leave this machine; localise does not understand it")


def _moved(node: Any, netloc: str) -> Any:
    if isinstance(node, dict):
        return {name: _moved(item, netloc) for name, item in node.items()}
    if isinstance(node, (list, tuple)):
        return [_moved(item, netloc) for item in node]
    if isinstance(node, str) and "://" in node:
        scheme, rest = node.split("://", 1)
        if rest.startswith(f"{netloc}/"):
            return node
        return f"{'ws' if scheme in ('ws', 'wss') else 'http'}://{netloc}/{rest}"
    return node


def leaves(node: Any) -> list[str]:
    """Every URL in ccxt's nested `urls`, as text."""
    if isinstance(node, dict):
        return [leaf for item in node.values() for leaf in leaves(item)]
    if isinstance(node, (list, tuple)):
        return [leaf for item in node for leaf in leaves(item)]
    return [node] if isinstance(node, str) and "://" in node else []


def promote_errors(exchange: Exchange, product: str) -> None:
    """Binance picks its error table by the URL's prefix, which a localised URL has not: put the product's table first.

    Without it USD-M -2019 (margin is insufficient) is a plain ExchangeError, which means "unknown", not "rejected".
    """
    table = exchange.exceptions.get("spot" if product == "spot" else "linear", {})
    exchange.exceptions = {
        **exchange.exceptions,
        "exact": {**exchange.exceptions.get("exact", {}), **table.get("exact", {})},
        "broad": {**exchange.exceptions.get("broad", {}), **table.get("broad", {})},
    }


def names_of(error: BaseException) -> tuple[str, ...]:
    """Class names of an error, most special first: how rules read an exception without knowing ccxt."""
    return tuple(kind.__name__ for kind in type(error).__mro__ if kind not in (object, BaseException))


def text_of(error: BaseException) -> str:
    """One line of at most 300 characters: class and message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def lost(reason: str) -> Exception:
    """The error that makes ccxt drop a connection and dial anew: `client.on_error(lost("…"))`."""
    return ccxt.NetworkError(reason)  # type: ignore[no-any-return]


def refused(reason: str) -> Exception:
    """An order that this side refuses before the wire, in ccxt's words: rejected for sure."""
    return ccxt.InvalidOrder(reason)  # type: ignore[no-any-return]


def drop(client: Any, reason: str) -> None:
    """Reset one websocket client: pending watchers get the error at once, the next watch dials anew."""
    client.on_error(lost(reason))


def rejection(exchange: Exchange, name: str) -> BaseException | None:
    """Take the error that waits for the next watcher of `name` out of ccxt, if there is one.

    An error that meets no pending watcher is kept, given to the next one, and its failed future then stays in the
    table: without this, every further watch fails at once with the same old error, in a loop that never yields.
    """
    found: BaseException | None = None
    for client in list((exchange.clients or {}).values()):
        found = client.rejections.pop(name, None) or found
        future = client.futures.get(name)
        if future is not None and future.done():
            del client.futures[name]
            if not future.cancelled():
                found = future.exception() or found
    return found


def watch_deltas(exchange: Exchange, applied: Callable[[str, int], None]) -> None:
    """Be told (market id, last update id) of every depth delta at the moment ccxt applies it to its book.

    What a frame's arrival cannot show: deltas buffered before the snapshot are applied later and several at once, and
    one that the snapshot already contains is dropped while the book's id is equal to its own.
    """
    apply = exchange.handle_order_book_message

    def counted(client: Any, message: Any, orderbook: Any) -> Any:
        done = apply(client, message, orderbook)
        applied(message["s"], int(message["u"]))
        return done

    exchange.handle_order_book_message = counted


# --- the guard around ccxt's receive loop ---------------------------------------------------------------------------

FrameSeen = Callable[[Any, Any], None]
Malformed = Callable[[Any, str], None]
Closed = Callable[[Any, str], None]


class Guard:
    """Stands between ccxt's websocket clients and ccxt, on one instance, before its first watch.

    A malformed frame kills ccxt's receive loop silently: the socket stays open and nothing comes any more. Here it is
    caught in front of the loop and told to `malformed(client, why)`; every frame that ccxt has handled is shown to
    `seen(client, message)`; every lost connection to `closed(client, why)`. `unhandled` is the second line, for the
    loop's exception handler: whatever still reaches it naming the receive loop means a dead loop, and resets.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        seen: FrameSeen,
        malformed: Malformed,
        closed: Closed,
        connected: Callable[[Any], None] = lambda _client: None,
    ) -> None:
        self.exchange = exchange
        self._seen, self._malformed, self._closed = seen, malformed, closed
        self._handle = exchange.handle_message
        self._client, self._on_error, self._on_close = exchange.client, exchange.on_error, exchange.on_close
        exchange.handle_message = self._on_message
        exchange.client = self._guarded_client
        exchange.on_error = self._error
        exchange.on_close = self._close
        self._on_connected, self._connected = exchange.on_connected, connected
        exchange.on_connected = self._open

    def _guarded_client(self, url: str) -> Any:
        known = url in (self.exchange.clients or {})
        client = self._client(url)
        if not known:
            decode = client.handle_text_or_binary_message

            def guarded(data: Any) -> None:
                try:
                    decode(data)
                except Exception as error:  # noqa: BLE001 - anything a foreign frame can provoke; it is counted and told
                    self._malformed(client, text_of(error))

            client.handle_text_or_binary_message = guarded
        return client

    def _on_message(self, client: Any, message: Any) -> None:
        if not isinstance(message, (dict, list)):
            raise TypeError(f"frame is no JSON document: {str(message)[:60]!r}")
        self._handle(client, message)
        self._seen(client, message)

    def _error(self, client: Any, error: Any) -> None:
        self._on_error(client, error)
        self._closed(client, text_of(error) if isinstance(error, BaseException) else str(error))

    def _close(self, client: Any, code: Any) -> None:
        self._on_close(client, code)
        self._closed(client, f"closed by the venue with code {code}")

    def _open(self, client: Any, *arguments: Any) -> None:
        self._on_connected(client, *arguments)
        self._connected(client)

    def unhandled(self, context: dict[str, Any]) -> bool:
        """From the loop's exception handler: True when a receive loop died and its clients were reset."""
        if "receive_loop" not in f"{context.get('message', '')}{context.get('handle', '')}":
            return False
        for client in list((self.exchange.clients or {}).values()):
            self._malformed(client, f"receive loop died: {context.get('exception')!r}"[:200])
            drop(client, "receive loop died on a malformed frame")
        return True


async def quietly(awaitable: Awaitable[Any], timeout_s: float) -> str:
    """Await the end of something foreign for at most `timeout_s`; "" or what went wrong. For `close()`, which may hang.

    Raises `CancelledError` only when this task itself was cancelled: ccxt's `close()` throws it at waiting watchers.
    """
    try:
        await asyncio.wait_for(awaitable, timeout_s)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return "cancelled by the client's own close"
    except Exception as error:  # noqa: BLE001 - closing must not fail the closer; the caller gets the text
        return text_of(error)
    return ""
