"""What can be traded: steps and limits of each instrument, and the exchangeInfo row ccxt reads them from.

Steps of the known instruments are Binance's. An instrument that is only known from a recording takes its steps from the
decimals of its captured book.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

SPOT = "spot"
USDM = "usdm"
VENUES = {SPOT: "binance", USDM: "binanceusdm"}  # what the house calls them
QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "BTC", "ETH", "BNB")
MIN_NOTIONAL = Decimal(5)

_KNOWN: dict[tuple[str, str], tuple[str, str]] = {  # (product, venue symbol): price step, quantity step
    (SPOT, "BTCUSDT"): ("0.01", "0.00001"),
    (SPOT, "ETHUSDT"): ("0.01", "0.0001"),
    (SPOT, "SOLUSDT"): ("0.01", "0.001"),
    (SPOT, "XRPUSDT"): ("0.0001", "0.1"),
    (SPOT, "LTCUSDT"): ("0.01", "0.001"),
    (USDM, "BTCUSDT"): ("0.1", "0.001"),
    (USDM, "ETHUSDT"): ("0.01", "0.001"),
    (USDM, "SOLUSDT"): ("0.01", "0.01"),
    (USDM, "XRPUSDT"): ("0.0001", "0.1"),
    (USDM, "LTCUSDT"): ("0.01", "0.001"),
}


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable thing. `symbol` is the venue's ("BTCUSDT"), `unified` is ccxt's ("BTC/USDT:USDT")."""

    product: str
    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_notional: Decimal = MIN_NOTIONAL
    max_quantity: Decimal = Decimal(9000)

    @property
    def unified(self) -> str:
        return f"{self.base}/{self.quote}" + (f":{self.quote}" if self.product == USDM else "")

    @property
    def name(self) -> str:
        """The name the house uses in counts: `binance:BTC/USDT`."""
        return f"{VENUES[self.product]}:{self.unified}"

    @property
    def key(self) -> tuple[str, str]:
        return (self.product, self.symbol)

    def price_text(self, price: Decimal) -> str:
        return f"{price:.8f}" if self.product == SPOT else f"{price:.{max(2, decimals(self.tick))}f}"

    def quantity_text(self, quantity: Decimal) -> str:
        return f"{quantity:.8f}" if self.product == SPOT else f"{quantity:.{decimals(self.lot)}f}"


def decimals(step: Decimal) -> int:
    """Digits after the point of a step: 0.010 has 2."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -int(exponent))


def known(product: str, symbol: str) -> Instrument:
    """The instrument by the venue's symbol. Raises ValueError for one we have no steps for."""
    steps = _KNOWN.get((product, symbol))
    if steps is None:
        raise ValueError(
            f"no steps known for {product} {symbol}; known are {sorted(s for p, s in _KNOWN if p == product)}"
        )
    return _make(product, symbol, Decimal(steps[0]), Decimal(steps[1]))


def from_book(product: str, symbol: str, prices: Iterable[str], quantities: Iterable[str]) -> Instrument:
    """An instrument of a recording: known steps, or the finest decimals found in the captured book."""
    if (product, symbol) in _KNOWN:
        return known(product, symbol)
    return _make(product, symbol, _finest(prices), _finest(quantities))


def _finest(texts: Iterable[str]) -> Decimal:
    return Decimal(1).scaleb(-max((decimals(Decimal(text)) for text in texts if Decimal(text)), default=8))


def _make(product: str, symbol: str, tick: Decimal, lot: Decimal) -> Instrument:
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return Instrument(
                product=product, symbol=symbol, base=symbol[: -len(quote)], quote=quote, tick=tick, lot=lot
            )
    raise ValueError(f"{symbol} ends in none of the quote currencies {', '.join(QUOTES)}: cannot tell base from quote")


def exchange_info(product: str, instruments: Iterable[Instrument], now_ms: int) -> dict[str, Any]:
    """The answer of exchangeInfo (reference/exchanges.md 4.1, "exchangeInfo row, minimum")."""
    row = _spot_row if product == SPOT else _usdm_row
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [row(i) for i in instruments if i.product == product],
    }


def _spot_row(i: Instrument) -> dict[str, Any]:
    return {
        "symbol": i.symbol,
        "status": "TRADING",
        "baseAsset": i.base,
        "baseAssetPrecision": 8,
        "quoteAsset": i.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": f"{i.tick:.8f}",
                "maxPrice": "1000000.00000000",
                "tickSize": f"{i.tick:.8f}",
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": f"{i.lot:.8f}",
                "maxQty": f"{i.max_quantity:.8f}",
                "stepSize": f"{i.lot:.8f}",
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": f"{i.min_notional:.8f}",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": ["SPOT"],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }


def _usdm_row(i: Instrument) -> dict[str, Any]:
    step, most = str(i.lot), str(i.max_quantity)
    return {
        "symbol": i.symbol,
        "pair": i.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": i.base,
        "quoteAsset": i.quote,
        "marginAsset": i.quote,
        "pricePrecision": max(2, decimals(i.tick)),
        "quantityPrecision": decimals(i.lot),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": str(i.tick), "maxPrice": "4529764", "tickSize": str(i.tick)},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": most, "stepSize": step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": most, "stepSize": step},
            {"filterType": "MIN_NOTIONAL", "notional": str(i.min_notional)},
        ],
    }
