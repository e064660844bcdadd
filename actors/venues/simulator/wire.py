"""Orders, fills and accounts in Binance's words: REST documents and user stream events. Pure translation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from actors.venues.simulator.accounts import ZERO, Algo, Balance, Fill, Order, Position, Wallet
from actors.venues.simulator.instruments import SPOT, Instrument

Document = dict[str, Any]


def average(order: Order) -> Decimal:
    return order.cost / order.executed if order.executed else ZERO


def order_document(order: Order, i: Instrument) -> Document:
    """An order as query, list and cancel answer it."""
    common: Document = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "clientOrderId": order.client_id,
        "price": i.price_text(order.price),
        "origQty": i.quantity_text(order.quantity),
        "executedQty": i.quantity_text(order.executed),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
        "stopPrice": i.price_text(order.stop_price),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }
    if order.product == SPOT:
        return common | {
            "orderListId": -1,
            "cummulativeQuoteQty": f"{order.cost:.8f}",
            "origQuoteOrderQty": f"{order.quote_quantity:.8f}",
            "icebergQty": "0.00000000",
            "isWorking": True,
            "workingTime": order.created_ms,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        }
    return common | {
        "avgPrice": f"{average(order):.5f}",
        "cumQty": i.quantity_text(order.executed),
        "cumQuote": f"{order.cost:.5f}",
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "positionSide": "BOTH",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.original_type or order.type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
    }


def order_answer(order: Order, i: Instrument, fills: list[Fill]) -> Document:
    """The answer to a new order; spot's FULL answer lists the fills."""
    document = order_document(order, i)
    if order.product != SPOT:
        return document
    rows = [
        {
            "price": i.price_text(f.price),
            "qty": i.quantity_text(f.quantity),
            "commission": f"{f.fee:.8f}",
            "commissionAsset": f.fee_asset,
            "tradeId": f.trade_id,
        }
        for f in fills
    ]
    return document | {"transactTime": order.updated_ms, "fills": rows}


def algo_document(algo: Algo, i: Instrument) -> Document:
    """A conditional order as create, query and list answer it."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": "BOTH",
        "timeInForce": algo.time_in_force,
        "quantity": i.quantity_text(algo.quantity),
        "algoStatus": algo.status,
        "actualOrderId": str(algo.order_id) if algo.order_id else "",
        "triggerPrice": i.price_text(algo.trigger_price),
        "price": i.price_text(algo.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": algo.working_type,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": False,
        "reduceOnly": algo.reduce_only,
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.triggered_ms,
        "goodTillDate": 0,
    }


def fill_document(fill: Fill, i: Instrument) -> Document:
    """A row of myTrades (spot) or userTrades (USD-M)."""
    buyer = fill.side == "BUY"
    row: Document = {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "price": i.price_text(fill.price),
        "qty": i.quantity_text(fill.quantity),
        "quoteQty": f"{fill.price * fill.quantity:.8f}",
        "commission": f"{fill.fee:.8f}",
        "commissionAsset": fill.fee_asset,
        "time": fill.at_ms,
    }
    if fill.product == SPOT:
        return row | {"orderListId": -1, "isBuyer": buyer, "isMaker": fill.maker, "isBestMatch": True}
    more = {"side": fill.side, "realizedPnl": f"{fill.realised:.8f}", "positionSide": "BOTH"}
    return row | more | {"buyer": buyer, "maker": fill.maker}


def execution_report(order: Order, i: Instrument, kind: str, now_ms: int, fill: Fill | None = None) -> Document:
    """Spot's order event; `kind` is the execution type: NEW, TRADE, CANCELED, EXPIRED."""
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": f"cancel-{order.order_id}" if kind == "CANCELED" else order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": i.quantity_text(order.quantity),
        "p": i.price_text(order.price),
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": order.client_id if kind == "CANCELED" else "",  # a cancel carries the order's own id here
        "x": kind,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": i.quantity_text(fill.quantity) if fill else "0.00000000",
        "z": i.quantity_text(order.executed),
        "L": i.price_text(fill.price) if fill else "0.00000000",
        "n": f"{fill.fee:.8f}" if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": now_ms,
        "t": fill.trade_id if fill else -1,
        "I": order.order_id,
        "w": order.open,
        "m": fill.maker if fill else False,
        "M": False,
        "O": order.created_ms,
        "Z": f"{order.cost:.8f}",
        "Y": f"{fill.price * fill.quantity:.8f}" if fill else "0.00000000",
        "Q": f"{order.quote_quantity:.8f}",
        "W": order.created_ms,
        "V": "EXPIRE_MAKER",
    }


def account_position(balances: list[Balance], now_ms: int) -> Document:
    """Spot's balance event: the assets that changed."""
    rows = [{"a": b.asset, "f": f"{b.free:.8f}", "l": f"{b.locked:.8f}"} for b in balances]
    return {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": rows}


def order_trade_update(order: Order, i: Instrument, kind: str, now_ms: int, fill: Fill | None = None) -> Document:
    """USD-M's order event."""
    inner: Document = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": i.quantity_text(order.quantity),
        "p": i.price_text(order.price),
        "ap": f"{average(order):.5f}",
        "sp": i.price_text(order.stop_price),
        "x": kind,
        "X": order.status,
        "i": order.order_id,
        "l": i.quantity_text(fill.quantity) if fill else "0",
        "z": i.quantity_text(order.executed),
        "L": i.price_text(fill.price) if fill else "0",
        "T": now_ms,
        "t": fill.trade_id if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order.original_type or order.type,
        "ps": "BOTH",
        "cp": order.close_position,
        "rp": f"{fill.realised:.8f}" if fill else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
    }
    if fill is not None:
        inner |= {"N": fill.fee_asset, "n": f"{fill.fee:.8f}"}
    return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": now_ms, "o": inner}


def account_update(wallet: Wallet, change: Decimal, position: Position, unrealised: Decimal, now_ms: int) -> Document:
    """USD-M's balance and position event after a fill."""
    balance = {"a": wallet.asset, "wb": f"{wallet.amount:.8f}", "cw": f"{wallet.amount:.8f}", "bc": f"{change:.8f}"}
    row = {
        "s": position.symbol,
        "pa": str(position.quantity),
        "ep": str(position.entry),
        "bep": str(position.entry),
        "cr": "0",
        "up": f"{unrealised:.8f}",
        "mt": "cross",
        "iw": "0",
        "ps": "BOTH",
        "ma": wallet.asset,
    }
    return {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": now_ms, "a": {"m": "ORDER", "B": [balance], "P": [row]}}


def algo_update(algo: Algo, i: Instrument, now_ms: int, order: Order | None = None) -> Document:
    """USD-M's event of a conditional order."""
    inner = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": "BOTH",
        "f": algo.time_in_force,
        "q": i.quantity_text(algo.quantity),
        "X": algo.status,
        "ai": str(algo.order_id) if algo.order_id else "",
        "ap": f"{average(order):.5f}" if order else "0.00000",
        "aq": i.quantity_text(order.executed) if order else "0.00000",
        "act": order.type if order else "0",
        "tp": i.price_text(algo.trigger_price),
        "p": i.price_text(algo.price),
        "V": "EXPIRE_MAKER",
        "wt": algo.working_type,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": False,
        "R": algo.reduce_only,
        "tt": algo.triggered_ms,
        "gtd": 0,
        "rm": algo.failure,
    }
    return {"e": "ALGO_UPDATE", "T": now_ms, "E": now_ms, "o": inner}
