"""The emergency stop's own, synchronous way to one venue: look, cancel everything, flatten.

Plain ccxt, imported when this module is (an emergency stop must not find an ImportError when it is needed), its own
connection and key, no loop, no thread. Every method may raise; the emergency stop asks again for ever. Before each
request it says that it lives (`beat`): a request waits at most `REST_TIMEOUT_MS`, many of them may take a minute.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from actors.rules.ess import Sight
from actors.venues import exchange as ccxt_room
from config import secrets


class EssVenue:
    """One account at one venue. `look` before anything else."""

    def __init__(
        self, *, venue: str, product: str, url: str | None, key: str, secret: str, beat: Callable[[], None]
    ) -> None:
        self.venue, self.product, self._beat = venue, product, beat
        self._exchange = ccxt_room.plain(product, url, key, secret)
        self._ready = False

    def warm(self) -> None:
        """Load the instruments and the clock's difference, once. Raises what ccxt raises."""
        if not self._ready:
            self._ask(self._exchange.load_markets)
            self._ask(self._exchange.load_time_difference)
            self._ready = bool(self._exchange.markets)

    def look(self) -> Sight:
        """Open orders (conditional ones, too) and positions, or the problem. Never raises."""
        try:
            self.warm()
            orders = self._ask(self._exchange.fetch_open_orders)
            if self.product == "usdm":
                orders = orders + self._ask(self._exchange.fetch_open_orders, None, None, None, {"trigger": True})
            positions = self._ask(self._exchange.fetch_positions) if self.product == "usdm" else []
            held = [(row["symbol"], Decimal(str(row["info"]["positionAmt"]))) for row in positions]
            return Sight(
                venue=self.venue,
                orders=tuple(sorted({row["symbol"] for row in orders})),
                positions=tuple((symbol, quantity) for symbol, quantity in held if quantity),
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the venue was not seen; the stop looks again
            return Sight(venue=self.venue, problem=ccxt_room.text_of(error))

    def cancel(self, symbols: tuple[str, ...]) -> str:
        """Cancel every order of these symbols; "" or what went wrong. One symbol's failure stops no other."""
        problems = []
        for symbol in symbols:
            for parameters in ({}, {"trigger": True}) if self.product == "usdm" else ({},):
                problem = self._tried(self._exchange.cancel_all_orders, symbol, parameters)
                if problem and "-2011" not in problem:  # spot: nothing to cancel
                    problems.append(f"{symbol}: {problem}")
        return "; ".join(problems)

    def flatten(self, positions: tuple[tuple[str, Decimal], ...]) -> str:
        """Send a reduce-only market order against each position, at most the venue's largest; "" or what went wrong."""
        problems = []
        for symbol, quantity in positions:
            largest = self._exchange.market(symbol)["limits"].get("market", {}).get("max")
            size = min(abs(quantity), Decimal(str(largest))) if largest else abs(quantity)
            parameters = {"reduceOnly": True, "newClientOrderId": f"ess-{uuid.uuid4().hex[:28]}"}
            side = "sell" if quantity > 0 else "buy"
            problem = self._tried(self._exchange.create_order, symbol, "market", side, str(size), None, parameters)
            if problem:
                problems.append(f"{symbol}: {problem}")
        return "; ".join(problems)

    def _ask(self, action: Any, *arguments: Any) -> Any:
        self._beat()
        return action(*arguments)

    def _tried(self, action: Any, *arguments: Any) -> str:
        try:
            self._ask(action, *arguments)
        except Exception as error:  # noqa: BLE001 - told, and tried again after the next look
            return ccxt_room.text_of(error)
        return ""


def open(settings: dict[str, Any], beat: Callable[[], None]) -> EssVenue:
    """One entry of `run/ess_settings.json`: id, product, url, and key and secret by value or by name (…_env).

    Raises:
        KeyError, BadVenue, SecretError: the entry is incomplete or wrong.
    """
    key = settings.get("key") or secrets.read(settings["key_env"]).reveal()
    secret = settings.get("secret") or secrets.read(settings["secret_env"]).reveal()
    url = settings.get("url") or None
    return EssVenue(venue=settings["id"], product=settings["product"], url=url, key=key, secret=secret, beat=beat)
