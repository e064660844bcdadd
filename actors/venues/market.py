"""The built-in market: a seeded, clockless source of books and trades for `sim` mode, training and tests.

Picture: each base has a *regime* (quiet, choppy, trending up or down) that pulls a hidden *pressure*; pressure leans
the book and the taker flow at once and moves the price over the next seconds. So what can be seen predicts a little of
what comes, and an honest model has skill. Volatility clusters, all bases share one factor, shocks hit all of them, the
perpetual leads its spot by a fraction of a second and their basis wanders back to its usual place.

It is livelier than a calm day (a 20 s move of 10 bps is common), so that a minute of `sim` shows something. It does
not match orders, knows no client, no wall clock and no thread; what you buy does not move it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import NamedTuple

STEP_S = 0.1  # market time of one step
LEVELS = 20  # of each side of a book
PRODUCTS = ("spot", "usdm")
QUOTE = "USDT"


class Instrument(NamedTuple):
    """The trading rules of one product and base, in the quote currency and in the base currency."""

    product: str
    base: str
    tick_size: Decimal
    lot_size: Decimal
    min_notional: Decimal


class Trade(NamedTuple):
    """One taker trade; `buyer_is_maker` means that the seller took."""

    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class InstrumentStep:
    """One instrument after a step: 20 levels a side, best first, and the trades of the step, oldest first."""

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    trades: tuple[Trade, ...]
    mark_price: Decimal


@dataclass(frozen=True, slots=True)
class MarketStep:
    """The whole market after step `number` (1, 2, 3 …); `instruments` is keyed by (product, base)."""

    number: int
    instruments: dict[tuple[str, str], InstrumentStep]


class _Base(NamedTuple):
    price: float  # where it starts, give or take 5 %
    beta: float  # volatility and drift against BTC
    usdm: tuple[str, str, str, int]  # tick size, lot size, min notional, ticks between the deeper levels
    spot: tuple[str, str, str, int]
    depth: float  # typical notional of one level


_BASES = {
    "BTC": _Base(64000.0, 1.0, ("0.1", "0.001", "50", 10), ("0.01", "0.00001", "5", 100), 90_000.0),
    "ETH": _Base(3200.0, 1.15, ("0.01", "0.001", "20", 5), ("0.01", "0.0001", "5", 5), 60_000.0),
    "SOL": _Base(150.0, 1.5, ("0.001", "0.01", "5", 4), ("0.001", "0.001", "5", 4), 30_000.0),
}

# regime: (mean of the pressure, volatility in bps per square root of a second, shortest and longest stay in seconds)
_REGIMES = {
    "quiet": (0.0, 0.9, 10.0, 35.0),
    "choppy": (0.0, 2.2, 10.0, 30.0),
    "up": (1.0, 1.5, 18.0, 50.0),
    "down": (-1.0, 1.5, 18.0, 50.0),
}
_NEXT = {  # where a regime goes; an equal share up and down keeps the market fair in the long run
    "quiet": ("choppy", "up", "down", "up", "down"),
    "choppy": ("quiet", "up", "down", "up", "down"),
    "up": ("quiet", "choppy", "choppy", "down"),
    "down": ("quiet", "choppy", "choppy", "up"),
}
_DRIFT_BPS = 1.1  # per second at a pressure of 1
_FOLLOW = 0.6  # how often a base takes the regime of the whole market
_COMMON = 0.75  # correlation of the bases' noise
_SHOCK_EVERY_S = 150.0
_BASIS_BPS = -4.0  # the usual place of perpetual minus spot
_BPS = 1e-4


class Market:
    """`Market(seed).step()` again and again; equal seeds and bases give equal steps, for ever."""

    def __init__(self, seed: int, bases: tuple[str, ...] = ("BTC", "ETH", "SOL")) -> None:
        unknown = [base for base in bases if base not in _BASES]
        if unknown or not bases:
            raise ValueError(
                f"the built-in market knows {', '.join(_BASES)}; asked for {', '.join(bases) or 'nothing'}"
            )
        self._rng = Random(f"market:{seed}")
        self._number = 0
        self._regime, self._regime_left = self._next_regime("quiet")
        self._shock_bps = 0.0  # what a shock in progress still has to move
        self._stress = 0.0  # 1 right after a shock, fading: wide spreads, thin books
        self._bases = [_BaseState(base, _BASES[base], self._rng) for base in bases]

    def instruments(self) -> tuple[Instrument, ...]:
        """The rules of all instruments, spot and usdm of each base."""
        found = []
        for state in self._bases:
            for side in (state.spot, state.usdm):
                found.append(Instrument(side.product, state.base, side.tick, side.lot, side.min_notional))
        return tuple(found)

    def step(self) -> MarketStep:
        """Advance by 0.1 s of market time."""
        rng = self._rng
        self._number += 1
        self._regime_left -= STEP_S
        if self._regime_left <= 0.0:
            self._regime, self._regime_left = self._next_regime(self._regime)
        if rng.random() < STEP_S / _SHOCK_EVERY_S:
            self._shock_bps = rng.choice((-1.0, 1.0)) * rng.uniform(8.0, 22.0)
            self._stress = 1.0
        jump = self._shock_bps * 0.3  # a shock takes about a second, not one print
        self._shock_bps -= jump
        self._stress *= 0.985
        common = rng.gauss(0.0, 1.0)
        instruments: dict[tuple[str, str], InstrumentStep] = {}
        for state in self._bases:
            state.advance(rng, common, jump, self._stress, self._regime)
            instruments["spot", state.base] = state.spot.quote(rng, state, state.spot_price, self._stress)
            instruments["usdm", state.base] = state.usdm.quote(rng, state, state.price, self._stress)
        return MarketStep(self._number, instruments)

    def _next_regime(self, old: str) -> tuple[str, float]:
        new = self._rng.choice(_NEXT[old])
        return new, self._rng.uniform(*_REGIMES[new][2:])


class _BaseState:
    """The hidden state of one base: pressure, volatility, price of the perpetual, and the spot that follows it."""

    def __init__(self, base: str, rules: _Base, rng: Random) -> None:
        self.base = base
        self.beta = rules.beta
        self.price = rules.price * rng.uniform(0.95, 1.05)
        self.anchor = self.price  # what a choppy market returns to
        self.follower = self.price  # the perpetual as the spot market knows it
        self.pressure = 0.0
        self.volatility = _REGIMES["quiet"][1]
        self.basis_bps = _BASIS_BPS + rng.gauss(0.0, 1.0)
        self.spot_price = self.price
        self.regime, self.left = "quiet", rng.uniform(1.0, 8.0)
        self.spot = _Side("spot", rules.spot, rules.depth * 0.6, rules.price)
        self.usdm = _Side("usdm", rules.usdm, rules.depth, rules.price)

    def advance(self, rng: Random, common: float, jump_bps: float, stress: float, market_regime: str) -> None:
        self.left -= STEP_S
        if self.left <= 0.0:
            self.regime = market_regime if rng.random() < _FOLLOW else rng.choice(_NEXT[self.regime])
            self.left = rng.uniform(*_REGIMES[self.regime][2:])
        mean, volatility, _, _ = _REGIMES[self.regime]
        own = rng.gauss(0.0, 1.0)
        # pressure returns to its regime's mean within about 2 s; its own noise is what a model cannot know
        self.pressure += (mean - self.pressure) * 0.05 + 0.09 * rng.gauss(0.0, 1.0)
        noise = _COMMON * common + math.sqrt(1.0 - _COMMON * _COMMON) * own
        # volatility clusters: a big move feeds the next ones, then it fades towards the regime's level
        self.volatility += (volatility * (1.0 + 2.0 * stress) - self.volatility) * 0.03
        self.volatility = min(8.0, max(0.3, self.volatility + 0.06 * self.volatility * (noise * noise - 1.0) * 0.5))
        move_bps = self.beta * (_DRIFT_BPS * self.pressure * STEP_S + self.volatility * math.sqrt(STEP_S) * noise)
        move_bps += self.beta * jump_bps
        if self.regime == "choppy":
            move_bps += (self.anchor / self.price - 1.0) / _BPS * 0.02
        self.price *= 1.0 + move_bps * _BPS
        self.anchor += (self.price - self.anchor) * 0.01
        self.follower += (self.price - self.follower) * 0.5  # the spot knows it about 0.1 s later
        self.basis_bps += (_BASIS_BPS - self.basis_bps) * 0.002 + 0.12 * rng.gauss(0.0, 1.0)
        self.spot_price = self.follower / (1.0 + self.basis_bps * _BPS)


class _Side:
    """One instrument's book: integers of ticks and lots inside, Decimals outside. Levels live on while in reach."""

    def __init__(self, product: str, rules: tuple[str, str, str, int], depth: float, price: float) -> None:
        self.product = product
        self.tick, self.lot, self.min_notional = (Decimal(text) for text in rules[:3])
        self._tick, self._lot, self._grid = float(self.tick), float(self.lot), rules[3]
        self._mark_step = self.tick / 100
        self._level_lots = depth / price / self._lot
        self._bids: dict[int, int] = {}  # ticks -> lots
        self._asks: dict[int, int] = {}
        self._touch: tuple[int, int] | None = None  # best bid and ask of the step before, in ticks
        self._mark: float | None = None  # smoothed price, known after the first step

    def quote(self, rng: Random, state: _BaseState, price: float, stress: float) -> InstrumentStep:
        """The new book around `price`, and the trades that happened at the touch the takers saw."""
        wide = (state.volatility - 0.5) * 0.15 + 4.0 * stress
        spread = 1 + int(rng.expovariate(1.0) * max(0.2, wide) * price * 2e-6 / self._tick + rng.random() * 0.6)
        bid = round(price / self._tick - spread / 2)
        ask = bid + spread
        grid = self._grid
        lots = self._level_lots * (1.0 - 0.6 * stress)
        lean = math.tanh(state.pressure) * 0.45
        below = bid - 1 - (bid - 1) % grid
        above = ask + 1 + -(ask + 1) % grid
        bids = self._side(rng, self._bids, bid, below, -grid, lots, lean)
        asks = self._side(rng, self._asks, ask, above, grid, lots, -lean)
        trades = self._trades(rng, state, self._touch or (bid, ask), lots)
        self._bids, self._asks, self._touch = bids, asks, (bid, ask)
        self._mark = price if self._mark is None else self._mark + (price - self._mark) * 0.2
        tick, lot = self.tick, self.lot
        return InstrumentStep(
            tuple([(ticks * tick, size * lot) for ticks, size in bids.items()]),
            tuple([(ticks * tick, size * lot) for ticks, size in asks.items()]),
            trades,
            int(self._mark / self._tick * 100) * self._mark_step,
        )

    def _side(
        self, rng: Random, old: dict[int, int], touch: int, first: int, grid: int, lots: float, lean: float
    ) -> dict[int, int]:
        random, levels = rng.random, {touch: 1 + int(lots * 0.5 * rng.lognormvariate(lean, 0.6))}
        tilted = lots * math.exp(lean)
        for depth in range(LEVELS - 1):
            price = first + depth * grid
            size = old.get(price)
            if size is None or random() < 0.2:  # most levels rest, some are new or changed
                size = 1 + int((tilted if depth < 6 else lots) * (0.4 + 1.2 * random()) * (1.0 + 0.08 * depth))
            levels[price] = size
        return levels

    def _trades(self, rng: Random, state: _BaseState, touch: tuple[int, int], lots: float) -> tuple[Trade, ...]:
        count = min(12, int(rng.expovariate(1.0 / (0.6 + 0.8 * state.volatility))))
        buying = 0.5 + 0.3 * math.tanh(state.pressure)
        trades = []
        for _ in range(count):
            seller_took = rng.random() >= buying
            size = 1 + int(lots * 0.05 * rng.lognormvariate(0.0, 1.0))
            trades.append(Trade(touch[0 if seller_took else 1] * self.tick, size * self.lot, seller_took))
        return tuple(trades)
