"""The private port of one account: orders and questions go out, the venue's answers and stream come back as words.

Picture: one signed ccxt.pro instance in one thread. `submit`, `cancel`, `find` and `reconcile` start a request each and
return at once; every one of them ends in exactly one word, whatever happens. The user stream is read raw, in the
guard's hook: ccxt's own order cache applies late and repeated events, so it only keeps the subscription alive.

It decides nothing: whether to ask again, adopt or give up is `actors/rules/orders.py` by way of the executor.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import msgspec

from actors.messages.orders import OrderIntent, OrderKind
from actors.rules.orders import Outcome, VenueFill, VenueOrder, outcome_of
from actors.venues import binance
from actors.venues import exchange as ccxt_room
from actors.venues.binance import BadAnswer
from actors.venues.loop import LoopThread
from actors.venues.words import (
    CancelAnswer,
    FillReport,
    FindAnswer,
    OrderReport,
    Picture,
    PortFailed,
    StreamChanged,
    SubmitAnswer,
)
from config import secrets
from supervisor.message import Message
from supervisor.runtime.log import get_logger

CALL_S = 8.0  # one REST call, with ccxt's own timeout inside
AT_ONCE = 16  # requests in flight
PAGE = 1000
PAGES = 20  # of trades per symbol and reconciliation
NAMES_KEPT = 50_000  # of venue orders
RETRY_CAP_S = 5.0
CLOSE_S = 2.0
CALM_ROUNDS = 3
SIM_KEY, SIM_SECRET = "sim-key", "sim-secret"

log = get_logger(__name__)


class AccountPort:
    """One signed instance in one thread. Opened by `open`, ended by `close`."""

    def __init__(
        self,
        post: Callable[[Message], None],
        *,
        account: str,
        product: str,
        symbols: tuple[str, ...],
        currency: str,
        url: str | None,
        key: str,
        secret: str,
    ) -> None:
        self._post, self.account, self.product = post, account, product
        self.symbols, self.currency, self.url = symbols, currency, url
        self._keys = (key, secret)
        self._exchange: Any = None
        self._guard: ccxt_room.Guard | None = None
        self._loaded = asyncio.Event()
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client_of: OrderedDict[str, str] = OrderedDict()  # venue order id → client order id, "" for none
        self._jitter = random.Random()
        self._up = False
        self._lost = asyncio.Event()
        self._thread = LoopThread(f"account-{account}", self._main, self._failed, self._unhandled)

    # --- asked by the executor, from its thread ---

    def submit(self, client_order_id: str, intent: OrderIntent) -> None:
        """Send one order under this id. Ends in `SubmitAnswer`."""
        self._start(self._submit(client_order_id, intent))

    def cancel(self, client_order_id: str, symbol: str, conditional: bool, tries: int = 0) -> None:
        """Cancel by our id. Ends in `CancelAnswer`."""
        self._start(self._cancel(client_order_id, symbol, conditional, tries))

    def find(self, client_order_id: str, symbol: str, conditional: bool, tries: int = 0) -> None:
        """Ask what became of an order. Ends in `FindAnswer`."""
        self._start(self._find(client_order_id, symbol, conditional, tries))

    def reconcile(self, since_ms: int, unsettled: tuple[tuple[str, str, bool], ...]) -> None:
        """Read the whole account; `unsettled`: (client id, symbol, conditional) to ask for. Ends in `Picture`."""
        self._start(self._reconcile(since_ms, unsettled))

    def learn(self, venue_order_id: str, client_order_id: str) -> None:
        """An order id of a former life: fills of it are told under this client id."""
        self._thread.call(self._name, venue_order_id, client_order_id)

    def close(self) -> None:
        if not self._thread.stop(CLOSE_S + 2.0):
            log.warning("account_port_close_late", account=self.account)

    # --- the thread ---

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        def inside() -> None:
            task = asyncio.get_running_loop().create_task(self._bounded(work))
            self._tasks.add(task)
            task.add_done_callback(self._done)

        self._thread.call(inside)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed(task.exception())

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._limit:
            await work

    async def _main(self) -> None:
        exchange = self._exchange = ccxt_room.signed(self.product, self.url, *self._keys)
        self._guard = ccxt_room.Guard(
            exchange, seen=self._seen, malformed=self._malformed, closed=self._closed, connected=self._connected
        )
        try:
            attempt = 0
            while True:
                try:
                    await exchange.load_markets()
                    await exchange.load_time_difference()
                    if exchange.markets:
                        break
                    problem = "the venue lists no instruments"
                except Exception as error:  # noqa: BLE001 - venue away is a state; the executor hears it by `Picture`
                    problem = ccxt_room.text_of(error)
                attempt += 1
                self._tell_stream(False, f"cannot load instruments (try {attempt}): {problem}")
                await asyncio.sleep(self._delay_s(attempt))
            self._loaded.set()
            await self._keep_stream()
        finally:
            self._guard = None
            problem = await ccxt_room.quietly(exchange.close(), CLOSE_S)
            if problem:
                log.warning("exchange_close", account=self.account, problem=problem)

    async def _keep_stream(self) -> None:
        attempt = 0
        while True:
            self._lost.clear()
            ccxt_room.rejection(self._exchange, "orders")
            problem = ""
            try:
                # the hook reads the frames; this wait only holds the subscription and hears of errors
                await self._exchange.watch_orders()
                attempt = 0
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                problem = "connection closed"
            except Exception as error:  # noqa: BLE001 - whatever ends a watch, the answer is a new one
                problem = ccxt_room.text_of(error)
            if problem:
                attempt += 1
                self._forget_listen_key()
                self._tell_stream(False, problem)
                await asyncio.sleep(self._delay_s(attempt))

    def _delay_s(self, attempt: int) -> float:
        return self._jitter.uniform(0.05, min(RETRY_CAP_S, 0.25 * 2 ** min(attempt, 10)))

    def _forget_listen_key(self) -> None:
        # otherwise ccxt reuses a dead key for up to 20 minutes
        linear = self._exchange.options.get("linear")
        if isinstance(linear, dict):
            linear["lastAuthenticatedTime"] = 0

    def _tell_stream(self, up: bool, reason: str) -> None:
        if up != self._up or not up:
            self._up = up
            self._post(StreamChanged(up=up, reason=reason))

    # --- orders ---

    async def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        async with asyncio.timeout(CALL_S):
            await self._loaded.wait()
            return await method(*arguments)

    async def _submit(self, client_order_id: str, intent: OrderIntent) -> None:
        order, outcome, text = await self._tried(self._send, client_order_id, intent)
        self._post(SubmitAnswer(client_order_id=client_order_id, order=order, outcome=outcome, text=text))

    async def _tried(
        self, action: Callable[..., Any], *arguments: Any
    ) -> tuple[VenueOrder | None, Outcome | None, str]:
        try:
            return await action(*arguments), None, ""
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except (TimeoutError, BadAnswer) as error:
            return None, Outcome.UNKNOWN, ccxt_room.text_of(error)
        except Exception as error:  # noqa: BLE001 - classified by the rules, UNKNOWN unless known better
            outcome = outcome_of(ccxt_room.names_of(error), str(error))
            if "InvalidNonce" in ccxt_room.names_of(error):
                problem = await ccxt_room.quietly(self._exchange.load_time_difference(), CALL_S)
                log.warning("clock_checked", account=self.account, problem=problem)
            return None, outcome, ccxt_room.text_of(error)

    async def _send(self, client_order_id: str, intent: OrderIntent) -> VenueOrder:
        async with asyncio.timeout(CALL_S):
            await self._loaded.wait()
        exchange, symbol = self._exchange, intent.symbol
        self._exact("quantity", intent.quantity, exchange.amount_to_precision(symbol, str(intent.quantity)))
        conditional = intent.kind in (OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET)
        parameters: dict[str, Any] = {"clientAlgoId" if conditional else "newClientOrderId": client_order_id}
        if intent.reduce_only and self.product != "spot":
            parameters["reduceOnly"] = True
        price: str | None = None
        if intent.kind is OrderKind.LIMIT and intent.price is not None:
            price = str(intent.price)
            self._exact("price", intent.price, exchange.price_to_precision(symbol, price))
        if conditional and intent.trigger_price is not None:
            trigger = str(intent.trigger_price)
            self._exact("trigger price", intent.trigger_price, exchange.price_to_precision(symbol, trigger))
            parameters["triggerPrice" if intent.kind is OrderKind.STOP_MARKET else "takeProfitPrice"] = trigger
        # never a price with a market order: spot would read it as a quote quantity
        answer = await self._call(
            exchange.create_order,
            symbol,
            "limit" if intent.kind is OrderKind.LIMIT else "market",
            str(intent.side),
            str(intent.quantity),
            price,
            parameters,
        )
        return self._order(answer, symbol)

    @staticmethod
    def _exact(name: str, wanted: Decimal, cut: Any) -> None:
        if Decimal(str(cut)) != wanted:
            raise ccxt_room.refused(f"{name} {wanted} is not on the venue's grid; the nearest below is {cut}")

    async def _cancel(self, client_order_id: str, symbol: str, conditional: bool, tries: int) -> None:
        async def action() -> VenueOrder:
            name = "clientAlgoId" if conditional else "origClientOrderId"
            parameters: dict[str, Any] = {name: client_order_id}
            if conditional:
                parameters["trigger"] = True
            await self._call(self._exchange_method("cancel_order"), None, symbol, parameters)
            return await self._asked(client_order_id, symbol, conditional)

        order, outcome, text = await self._tried(action)
        self._post(
            CancelAnswer(
                client_order_id=client_order_id, symbol=symbol, tries=tries, order=order, outcome=outcome, text=text
            )
        )

    def _exchange_method(self, name: str) -> Callable[..., Any]:
        async def late(*arguments: Any) -> Any:
            return await getattr(self._exchange, name)(*arguments)

        return late

    async def _asked(self, client_order_id: str, symbol: str, conditional: bool) -> VenueOrder:
        """The order by our id, of a conditional one the order it has triggered when there is one."""
        parameters: dict[str, Any] = {"clientAlgoId" if conditional else "origClientOrderId": client_order_id}
        if conditional:
            parameters["trigger"] = True
        answer = await self._call(self._exchange_method("fetch_order"), None, symbol, parameters)
        order = self._order(answer, symbol)
        if order.triggered_order_id:
            self._name(order.triggered_order_id, client_order_id)
            placed = await self._call(self._exchange_method("fetch_order"), order.triggered_order_id, symbol)
            child = self._order(placed, symbol)
            return msgspec.structs.replace(
                child, client_order_id=client_order_id, triggered_order_id=order.triggered_order_id
            )
        return order

    async def _find(self, client_order_id: str, symbol: str, conditional: bool, tries: int) -> None:
        order, outcome, text = await self._tried(self._asked, client_order_id, symbol, conditional)
        if outcome is Outcome.ABSENT:
            # a venue's endpoints lag differently: absence needs a second one to agree
            listed, second, why = await self._tried(self._listed, client_order_id, symbol, conditional)
            if listed is not None:
                order, outcome = listed, None
            elif second is not None:
                outcome, text = second, why
        self._post(FindAnswer(client_order_id=client_order_id, tries=tries, order=order, outcome=outcome, text=text))

    async def _listed(self, client_order_id: str, symbol: str, conditional: bool) -> VenueOrder | None:
        for order in await self._open_orders(symbol, conditional):
            if order.client_order_id == client_order_id:
                return order
        return None

    async def _open_orders(self, symbol: str | None, conditional: bool) -> list[VenueOrder]:
        parameters = {"trigger": True} if conditional else {}
        method = self._exchange_method("fetch_open_orders")
        answer = await self._call(method, symbol, None, None, parameters)
        return [self._order(row, row.get("symbol") or symbol or "") for row in binance.rows(answer, "open orders")]

    # --- the whole account ---

    async def _reconcile(self, since_ms: int, unsettled: tuple[tuple[str, str, bool], ...]) -> None:
        try:
            self._post(await self._picture(since_ms, unsettled))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a failed question means "not known"; the executor asks again
            self._post(Picture(problem=ccxt_room.text_of(error)))

    async def _picture(self, since_ms: int, unsettled: tuple[tuple[str, str, bool], ...]) -> Picture:
        orders = await self._open_orders(None, False)
        if self.product == "usdm":
            orders += await self._open_orders(None, True)
        for order in orders:
            self._name(order.venue_order_id, order.client_order_id)
        known, absent = {order.client_order_id for order in orders}, []
        for client_order_id, symbol, conditional in unsettled:
            if client_order_id in known:
                continue
            try:
                orders.append(await self._asked(client_order_id, symbol, conditional))
            except Exception as error:
                if outcome_of(ccxt_room.names_of(error), str(error)) is not Outcome.ABSENT:
                    raise
                absent.append(client_order_id)
        # positions and fills must speak of the same moment: read until no fill comes in between
        fills = await self._fills(since_ms)
        for _ in range(CALM_ROUNDS):
            positions = await self._positions()
            balance = await self._balance()
            again = await self._fills(since_ms)
            calm = len(again) == len(fills)
            fills = again
            if calm:
                break
        return Picture(
            balance=balance,
            currency=self.currency,
            positions=positions,
            orders=tuple(orders),
            absent=tuple(absent),
            fills=tuple(sorted(fills, key=lambda fill: (fill.at_ns, fill.trade_id))),
        )

    async def _fills(self, since_ms: int) -> list[VenueFill]:
        fills: list[VenueFill] = []
        for symbol in self.symbols:
            since: int | None = since_ms or None
            parameters: dict[str, Any] = {}
            for _ in range(PAGES):
                answer = await self._call(self._exchange_method("fetch_my_trades"), symbol, since, PAGE, parameters)
                rows = binance.rows(answer, "trades")
                for row in rows:
                    fills.append(await self._fill(row["info"], symbol))
                if len(rows) < PAGE:
                    break
                since, parameters = None, {"fromId": int(rows[-1]["id"]) + 1}
        return fills

    async def _fill(self, row: dict[str, Any], symbol: str) -> VenueFill:
        venue_order_id = str(row["orderId"])
        if venue_order_id not in self._client_of:
            try:
                answer = await self._call(self._exchange_method("fetch_order"), venue_order_id, symbol)
                self._name(venue_order_id, self._order(answer, symbol).client_order_id)
            except Exception as error:
                if outcome_of(ccxt_room.names_of(error), str(error)) is not Outcome.ABSENT:
                    raise
                self._name(venue_order_id, "")  # too old for the venue to know; the fill counts all the same
        return binance.fill_row(row, symbol, self._client_of[venue_order_id])

    async def _positions(self) -> tuple[tuple[str, Decimal, Decimal], ...]:
        if self.product == "spot":
            return ()  # a spot balance is no position: it has no entry price to compare
        return binance.positions(await self._call(self._exchange_method("fetch_positions")))

    async def _balance(self) -> Decimal:
        answer = await self._call(self._exchange_method("fetch_balance"))
        return binance.balance(answer, self.product, self.currency)

    def _order(self, answer: Any, symbol: str) -> VenueOrder:
        order = binance.order_answer(answer, symbol)
        self._name(order.venue_order_id, order.client_order_id)
        return order

    def _name(self, venue_order_id: str, client_order_id: str) -> None:
        self._client_of[venue_order_id] = client_order_id
        while len(self._client_of) > NAMES_KEPT:  # an older one is asked for again
            self._client_of.popitem(last=False)

    # --- called by ccxt, in the port's thread ---

    def _connected(self, client: Any) -> None:
        if "listenKey=" in client.url:
            self._tell_stream(True, "user stream connected")

    def _seen(self, _client: Any, message: Any) -> None:
        if not isinstance(message, dict):
            return
        if isinstance(message.get("result"), dict) and "subscriptionId" in message["result"]:
            self._tell_stream(True, "user stream subscribed")  # spot acknowledges by its WebSocket API
            return
        event = message["event"] if isinstance(message.get("event"), dict) else message
        match event.get("e"):
            case "ORDER_TRADE_UPDATE":
                self._order_event(event["o"], event["o"]["c"])
            case "executionReport":
                self._order_event(event, event["C"] or event["c"])
            case "ALGO_UPDATE":
                self._algo_event(event["o"], int(event["T"]))
            case "listenKeyExpired" | "eventStreamTerminated":
                self._forget_listen_key()
                for client in list(self._exchange.clients.values()):
                    ccxt_room.drop(client, f"the venue ended the user stream: {event['e']}")

    def _order_event(self, row: dict[str, Any], client_order_id: str) -> None:
        symbol = self._symbol(row["s"])
        venue_order_id = str(row["i"])
        if venue_order_id not in self._client_of:
            self._name(venue_order_id, client_order_id)
        client_order_id = self._client_of[venue_order_id]
        fill = binance.fill_event(row, symbol, client_order_id, self.currency)
        if fill is not None:
            self._post(FillReport(fill=fill))
        self._post(OrderReport(order=binance.order_event(row, symbol, client_order_id)))

    def _algo_event(self, row: dict[str, Any], at_ms: int) -> None:
        if row.get("ai"):
            self._name(str(row["ai"]), str(row["caid"]))
        order = binance.algo_event(row, self._symbol(row["s"]), at_ms)
        if order is not None:
            self._post(OrderReport(order=order))

    def _symbol(self, market_id: str) -> str:
        return str(self._exchange.safe_symbol(market_id, None, None, "spot" if self.product == "spot" else "swap"))

    def _malformed(self, client: Any, why: str) -> None:
        # a lost private frame may be a fill: a new connection, and the reconciliation after it, will tell
        log.warning("malformed_private_frame", account=self.account, problem=why[:120])
        ccxt_room.drop(client, f"malformed frame: {why}"[:120])

    def _closed(self, client: Any, why: str) -> None:
        if client.url.endswith("authenticationFlights"):
            return  # not a connection: ccxt parks its login there
        self._tell_stream(False, why)

    def _unhandled(self, context: dict[str, Any]) -> None:
        if self._guard is None or not self._guard.unhandled(context):
            log.info("loop_exception", account=self.account, text=str(context.get("message"))[:200])

    def _failed(self, error: BaseException | None) -> None:
        text = ccxt_room.text_of(error) if error is not None else "unknown"
        self._post(PortFailed(text=f"the account port of {self.account} ended: {text}"))


def open(
    post: Callable[[Message], None],
    *,
    account: str,
    product: str,
    symbols: tuple[str, ...] | list[str],
    currency: str = "USDT",
    url: str | None = None,
) -> AccountPort:
    """Open the port. Against a local simulator the key is "sim-key"; live ones are read here, where they sign, from
    QT_<ACCOUNT>_KEY and QT_<ACCOUNT>_SECRET (or …_FILE, or systemd credentials).

    Raises:
        BadVenue: unknown product or bad url. config.secrets.SecretError: a key is missing or badly kept.
    """
    if product not in ccxt_room.CLASS_OF_PRODUCT:
        raise ccxt_room.BadVenue(f"account {account}: product is {product!r}")
    key, secret = SIM_KEY, SIM_SECRET
    if url is None:
        stem = f"QT_{''.join(c if c.isalnum() else '_' for c in account).upper()}"
        key, secret = secrets.read(f"{stem}_KEY").reveal(), secrets.read(f"{stem}_SECRET").reveal()
    return AccountPort(
        post,
        account=account,
        product=product,
        symbols=tuple(symbols),
        currency=currency,
        url=url,
        key=key,
        secret=secret,
    )
