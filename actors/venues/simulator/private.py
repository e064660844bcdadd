"""The signed endpoints of both products: orders, conditionals, accounts, positions, listen keys.

Reads parameters, checks the filters, asks the engine and words the answer; what an order does is the engine's.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from actors.venues.simulator import wire
from actors.venues.simulator.accounts import ZERO, Algo, Fill, ListenKey, Order, Position
from actors.venues.simulator.engine import Engine
from actors.venues.simulator.errors import VenueError, filter_failure, missing, unknown_symbol
from actors.venues.simulator.instruments import SPOT, USDM, Instrument
from actors.venues.simulator.listing import Listing
from actors.venues.simulator.rest import Call, Endpoint, Security, Table
from actors.venues.simulator.settlement import rounded, unrealised

Answer = Callable[["Private", Call], Any]
LISTEN_KEY_MS = 3_600_000
TYPES = {SPOT: ("LIMIT", "LIMIT_MAKER", "MARKET"), USDM: ("LIMIT", "MARKET")}
ALGO_TYPES = ("STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TAKE_PROFIT")
TIMES_IN_FORCE = {SPOT: ("GTC", "IOC", "FOK"), USDM: ("GTC", "IOC", "FOK", "GTX")}
MAINTENANCE = Decimal("0.004")
MAX_LEVERAGE = 125


class Private:
    """Answers over the engine."""

    def __init__(self, engine: Engine, listings: Mapping[tuple[str, str], Listing]) -> None:
        self._engine, self._truth, self._listings = engine, engine.truth, listings

    def table(self) -> Table:
        table: Table = {}

        def add(product: str, method: str, path: str, answer: Answer, security: Security = Security.SIGNED) -> None:
            places = method == "POST" and answer in (Private.place, Private.place_algo)
            table[product, method, path] = Endpoint(partial(answer, self), security, places)

        for product, root in ((SPOT, "/api/v3"), (USDM, "/fapi/v1")):
            add(product, "POST", f"{root}/order", Private.place)
            add(product, "GET", f"{root}/order", Private.query)
            add(product, "DELETE", f"{root}/order", Private.cancel)
            add(product, "GET", f"{root}/openOrders", Private.open_orders)
        add(SPOT, "DELETE", "/api/v3/openOrders", Private.cancel_all)
        add(SPOT, "GET", "/api/v3/allOrders", Private.all_orders)
        add(SPOT, "GET", "/api/v3/myTrades", Private.fills)
        add(SPOT, "GET", "/api/v3/account", Private.spot_account)
        add(USDM, "DELETE", "/fapi/v1/allOpenOrders", Private.cancel_all)
        add(USDM, "GET", "/fapi/v1/allOrders", Private.all_orders)
        add(USDM, "POST", "/fapi/v1/algoOrder", Private.place_algo)
        add(USDM, "GET", "/fapi/v1/algoOrder", Private.query_algo)
        add(USDM, "DELETE", "/fapi/v1/algoOrder", Private.cancel_algo)
        add(USDM, "GET", "/fapi/v1/openAlgoOrders", Private.open_algos)
        add(USDM, "DELETE", "/fapi/v1/algoOpenOrders", Private.cancel_all_algos)
        add(USDM, "GET", "/fapi/v1/userTrades", Private.fills)
        add(USDM, "POST", "/fapi/v1/leverage", Private.leverage)
        add(USDM, "GET", "/fapi/v1/leverageBracket", Private.brackets)
        for version in ("v2", "v3"):
            add(USDM, "GET", f"/fapi/{version}/account", Private.usdm_account)
            add(USDM, "GET", f"/fapi/{version}/positionRisk", Private.position_risk)
        add(USDM, "POST", "/fapi/v1/listenKey", Private.open_listen_key, Security.KEY)
        add(USDM, "PUT", "/fapi/v1/listenKey", Private.extend_listen_key, Security.KEY)
        add(USDM, "DELETE", "/fapi/v1/listenKey", Private.close_listen_key, Security.KEY)
        return table

    # -- orders -------------------------------------------------------------------------------------------------

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
            side=_side(call),
            type=order_type,
            time_in_force=time_in_force,
            quantity=_decimal(call, "quantity"),
            price=_decimal(call, "price") if limit else ZERO,
            quote_quantity=_decimal(call, "quoteOrderQty") if call.product == SPOT and not limit else ZERO,
            reduce_only=call.product == USDM and _flag(call, "reduceOnly"),
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

    # -- conditional orders -------------------------------------------------------------------------------------

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
            side=_side(call),
            type=order_type,
            time_in_force=call.parameters.get("timeInForce", "GTC"),
            quantity=_decimal(call, "quantity"),
            price=_decimal(call, "price") if limit else ZERO,
            trigger_price=_decimal(call, "triggerPrice"),
            working_type=working_type,
            reduce_only=_flag(call, "reduceOnly"),
            close_position=_flag(call, "closePosition"),
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

    # -- accounts -----------------------------------------------------------------------------------------------

    def spot_account(self, call: Call) -> Any:
        rows = [
            {"asset": b.asset, "free": f"{b.free:.8f}", "locked": f"{b.locked:.8f}"}
            for (account, _), b in self._truth.balances.items()
            if account == call.account
        ]
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "updateTime": call.now_ms,
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
        }

    def usdm_account(self, call: Call) -> Any:
        profit, margin = self._engine.unrealised(call.account), self._engine.margin(call.account)
        wallets = [w for (account, _), w in self._truth.wallets.items() if account == call.account]
        total = sum((w.amount for w in wallets), ZERO)
        free = max(ZERO, total + profit - margin)
        assets = [
            {
                "asset": w.asset,
                "walletBalance": f"{w.amount:.8f}",
                "unrealizedProfit": f"{profit:.8f}",
                "marginBalance": f"{w.amount + profit:.8f}",
                "maintMargin": "0.00000000",
                "initialMargin": f"{margin:.8f}",
                "positionInitialMargin": f"{margin:.8f}",
                "openOrderInitialMargin": "0.00000000",
                "crossWalletBalance": f"{w.amount:.8f}",
                "crossUnPnl": f"{profit:.8f}",
                "availableBalance": f"{free:.8f}",
                "maxWithdrawAmount": f"{free:.8f}",
                "marginAvailable": True,
                "updateTime": call.now_ms,
            }
            for w in wallets
        ]
        return {
            "canTrade": True,
            "feeTier": 0,
            "multiAssetsMargin": False,
            "totalInitialMargin": f"{margin:.8f}",
            "totalMaintMargin": "0.00000000",
            "totalWalletBalance": f"{total:.8f}",
            "totalUnrealizedProfit": f"{profit:.8f}",
            "totalMarginBalance": f"{total + profit:.8f}",
            "availableBalance": f"{free:.8f}",
            "assets": assets,
            "positions": [self._risk(p) for p in self._engine.positions(call.account) if p.quantity],
        }

    def position_risk(self, call: Call) -> Any:
        symbol = call.parameters.get("symbol")
        positions = [p for p in self._engine.positions(call.account) if p.quantity and symbol in (None, p.symbol)]
        return [self._risk(position) for position in positions]

    def leverage(self, call: Call) -> Any:
        i, leverage = self._instrument(call), call.number("leverage", 0)
        if not 1 <= leverage <= MAX_LEVERAGE:
            raise VenueError(-4028, f"Leverage {leverage} is not valid")
        self._engine.set_leverage(call.account, i.symbol, leverage, call.now_ms)
        return {"leverage": leverage, "maxNotionalValue": "1000000000", "symbol": i.symbol}

    def brackets(self, call: Call) -> Any:
        bracket = {
            "bracket": 1,
            "initialLeverage": MAX_LEVERAGE,
            "notionalCap": 1_000_000_000,
            "notionalFloor": 0,
            "maintMarginRatio": float(MAINTENANCE),
            "cum": 0.0,
        }
        symbol = call.parameters.get("symbol")
        rows = [i.symbol for i in self._instruments(USDM) if symbol in (None, i.symbol)]
        return [{"symbol": name, "brackets": [bracket]} for name in rows]

    def open_listen_key(self, call: Call) -> Any:
        """A new key, or the live one again with its time extended."""
        key = self._live_key(call)
        if key is None:
            letters = string.ascii_letters + string.digits
            text = "".join(secrets.choice(letters) for _ in range(64))
            key = ListenKey(account=call.account, key=text, expires_ms=0)
        return self._extend(key, call)

    def extend_listen_key(self, call: Call) -> Any:
        key = self._live_key(call)
        if key is None:
            raise VenueError(-1125, "This listenKey does not exist.")
        return self._extend(key, call)

    def close_listen_key(self, call: Call) -> Any:
        key = self._live_key(call)
        if key is not None:
            key.expires_ms = 0
            self._truth.keep(key)
            self._truth.commit(call.now_ms * 1_000_000)
        return {}

    # -- parameters ---------------------------------------------------------------------------------------------

    def _risk(self, position: Position) -> dict[str, Any]:
        mark = self._engine.mark(position.symbol)
        value = position.quantity * (mark if mark is not None else position.entry)
        margin = rounded(abs(value) / position.leverage)
        return {
            "symbol": position.symbol,
            "positionSide": "BOTH",
            "positionAmt": str(position.quantity),
            "entryPrice": str(position.entry),
            "breakEvenPrice": str(position.entry),
            "markPrice": f"{mark or ZERO:.8f}",
            "unRealizedProfit": f"{unrealised(position, mark):.8f}",
            "unrealizedProfit": f"{unrealised(position, mark):.8f}",
            "liquidationPrice": "0",
            "isolatedMargin": "0",
            "isolatedWallet": "0",
            "notional": f"{value:.8f}",
            "marginAsset": self._engine.instrument(USDM, position.symbol).quote,
            "initialMargin": f"{margin:.8f}",
            "maintMargin": f"{abs(value) * MAINTENANCE:.8f}",
            "positionInitialMargin": f"{margin:.8f}",
            "openOrderInitialMargin": "0",
            "leverage": str(position.leverage),
            "marginType": "cross",
            "adl": 0,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": position.updated_ms,
        }

    def _instruments(self, product: str) -> list[Instrument]:
        return [row.instrument for (kind, _), row in self._listings.items() if kind == product]

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
        if len(given) > 36:
            raise VenueError(-4015, "Client order id length should not be more than 36 chars")
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

    def _live_key(self, call: Call) -> ListenKey | None:
        for key in self._truth.listen_keys.values():
            if key.account == call.account and key.expires_ms > call.now_ms:
                return key
        return None

    def _extend(self, key: ListenKey, call: Call) -> dict[str, str]:
        key.expires_ms = call.now_ms + LISTEN_KEY_MS
        self._truth.keep(key)
        self._truth.commit(call.now_ms * 1_000_000)
        return {"listenKey": key.key}


def _side(call: Call) -> str:
    side = call.need("side").upper()
    if side not in ("BUY", "SELL"):
        raise VenueError(-1117, "Invalid side.")
    return side


def _flag(call: Call, name: str) -> bool:
    return call.parameters.get(name, "false").lower() == "true"


def _decimal(call: Call, name: str) -> Decimal:
    """A non-negative finite number; absent is 0."""
    text = call.parameters.get(name, "")
    if not text:
        return ZERO
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.") from None
    if not number.is_finite() or number < 0:
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.")
    return number
