"""How far a perpetual stands from its spot, and from its own usual distance. Pure: `now` is passed in (monotonic).

Picture: two legs, each a mid with its time of receipt, or no mid and the reason. The basis is 10,000 ln(perp / spot).
Its median over the run comes from a histogram of 0.05 bps buckets (fixed memory, never off by more than a bucket), its
usual value of late from the last five minutes of samples; divergence is the distance from that one, so a permanent
premium is quiet. A leg whose feed is not LIVE never enters.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

import msgspec
import numpy as np

from actors.messages.market import CrossReading, Reading, Stale, Unavailable
from actors.rules.readings import reading

BUCKET_BPS = 0.05
RANGE_BPS = 1000.0  # beyond it a basis is counted in the outermost bucket
ROLLING_EVERY_S = 0.25
ROLLING_KEPT = 1200  # five minutes
ROLLING_LEAST = 20  # five seconds, shorter than the models' warm-up
FEED_SILENCE_S = 5.0


class Leg(msgspec.Struct, frozen=True):
    """One product's mid. `fault` is "" while its feed is LIVE; without a mid the fault, or its absence, says why."""

    mid: float | None = None
    at: float = 0.0  # receipt, monotonic
    fault: str = "no word from its feed yet"
    told_at: float = 0.0  # the feed's last word about itself


def ticked(leg: Leg, bid: float, ask: float, now: float) -> Leg:
    """A top of book came; one that is no price is not entered."""
    mid = (bid + ask) / 2
    if not (math.isfinite(mid) and bid > 0 and ask > 0):
        return leg
    return msgspec.structs.replace(leg, mid=mid, at=now)


def told(leg: Leg, fault: str, now: float) -> Leg:
    """The feed spoke about itself. After a fault the old mid is gone for good: what comes next must be new."""
    if fault:
        return Leg(fault=fault, told_at=now)
    return msgspec.structs.replace(leg, fault="", told_at=now)


def fault_of(leg: Leg, now: float) -> str:
    """Why this leg may not enter, "" if it may."""
    if leg.fault:
        return leg.fault
    if now - leg.told_at > FEED_SILENCE_S:
        return f"its feed has said nothing for more than {FEED_SILENCE_S:g} s"
    return "" if leg.mid is not None else "no tick yet"


def basis_bps(perpetual: float, spot: float) -> float:
    """10,000 ln(perpetual / spot). Both must be positive."""
    return 1e4 * math.log(perpetual / spot)


class Histogram:
    """Counts of values in buckets of `BUCKET_BPS` within ±`RANGE_BPS`; bounded memory, exact counts."""

    def __init__(self) -> None:
        self.count = 0
        self._half = round(RANGE_BPS / BUCKET_BPS)
        self._buckets = np.zeros(2 * self._half + 1, dtype=np.int64)

    def add(self, value: float) -> None:
        """Count a finite value."""
        index = max(-self._half, min(self._half, round(value / BUCKET_BPS)))
        self._buckets[index + self._half] += 1
        self.count += 1

    def median(self) -> float | None:
        """Centre of the bucket that holds the (lower) median; None without a value."""
        if not self.count:
            return None
        at = int(np.searchsorted(np.cumsum(self._buckets), (self.count + 1) // 2))
        return round((at - self._half) * BUCKET_BPS, 6)


class Pair:
    """Spot and perpetual of one base."""

    def __init__(self, base: str, stale_after_s: float) -> None:
        self.base = base
        self.stale_after_s = stale_after_s
        self.legs = {"spot": Leg(), "usdm": Leg()}
        self.run = Histogram()
        self._recent: deque[float] = deque(maxlen=ROLLING_KEPT)
        self._recent_at = -math.inf
        self._usual: float | None = None

    def tick(self, product: str, bid: float, ask: float, now: float) -> None:
        """A tick of one leg; sampled when both are fresh."""
        self.legs[product] = ticked(self.legs[product], bid, ask, now)
        basis = self._basis(now)
        if basis is None or self._age(now) > self.stale_after_s:
            return
        self.run.add(basis)
        if now - self._recent_at >= ROLLING_EVERY_S:
            self._recent_at = now
            self._recent.append(basis)
            self._usual = median(self._recent) if len(self._recent) >= ROLLING_LEAST else None

    def feed(self, product: str, fault: str, now: float) -> None:
        """What the feed of one leg says about itself: "" for LIVE, else why not."""
        self.legs[product] = told(self.legs[product], fault, now)

    def reading(self, now: float) -> CrossReading:
        """What may be said now."""
        basis, age_s = self._basis(now), self._age(now)
        now_reading = reading(basis, age_s, self.stale_after_s, self._why(now))
        divergence: Reading
        if isinstance(now_reading, Stale | Unavailable):
            divergence = now_reading
        elif basis is None or self._usual is None:
            divergence = Unavailable(reason=f"{len(self._recent)} of {ROLLING_LEAST} samples of the usual basis so far")
        else:
            divergence = reading(basis - self._usual, age_s, self.stale_after_s)
        return CrossReading(
            base=self.base,
            basis_bps=now_reading,
            divergence_bps=divergence,
            median_basis_bps=reading(self.run.median(), 0.0, self.stale_after_s, "no sample yet"),
            samples=self.run.count,
        )

    def _basis(self, now: float) -> float | None:
        spot, perpetual = self.legs["spot"], self.legs["usdm"]
        if fault_of(spot, now) or fault_of(perpetual, now) or spot.mid is None or perpetual.mid is None:
            return None
        return basis_bps(perpetual.mid, spot.mid)

    def _age(self, now: float) -> float:
        return max(now - leg.at for leg in self.legs.values())

    def _why(self, now: float) -> str:
        faults = ((product, fault_of(leg, now)) for product, leg in self.legs.items())
        return "; ".join(f"{product}: {fault}" for product, fault in faults if fault)
