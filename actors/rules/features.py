"""Sixteen features of one instrument, updated in O(1) per tick, and the window of the last 64 rows the models see.

Picture: event time is cut into slots of 100 ms. The newest slot is provisional: every tick of it writes the row anew,
starting from the averages of the slot before. When a tick of a later slot comes, the slot is committed, and slots
without a tick are filled with what still stands (no news is an unchanged book). So the features mean the same at 5
ticks a second and at 5,000, and each tick has a row of its own.

Everything is a ratio or in basis points, so one model serves all instruments. A reading that is not there is said by
`basis_known` = 0; its neighbour is then 0 by the rule the models were trained with, not by decoding nothing to zero.
It does not know clocks, venues or models. The layout of the numbers is `SCHEMA`; a model made for another is refused.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from struct import Struct

import numpy as np
import numpy.typing as npt

from actors.messages.market import Tick

SLOT_NS = 100_000_000
LOOKBACK = 64  # slots the longest features look back
WINDOW = 64  # rows a model sees
WARMUP_SLOTS = 100  # before that the answer is "not yet"
MAX_GAP_SLOTS = 20  # a longer silence than 2 s is a gap: what came before says nothing about what comes after
RESUM_SLOTS = 4096  # running sums drift; they are summed anew this often

SCHEMA_VERSION = 1
SCHEMA: tuple[str, ...] = (
    "return_500ms_bps",
    "return_2s_bps",
    "return_6s_bps",
    "trend_fast_bps",  # average of 1 s over average of 5 s
    "trend_slow_bps",  # mid over average of 20 s
    "spread_bps",
    "imbalance_top",  # (bid - ask) / (bid + ask) of the best quantities
    "imbalance_depth",  # of the best five levels
    "imbalance_5s",  # its average
    "flow_1s",  # (bought - sold) / (bought + sold), averaged
    "flow_5s",
    "volatility_bps",  # of the mid, per square root of a second
    "zscore_6s",
    "range_6s",  # 0 at the low, 1 at the high
    "basis_gap_bps",  # perpetual minus spot against its own average of 30 s
    "basis_known",
)
WIDTH = len(SCHEMA)
SCHEMA_HASH = hashlib.sha256(
    f"{SCHEMA_VERSION}|{SLOT_NS}|{LOOKBACK}|{WINDOW}|{WARMUP_SLOTS}|{','.join(SCHEMA)}".encode()
).hexdigest()

Array = npt.NDArray[np.float32]

_PACK = Struct(f"{WIDTH}f").pack_into
_sqrt = math.sqrt
_A1 = 1.0 - math.exp(-0.1 / 1.0)  # weight of one slot in an average of 1, 5, 10, 20, 30 s
_A5 = 1.0 - math.exp(-0.1 / 5.0)
_A10 = 1.0 - math.exp(-0.1 / 10.0)
_A20 = 1.0 - math.exp(-0.1 / 20.0)
_A30 = 1.0 - math.exp(-0.1 / 30.0)
_SQRT10 = _sqrt(10.0)  # slots of 0.1 s in a second
_BPS = 1e4
_LEAST, _MOST, _MOST_BPS = 1e-12, 1e15, 1e6  # within these every number of a row is finite


class BadTick(ValueError):
    """A tick that is no book: crossed, not finite, not positive. The features stay as they were."""


class Features:
    """The features of one instrument. One thread, one instrument; feed ticks in event order.

    `update` takes about 3 µs. `inputs()` is None while warming up, then the newest row, float32 of shape (1, 16), and
    the window, float32 of shape (1, 64, 16), oldest row first: both are views that the next update overwrites.
    """

    def __init__(self) -> None:
        ring = np.zeros((2 * WINDOW, WIDTH), dtype=np.float32)
        self._bytes = [(ring[k].data.cast("B"), ring[k + WINDOW].data.cast("B")) for k in range(WINDOW)]
        # every view the ring will ever need, made once: after row k the window is rows k+1 … k+64, one slice
        self._rows = [ring[k + WINDOW : k + WINDOW + 1] for k in range(WINDOW)]
        self._windows = [ring[k + 1 : k + 1 + WINDOW].reshape(1, WINDOW, WIDTH) for k in range(WINDOW)]
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next tick is the first. Warm-up starts again."""
        self.slots = 0  # slots begun since the reset, the provisional one included
        self._slot = -(1 << 62)
        self._tick: Tick | None = None
        self._px = [0.0] * LOOKBACK
        self._mid = self._prev = 0.0
        self._buy = self._sell = 0.0
        self._basis: float | None = None
        self._basis_avg: float | None = None
        # the nine averages (see `_write`) as the last committed slot left them, and with the provisional slot in them
        self._averages = self._provisional = (0.0,) * 9
        self._s1 = self._s2 = self._ref = 0.0
        self._max: deque[tuple[int, float]] = deque()
        self._min: deque[tuple[int, float]] = deque()

    @property
    def warm(self) -> bool:
        """Whether `inputs` answers."""
        return self.slots >= WARMUP_SLOTS

    @property
    def volatility(self) -> float:
        """Standard deviation of the mid's return over one second, as a ratio (not in bps)."""
        return _sqrt(self._provisional[3]) * _SQRT10 / _BPS

    def inputs(self) -> tuple[Array, Array] | None:
        """The models' inputs (row, window), or None while warming up."""
        if self.slots < WARMUP_SLOTS:
            return None
        k = (self.slots - 1) % WINDOW
        return self._rows[k], self._windows[k]

    def update(self, tick: Tick, at_ns: int, basis_bps: float | None = None) -> None:
        """Take a tick of event time `at_ns`, and the basis in bps if there is a fresh reading of it.

        Raises `BadTick` for what is no book, or a basis that is none. What passes makes finite rows only, so the models
        need not be guarded against NaN tick by tick. A silence over 2 s, or time running backwards as far, resets.
        """
        if not (
            _LEAST < tick.bid < tick.ask < 2.0 * tick.bid < _MOST
            and tick.bid_size >= 0.0 <= tick.ask_size
            and tick.bid_depth >= 0.0 <= tick.ask_depth
            and tick.bought >= 0.0 <= tick.sold
            and tick.bid_size + tick.ask_size + tick.bid_depth + tick.ask_depth + tick.bought + tick.sold < 1e30
            and (basis_bps is None or -_MOST_BPS <= basis_bps <= _MOST_BPS)
        ):
            raise BadTick(
                f"{tick.venue} {tick.symbol}: bid {tick.bid!r} x {tick.bid_size!r} (depth {tick.bid_depth!r}), ask"
                f" {tick.ask!r} x {tick.ask_size!r} (depth {tick.ask_depth!r}), bought {tick.bought!r}, sold"
                f" {tick.sold!r}, basis {basis_bps!r} bps is no book (wanted 0 < bid < ask < twice the bid, finite"
                f" quantities from 0 and a basis within {_MOST_BPS:g} bps); the tick is ignored"
            )
        slot = at_ns // SLOT_NS
        ahead = slot - self._slot
        known = -MAX_GAP_SLOTS <= ahead <= MAX_GAP_SLOTS
        if known and not 0.5 < tick.bid / self._mid < 2.0:
            raise BadTick(
                f"{tick.venue} {tick.symbol}: bid {tick.bid!r} after a mid of {self._mid!r} less than"
                f" {MAX_GAP_SLOTS * SLOT_NS / 1e9:g} s before (limit: a factor of 2); the tick is ignored"
            )
        if ahead > 0:
            if not known:
                self.reset()
                self._slot = slot - 1
                ahead = 1
            while ahead > 1:  # slots in which nothing came: the book stood still
                self._begin_slot()
                self._write(self._tick, self._basis)  # type: ignore[arg-type]  # known, so there was one
                ahead -= 1
            self._begin_slot()
        elif not known:
            self.reset()
            self._slot = slot - 1
            self._begin_slot()
        self._buy += tick.bought
        self._sell += tick.sold
        self._write(tick, basis_bps)

    def _begin_slot(self) -> None:
        """Commit the provisional slot, if there is one, and open the next."""
        self._slot += 1
        n = self.slots
        self.slots = n + 1
        if n == 0:
            return
        mid = self._mid
        self._averages = self._provisional
        self._buy = self._sell = 0.0
        self._prev = mid
        basis = self._basis
        if basis is not None:
            average = self._basis_avg
            self._basis_avg = basis if average is None else average + (basis - average) * _A30
        n -= 1  # the number of the slot that is committed
        px = self._px
        i = n & 63
        x = mid - self._ref  # sums of distances, not of prices: the squares keep their digits
        if n >= LOOKBACK:
            old = px[i] - self._ref
            self._s1 += x - old
            self._s2 += x * x - old * old
        else:
            self._s1 += x
            self._s2 += x * x
        px[i] = mid
        if n % RESUM_SLOTS == 0 and n:
            self._ref = mid
            self._s1 = math.fsum(p - mid for p in px)
            self._s2 = math.fsum((p - mid) ** 2 for p in px)
        highs = self._max
        lows = self._min
        while highs and highs[-1][1] <= mid:
            highs.pop()
        highs.append((n, mid))
        while lows and lows[-1][1] >= mid:
            lows.pop()
        lows.append((n, mid))
        if highs[0][0] <= n - LOOKBACK:
            highs.popleft()
        if lows[0][0] <= n - LOOKBACK:
            lows.popleft()

    def _write(self, tick: Tick, basis_bps: float | None) -> None:
        """The row of the provisional slot, from the committed state and this tick, into both halves of the ring."""
        n = self.slots - 1
        bid_size = tick.bid_size
        ask_size = tick.ask_size
        bid_depth = tick.bid_depth
        ask_depth = tick.ask_depth
        mid = (tick.bid + tick.ask) * 0.5
        depth = bid_depth + ask_depth
        top = bid_size + ask_size
        imbalance = (bid_depth - ask_depth) / depth if depth else 0.0
        buy = self._buy
        sell = self._sell
        e1, e5, e20, var, imb, b1, s1, b5, s5 = self._averages
        if n:
            px = self._px
            k = n if n < LOOKBACK else LOOKBACK
            e1 += (mid - e1) * _A1
            e5 += (mid - e5) * _A5
            e20 += (mid - e20) * _A20
            imb += (imbalance - imb) * _A5
            r = (mid / self._prev - 1.0) * _BPS
            var += (r * r - var) * (_A10 if n > 100 else 1.0 / n)  # a plain average until the long one means something
            r5 = (mid / px[(n - 5) & 63] - 1.0) * _BPS if n >= 5 else 0.0
            r20 = (mid / px[(n - 20) & 63] - 1.0) * _BPS if n >= 20 else 0.0
            r64 = (mid / px[n & 63] - 1.0) * _BPS if n >= LOOKBACK else 0.0
            mean = self._s1 / k
            spread2 = self._s2 / k - mean * mean
            z = (mid - self._ref - mean) / _sqrt(spread2) if spread2 > 1e-14 * mid * mid else 0.0
            if z > 8.0:
                z = 8.0
            elif z < -8.0:
                z = -8.0
            high = self._max[0][1]
            low = self._min[0][1]
            if mid > high:
                high = mid
            elif mid < low:
                low = mid
            position = (mid - low) / (high - low) if high > low else 0.5
        else:
            e1 = e5 = e20 = self._ref = self._prev = mid
            imb = imbalance
            var = r5 = r20 = r64 = z = 0.0
            position = 0.5
        b1 += (buy - b1) * _A1
        s1 += (sell - s1) * _A1
        b5 += (buy - b5) * _A5
        s5 += (sell - s5) * _A5
        f1 = b1 + s1
        f5 = b5 + s5
        if basis_bps is None:
            gap = known = 0.0
        else:
            known = 1.0
            average = self._basis_avg
            gap = 0.0 if average is None else basis_bps - average
        self._tick = tick
        self._mid = mid
        self._basis = basis_bps
        self._provisional = (e1, e5, e20, var, imb, b1, s1, b5, s5)
        row, mirror = self._bytes[n & 63]
        _PACK(
            row,
            0,
            r5,
            r20,
            r64,
            (e1 / e5 - 1.0) * _BPS,
            (mid / e20 - 1.0) * _BPS,
            (tick.ask - tick.bid) / mid * _BPS,
            (bid_size - ask_size) / top if top else 0.0,
            imbalance,
            imb,
            (b1 - s1) / f1 if f1 > 0.0 else 0.0,
            (b5 - s5) / f5 if f5 > 0.0 else 0.0,
            _sqrt(var) * _SQRT10,
            z,
            position,
            gap,
            known,
        )
        mirror[:] = row
