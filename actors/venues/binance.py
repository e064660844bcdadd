"""Binance's account words, translated: REST answers and user stream rows into `VenueOrder` and `VenueFill`.

Pure functions over what ccxt hands through untouched (`info`) and over raw stream frames. Money is read from the
venue's text, never from a float that ccxt made of it. What is not what was asked for is a `BadAnswer`: a successful
HTTP status proves nothing.
"""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from typing import Any

from actors.messages.orders import Side
from actors.rules.orders import VenueFill, VenueOrder, VenueStatus

MS = 1_000_000

STATUS = {
    "NEW": VenueStatus.OPEN,
    "PARTIALLY_FILLED": VenueStatus.OPEN,
    "PENDING_NEW": VenueStatus.OPEN,
    "WORKING": VenueStatus.OPEN,
    "TRIGGERING": VenueStatus.OPEN,
    "TRIGGERED": VenueStatus.OPEN,  # its own order is on the way; that one's reports carry on
    "PENDING_CANCEL": VenueStatus.OPEN,
    "FILLED": VenueStatus.FILLED,
    "CANCELED": VenueStatus.CANCELLED,
    "REJECTED": VenueStatus.REJECTED,
    "EXPIRED": VenueStatus.EXPIRED,
    "EXPIRED_IN_MATCH": VenueStatus.EXPIRED,
}


class BadAnswer(ValueError):
    """The venue answered with something that is not what was asked for. Treated as unknown, never as data."""


def money(value: Any) -> Decimal:
    """Venue text (or a float by its shortest text) as Decimal. Raises BadAnswer unless finite."""
    try:
        amount = Decimal(value if isinstance(value, str) else repr(value))
    except InvalidOperation:
        raise BadAnswer(f"{value!r} is no amount") from None
    if not amount.is_finite():
        raise BadAnswer(f"{value!r} is no finite amount")
    return amount


def rows(answer: Any, what: str) -> list[Any]:
    """The list that was asked for. Raises BadAnswer when it is something else."""
    if not isinstance(answer, list):
        raise BadAnswer(f"{what} are a {type(answer).__name__}")
    return answer


def order_answer(answer: Any, symbol: str) -> VenueOrder:
    """An order of a REST answer, plain or conditional. Raises BadAnswer when an id or the status is missing."""
    info = answer.get("info") if isinstance(answer, dict) else None
    if not isinstance(info, dict):
        raise BadAnswer(f"an order answer is {str(answer)[:60]!r}")
    at_ms = info.get("updateTime") or info.get("transactTime") or info.get("time") or info.get("createTime") or 0
    return _order(
        client=str(info.get("clientOrderId") or info.get("clientAlgoId") or ""),
        venue_id=str(info.get("orderId") or info.get("algoId") or ""),
        symbol=symbol,
        status=str(info.get("status") or info.get("algoStatus") or ""),
        filled=info.get("executedQty") or "0",
        at_ms=int(at_ms),
        triggered=str(info.get("actualOrderId") or ""),
    )


def fill_row(info: dict[str, Any], symbol: str, client_order_id: str) -> VenueFill:
    """A row of myTrades or userTrades; neither says the client order id."""
    side = info.get("side") or ("BUY" if info.get("isBuyer", info.get("buyer")) else "SELL")
    return VenueFill(
        trade_id=str(info["id"]),
        venue_order_id=str(info["orderId"]),
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(str(side).lower()),
        quantity=money(info["qty"]),
        price=money(info["price"]),
        fee=money(info["commission"]),
        fee_currency=str(info["commissionAsset"]),
        at_ns=int(info["time"]) * MS,
    )


def order_event(row: dict[str, Any], symbol: str, client_order_id: str) -> VenueOrder:
    """An `executionReport`, or the `o` of an `ORDER_TRADE_UPDATE`."""
    reason = "" if row.get("r") in (None, "NONE") else str(row["r"])
    return _order(
        client=client_order_id,
        venue_id=str(row["i"]),
        symbol=symbol,
        status=str(row["X"]),
        filled=row["z"],
        at_ms=int(row["T"]),
        reason=reason,
    )


def fill_event(row: dict[str, Any], symbol: str, client_order_id: str, currency: str) -> VenueFill | None:
    """The fill of the same row, None when it tells of none."""
    if row["x"] != "TRADE":
        return None
    return VenueFill(
        trade_id=str(row["t"]),
        venue_order_id=str(row["i"]),
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(str(row["S"]).lower()),
        quantity=money(row["l"]),
        price=money(row["L"]),
        fee=money(row.get("n") or "0"),
        fee_currency=str(row.get("N") or currency),
        at_ns=int(row["T"]) * MS,
        reduce_only=bool(row.get("R", False)),
    )


def algo_event(row: dict[str, Any], symbol: str, at_ms: int) -> VenueOrder | None:
    """The `o` of an `ALGO_UPDATE`. FINISHED gives None: the end is told by the reports of the order it placed."""
    if row["X"] == "FINISHED":
        return None
    return _order(
        client=str(row["caid"]),
        venue_id=str(row["aid"]),
        symbol=symbol,
        status=str(row["X"]),
        filled=row.get("aq") or "0",
        at_ms=at_ms,
        triggered=str(row.get("ai") or ""),
        reason=str(row.get("rm") or ""),
    )


def positions(answer: Any) -> tuple[tuple[str, Decimal, Decimal], ...]:
    """Symbol, signed quantity and entry price of every position that is not flat (ccxt's `fetch_positions`)."""
    found = [(row["symbol"], row["info"]) for row in rows(answer, "positions")]
    held = [(symbol, money(info["positionAmt"]), money(info["entryPrice"])) for symbol, info in found]
    return tuple(position for position in held if position[1])


def balance(answer: Any, product: str, currency: str) -> Decimal:
    """Wallet balance in `currency`, without unrealised profit (ccxt's `fetch_balance`)."""
    info = answer.get("info") if isinstance(answer, dict) else None
    listed = info.get("balances" if product == "spot" else "assets") if isinstance(info, dict) else None
    if not listed:
        raise BadAnswer(f"balance is {str(answer)[:60]!r}")
    wallets = [row for row in listed if row["asset"] == currency]
    if product == "spot":
        return sum((money(row["free"]) + money(row["locked"]) for row in wallets), Decimal(0))
    if not wallets:
        raise BadAnswer(f"the account has no {currency} wallet; it has {', '.join(row['asset'] for row in listed)}")
    return money(wallets[0]["walletBalance"])


def _order(
    *,
    client: str,
    venue_id: str,
    symbol: str,
    status: str,
    filled: Any,
    at_ms: int,
    triggered: str = "",
    reason: str = "",
) -> VenueOrder:
    if not venue_id or not client or not status:
        raise BadAnswer(f"an order lacks id, client id or status: {venue_id!r}, {client!r}, {status!r}")
    done = money(filled)
    if status == "FINISHED":  # of a conditional order: what it placed has ended
        known = VenueStatus.FILLED if done else VenueStatus.EXPIRED
    elif status in STATUS:
        known = STATUS[status]
    else:
        raise BadAnswer(f"order {client} has status {status!r}, which is none of Binance's")
    return VenueOrder(
        client_order_id=client,
        venue_order_id=venue_id,
        symbol=symbol,
        status=known,
        filled=done,
        at_ns=at_ms * MS or time.time_ns(),
        reason=reason,
        triggered_order_id=triggered,
    )
