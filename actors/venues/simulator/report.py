"""The venue's own truth as a document for judges: `GET /_venue/truth`. Decimals travel as strings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from actors.venues.simulator.accounts import ZERO
from actors.venues.simulator.engine import Engine
from actors.venues.simulator.instruments import SPOT, USDM
from actors.venues.simulator.settlement import unrealised


def truth(engine: Engine, account: str) -> dict[str, Any]:
    """Positions, open orders (conditional ones marked), fills, balances, wallet, marks and equity of one account.

    `equity` has `usdm` (wallet plus unrealised profit) and `spot` (all assets at their USDT mark, null without one).
    """
    records, listings = engine.truth, engine.listings
    marks = {row.instrument.name: row.mark for row in listings.values()}

    def name(product: str, symbol: str) -> str:
        return listings[product, symbol].instrument.name if (product, symbol) in listings else f"{product}:{symbol}"

    positions = [
        msgspec.structs.asdict(p) | {"name": name(USDM, p.symbol), "unrealised": unrealised(p, engine.mark(p.symbol))}
        for p in engine.positions(account)
        if p.quantity
    ]
    orders = [
        msgspec.structs.asdict(o) | {"name": name(o.product, o.symbol), "conditional": False}
        for product in (SPOT, USDM)
        for o in records.all_open(account, product)
    ]
    algos = [
        msgspec.structs.asdict(a) | {"name": name(USDM, a.symbol), "conditional": True}
        for a in records.all_open_algos(account)
    ]
    balances = {asset: b for (owner, asset), b in records.balances.items() if owner == account}
    wallet = {asset: w.amount for (owner, asset), w in records.wallets.items() if owner == account}
    return {
        "account": account,
        "positions": positions,
        "open_orders": orders + algos,
        "fills": [
            msgspec.structs.asdict(f) | {"name": name(f.product, f.symbol)}
            for f in records.fills
            if f.account == account
        ],
        "balances": {asset: {"free": b.free, "locked": b.locked} for asset, b in balances.items()},
        "wallet": wallet,
        "marks": marks,
        "equity": {
            "usdm": sum(wallet.values(), ZERO) + engine.unrealised(account),
            "spot": _worth(engine, {asset: b.free + b.locked for asset, b in balances.items()}),
        },
    }


def _worth(engine: Engine, assets: dict[str, Decimal]) -> Decimal | None:
    total = ZERO
    for asset, amount in assets.items():
        if asset == "USDT" or not amount:
            total += amount
            continue
        listing = engine.listings.get((SPOT, f"{asset}USDT"))
        mark = listing.mark if listing else None
        if mark is None:
            return None
        total += amount * mark
    return total
