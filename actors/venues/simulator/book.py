"""The true book of one instrument: every level the market shows, in the venue's own text.

Levels are kept as text (what goes out again must be what came in) and ordered by a list of floats beside them; a float
orders prices of 8 decimals exactly enough, it never becomes money.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import msgspec

Level = tuple[str, str]  # price, quantity


class Delta(msgspec.Struct):
    """A depthUpdate frame, as far as the book needs it. `pu` is there on USD-M only."""

    U: int
    u: int
    b: list[Level]
    a: list[Level]
    E: int = 0
    pu: int | None = None


class Snapshot(msgspec.Struct):
    """A REST depth answer."""

    lastUpdateId: int  # noqa: N815 the venue's word
    bids: list[Level]
    asks: list[Level]
    E: int = 0
    T: int = 0


class Side:
    """One side of a book; `best_first` walks it from the best price."""

    def __init__(self, *, descending: bool) -> None:
        self._descending = descending
        self._levels: dict[float, Level] = {}
        self._prices: list[float] = []

    def __len__(self) -> int:
        return len(self._prices)

    def set(self, price: str, quantity: str) -> None:
        key = float(price)
        if float(quantity) == 0.0:
            if self._levels.pop(key, None) is not None:
                del self._prices[bisect_left(self._prices, key)]
            return
        if key not in self._levels:
            insort(self._prices, key)
        self._levels[key] = (price, quantity)

    def get(self, price: float) -> Level | None:
        return self._levels.get(price)

    def best(self) -> Level | None:
        if not self._prices:
            return None
        return self._levels[self._prices[-1 if self._descending else 0]]

    def best_first(self) -> Iterator[Level]:
        prices = reversed(self._prices) if self._descending else iter(self._prices)
        return (self._levels[price] for price in prices)

    def clear(self) -> None:
        self._levels.clear()
        self._prices.clear()


class Book:
    """Both sides and the update id of the last change. One writer: the player or the generator."""

    def __init__(self) -> None:
        self.bids = Side(descending=True)
        self.asks = Side(descending=False)
        self.last_update_id = 0
        self.event_ms = 0

    def load(self, snapshot: Snapshot) -> None:
        self.bids.clear()
        self.asks.clear()
        for price, quantity in snapshot.bids:
            self.bids.set(price, quantity)
        for price, quantity in snapshot.asks:
            self.asks.set(price, quantity)
        self.last_update_id = snapshot.lastUpdateId
        self.event_ms = snapshot.E

    def apply(self, delta: Delta) -> bool:
        """Apply a delta that is newer than the book; an older one changes nothing and returns False."""
        if delta.u <= self.last_update_id:
            return False
        for price, quantity in delta.b:
            self.bids.set(price, quantity)
        for price, quantity in delta.a:
            self.asks.set(price, quantity)
        self.last_update_id = delta.u
        self.event_ms = delta.E
        return True

    def top(self, levels: int) -> tuple[list[Level], list[Level]]:
        """The best levels of both sides, best first."""
        return (
            [level for _, level in zip(range(levels), self.bids.best_first(), strict=False)],
            [level for _, level in zip(range(levels), self.asks.best_first(), strict=False)],
        )

    def snapshot(self, levels: int) -> Snapshot:
        bids, asks = self.top(levels)
        return Snapshot(lastUpdateId=self.last_update_id, bids=bids, asks=asks, E=self.event_ms, T=self.event_ms)
