"""The signed endpoints for orders and conditional orders, and the fills they made.

Reads parameters, checks the filters, asks the engine and words the answer; what an order does is the engine's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from actors.venues.simulator import wire
from actors.venues.simulator.accounts import ZERO, Algo, Fill, Order
from actors.venues.simulator.engine import Engine
from actors.venues.simulator.errors import VenueError, filter_failure, missing, unknown_symbol
from actors.venues.simulator.instruments import SPOT, USDM, Instrument
from actors.venues.simulator.listing import Listing
from actors.venues.simulator.rest import Call, Endpoint, Security, Table

Answer = Callable[["Trading", Call], Any]
TYPES = {SPOT: ("LIMIT", "LIMIT_MAKER", "MARKET"), USDM: ("LIMIT", "MARKET")}
ALGO_TYPES = ("STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TAKE_PROFIT")
TIMES_IN_FORCE = {SPOT: ("GTC", "IOC", "FOK"), USDM: ("GTC", "IOC", "FOK", "GTX")}
CLIENT_ID_LENGTH = 36


class Trading:
    """Answers over the engine."""

    def __init__(self, engine: Engine, listings: Mapping[tuple[str, str], Listing]) -> None:
        self._engine, self._truth, self._listings = engine, engine.truth, listings

    def table(self) -> Table:
        """The endpoints of both products."""
        rows: list[tuple[str, str, str, Answer]] = [
            (SPOT, "DELETE", "/api/v3/openOrders", Trading.cancel_all),
            (SPOT, "GET", "/api/v3/allOrders", Trading.all_orders),
            (SPOT, "GET", "/api/v3/myTrades", Trading.fills),
            (USDM, "DELETE", "/fapi/v1/allOpenOrders", Trading.cancel_all),
            (USDM, "GET", "/fapi/v1/allOrders", Trading.all_orders),
            (USDM, "GET", "/fapi/v1/userTrades", Trading.fills),
            (USDM, "POST", "/fapi/v1/algoOrder", Trading.place_algo),
            (USDM, "GET", "/fapi/v1/algoOrder", Trading.query_algo),
            (USDM, "DELETE", "/fapi/v1/algoOrder", Trading.cancel_algo),
            (USDM, "GET", "/fapi/v1/openAlgoOrders", Trading.open_algos),
            (USDM, "DELETE", "/fapi/v1/algoOpenOrders", Trading.cancel_all_algos),
        ]
        for product, root in ((SPOT, "/api/v3"), (USDM, "/fapi/v1")):
            rows += [
                (product, "POST", f"{root}/order", Trading.place),
                (product, "GET", f"{root}/order", Trading.query),
                (product, "DELETE", f"{root}/order", Trading.cancel),
                (product, "GET", f"{root}/openOrders", Trading.open_orders),
            ]
        return {
            (product, method, path): Endpoint(partial(answer, self), Security.SIGNED, method == "POST")
            for product, method, path, answer in rows
        }

    def place(self, call: Call) -> Any:
        i, order_type = self._instrument(call), call.need("type").upper()
        if order_type in ALGO_TYPES and call.product == USDM:
            text = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
            raise VenueError(-4120, text)
        if order_type not in TYPES[call.product]:
            raise VenueError(-1116, "Invalid orderType.")
        limit = order_type != "MARKET"
        time_in_force = call.need("timeInForce") if order_type == "LIMIT" else "GTC"
        if time_in_force not in TIMES_IN_FORCE[call.product]:
            raise VenueError(-1115, "Invalid timeInForce.")
        order = Order(
            account=call.account,
            product=call.product,
            symbol=i.symbol,
            order_id=0,
            client_id=self._client_id(call, "newClientOrderId"),
            side=call.side(),
            type=order_type,
            time_in_force=time_in_force,
            quantity=call.decimal("quantity"),
            price=call.decimal("price") if limit else ZERO,
            quote_quantity=call.decimal("quoteOrderQty") if call.product == SPOT and not limit else ZERO,
            reduce_only=call.product == USDM and call.flag("reduceOnly"),
        )
        if not order.quantity and not order.quote_quantity:
            raise missing("quantity")
        if limit and not order.price:
            raise missing("price")
        self._filter(i, order.price, order.quantity, order.quote_quantity, reduce_only=order.reduce_only)
        fills = self._engine.place(order, call.now_ms)
        return wire.order_answer(order, i, fills)

    def query(self, call: Call) -> Any:
        return wire.order_document(self._find(call, -2013, "Order does not exist."), self._instrument(call))

    def cancel(self, call: Call) -> Any:
        order = self._find(call, -2011, "Unknown order sent.")
        self._engine.cancel(order, call.now_ms)
        document = wire.order_document(order, self._instrument(call))
        if call.product == SPOT:  # spot answers a cancel with the cancel's own client id
            document |= {"origClientOrderId": order.client_id, "clientOrderId": f"cancel-{order.order_id}"}
            document["transactTime"] = call.now_ms
        return document

    def cancel_all(self, call: Call) -> Any:
        i = self._instrument(call)
        orders = [o for o in self._truth.open_orders(call.product, i.symbol) if o.account == call.account]
        if not orders and call.product == SPOT:
            raise VenueError(-2011, "Unknown order sent.")
        for order in orders:
            if order.open:
                self._engine.cancel(order, call.now_ms)
        if call.product == USDM:
            return {"code": 200, "msg": "The operation of cancel all open order is done."}
        return [wire.order_document(order, i) for order in orders]

    def open_orders(self, call: Call) -> Any:
        orders = self._truth.all_open(call.account, call.product)
        return self._order_rows(call, [o for o in orders if call.parameters.get("symbol") in (None, o.symbol)])

    def all_orders(self, call: Call) -> Any:
        i, since, first = self._instrument(call), call.number("startTime", 0), call.number("orderId", 0)
        rows = [
            o
            for o in self._truth.orders.values()
            if (o.account, o.product, o.symbol) == (call.account, call.product, i.symbol)
            and o.created_ms >= since
            and o.order_id >= first
        ]
        limit = min(call.number("limit", 500), 1000)
        return self._order_rows(call, rows[:limit] if since or first else rows[-limit:])

    def fills(self, call: Call) -> Any:
        i = self._instrument(call)
        since, until = call.number("startTime", 0), call.number("endTime", 1 << 62)
        first, order_id = call.number("fromId", 0), call.number("orderId", 0)

        def wanted(fill: Fill) -> bool:
            mine = (fill.account, fill.product, fill.symbol) == (call.account, call.product, i.symbol)
            chosen = fill.trade_id >= first and order_id in (0, fill.order_id)
            return mine and chosen and since <= fill.at_ms <= until

        rows = [wire.fill_document(fill, i) for fill in self._truth.fills if wanted(fill)]
        limit = min(call.number("limit", 500), 1000)
        return rows[:limit] if since or first else rows[-limit:]

    def place_algo(self, call: Call) -> Any:
        i, order_type = self._instrument(call), call.need("type").upper()
        if call.parameters.get("algoType", "CONDITIONAL") != "CONDITIONAL" or order_type not in ALGO_TYPES:
            raise VenueError(-1116, "Invalid orderType.")
        working_type = call.parameters.get("workingType", "CONTRACT_PRICE")
        if working_type not in ("CONTRACT_PRICE", "MARK_PRICE"):
            raise VenueError(-1102, "Mandatory parameter 'workingType' was malformed.")
        limit = not order_type.endswith("MARKET")
        algo = Algo(
            account=call.account,
            symbol=i.symbol,
            algo_id=0,
            client_id=self._client_id(call, "clientAlgoId"),
            side=call.side(),
            type=order_type,
            time_in_force=call.parameters.get("timeInForce", "GTC"),
            quantity=call.decimal("quantity"),
            price=call.decimal("price") if limit else ZERO,
            trigger_price=call.decimal("triggerPrice"),
            working_type=working_type,
            reduce_only=call.flag("reduceOnly"),
            close_position=call.flag("closePosition"),
        )
        if not algo.trigger_price:
            raise missing("triggerPrice")
        if limit and not algo.price:
            raise missing("price")
        if algo.close_position and algo.quantity:
            raise VenueError(-4136, "Target strategy invalid for orderType, closePosition with quantity.")
        if not algo.close_position and not algo.quantity:
            raise missing("quantity")
        if algo.trigger_price % i.tick:
            raise filter_failure("PRICE_FILTER")
        size = algo.quantity or i.lot
        self._filter(i, algo.price, size, ZERO, reduce_only=algo.reduce_only or algo.close_position)
        self._engine.place_algo(algo, call.now_ms)
        return wire.algo_document(algo, i)

    def query_algo(self, call: Call) -> Any:
        algo = self._find_algo(call, -2013, "Order does not exist.")
        return wire.algo_document(algo, self._engine.instrument(USDM, algo.symbol))

    def cancel_algo(self, call: Call) -> Any:
        algo = self._find_algo(call, -2011, "Unknown order sent.")
        self._engine.cancel_algo(algo, call.now_ms)
        return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}

    def open_algos(self, call: Call) -> Any:
        symbol = call.parameters.get("symbol")
        algos = [a for a in self._truth.all_open_algos(call.account) if symbol in (None, a.symbol)]
        return [wire.algo_document(a, self._engine.instrument(USDM, a.symbol)) for a in algos]

    def cancel_all_algos(self, call: Call) -> Any:
        i = self._instrument(call)
        for algo in self._truth.open_algos(i.symbol):
            if algo.account == call.account and algo.open:
                self._engine.cancel_algo(algo, call.now_ms)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _instrument(self, call: Call) -> Instrument:
        listing = self._listings.get((call.product, call.need("symbol")))
        if listing is None:
            raise unknown_symbol()
        return listing.instrument

    def _order_rows(self, call: Call, orders: list[Order]) -> list[dict[str, Any]]:
        return [wire.order_document(order, self._engine.instrument(call.product, order.symbol)) for order in orders]

    def _find(self, call: Call, code: int, text: str) -> Order:
        """By order id, else by client id; of this account, product and symbol."""
        symbol, client_id = self._instrument(call).symbol, call.parameters.get("origClientOrderId", "")
        if call.parameters.get("orderId"):
            order = self._truth.orders.get(call.number("orderId", 0))
        elif client_id:
            order = self._truth.order_by_client(call.account, call.product, client_id)
        else:
            raise VenueError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        if order is None or (order.account, order.product, order.symbol) != (call.account, call.product, symbol):
            raise VenueError(code, text)
        return order

    def _find_algo(self, call: Call, code: int, text: str) -> Algo:
        if call.parameters.get("algoId"):
            algo = self._truth.algos.get(call.number("algoId", 0))
        else:
            algo = self._truth.algo_by_client(call.account, call.need("clientAlgoId"))
        if algo is None or algo.account != call.account:
            raise VenueError(code, text)
        return algo

    def _client_id(self, call: Call, name: str) -> str:
        given = call.parameters.get(name, "")
        if len(given) > CLIENT_ID_LENGTH:
            raise VenueError(-4015, f"Client order id length should not be more than {CLIENT_ID_LENGTH} chars")
        return given or f"web_{secrets.token_hex(10)}"

    def _filter(self, i: Instrument, price: Decimal, size: Decimal, value: Decimal, *, reduce_only: bool) -> None:
        """PRICE_FILTER, LOT_SIZE and the least value, which reduce-only orders are free of."""
        if price < 0 or price % i.tick:
            raise filter_failure("PRICE_FILTER")
        if size and (size < i.lot or size > i.max_quantity or size % i.lot):
            raise filter_failure("LOT_SIZE")
        if size < 0:
            raise filter_failure("LOT_SIZE")
        reference = price or self._listings[i.key].mark or ZERO
        notional = value or size * reference
        if notional < i.min_notional and not reduce_only:
            if i.product == SPOT:
                raise filter_failure("NOTIONAL")
            raise VenueError(
                -4164, f"Order's notional must be no smaller than {i.min_notional} (unless you choose reduce only)."
            )
