"""The signed endpoints for accounts: balances, positions, leverage, and the listen keys of USD-M."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from actors.venues.simulator.accounts import ZERO, ListenKey, Position
from actors.venues.simulator.engine import Engine
from actors.venues.simulator.errors import VenueError, unknown_symbol
from actors.venues.simulator.instruments import SPOT, USDM
from actors.venues.simulator.listing import Listing
from actors.venues.simulator.rest import Call, Endpoint, Security, Table
from actors.venues.simulator.settlement import rounded, unrealised

Answer = Callable[["Account", Call], Any]
LISTEN_KEY_MS = 3_600_000
MAINTENANCE = Decimal("0.004")
MAX_LEVERAGE = 125


class Account:
    """Answers over the engine's records."""

    def __init__(self, engine: Engine, listings: Mapping[tuple[str, str], Listing]) -> None:
        self._engine, self._truth, self._listings = engine, engine.truth, listings

    def table(self) -> Table:
        """The endpoints of both products."""
        signed: list[tuple[str, str, str, Answer]] = [
            (SPOT, "GET", "/api/v3/account", Account.spot_account),
            (USDM, "GET", "/fapi/v2/account", Account.usdm_account),
            (USDM, "GET", "/fapi/v3/account", Account.usdm_account),
            (USDM, "GET", "/fapi/v2/positionRisk", Account.position_risk),
            (USDM, "GET", "/fapi/v3/positionRisk", Account.position_risk),
            (USDM, "POST", "/fapi/v1/leverage", Account.leverage),
            (USDM, "GET", "/fapi/v1/leverageBracket", Account.brackets),
        ]
        keyed: list[tuple[str, Answer]] = [
            ("POST", Account.open_listen_key),
            ("PUT", Account.extend_listen_key),
            ("DELETE", Account.close_listen_key),
        ]
        table: Table = {(p, m, path): Endpoint(partial(a, self), Security.SIGNED) for p, m, path, a in signed}
        for method, answer in keyed:
            table[USDM, method, "/fapi/v1/listenKey"] = Endpoint(partial(answer, self), Security.KEY)
        return table

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
        symbol, leverage = call.need("symbol"), call.number("leverage", 0)
        if (USDM, symbol) not in self._listings:
            raise unknown_symbol()
        if not 1 <= leverage <= MAX_LEVERAGE:
            raise VenueError(-4028, f"Leverage {leverage} is not valid")
        self._engine.set_leverage(call.account, symbol, leverage, call.now_ms)
        return {"leverage": leverage, "maxNotionalValue": "1000000000", "symbol": symbol}

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
        names = [name for product, name in self._listings if product == USDM and symbol in (None, name)]
        return [{"symbol": name, "brackets": [bracket]} for name in names]

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
