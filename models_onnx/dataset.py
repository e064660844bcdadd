"""The training data: the built-in market through the very features the `ai_engine` computes.

Runs are independent markets, one per seed. Fit and tuning rows come from the same seeds, tuning from the later part of
each run with an embargo of one horizon between; the held-out rows come from seeds nobody has fitted or tuned on. Like
in real life, some runs have no basis reading or an old one, and some lose ticks.

A program's part (`python -m models_onnx.train`), not of the product: the only module of this package that knows
`actors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from actors.messages.market import Tick
from actors.rules.features import WIDTH, WINDOW, Features
from actors.venues.market import InstrumentStep, Market

HORIZON_S = 20.0
THRESHOLD_BPS = 10.0  # of the mid over the horizon: about what a round trip costs
RUN_S = 240.0
TUNE_SHARE = 0.25  # the last part of each fitting run
SAMPLE_S = 0.5  # rows this far apart are kept: neighbours say nearly the same
BASES = ("BTC", "ETH", "SOL")
UP, FLAT, DOWN = 0, 1, 2
_STEPS = 10  # per second
_PRODUCT = "usdm"


@dataclass(frozen=True, slots=True)
class Samples:
    """N samples: features (N, 16), windows (N, 64, 16), labels (N,) in {0 up, 1 flat, 2 down}, moves in bps (N,)."""

    features: npt.NDArray[np.float32]
    windows: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    moves_bps: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)


def tick_of(base: str, step: InstrumentStep, bought: float, sold: float, number: int) -> Tick:
    """The perpetual's tick as the feed would make it of this book."""
    return Tick(
        venue="binanceusdm",
        symbol=f"{base}/USDT:USDT",
        bid=float(step.bids[0][0]),
        ask=float(step.asks[0][0]),
        bid_size=float(step.bids[0][1]),
        ask_size=float(step.asks[0][1]),
        bid_depth=float(sum(quantity for _, quantity in step.bids[:5])),
        ask_depth=float(sum(quantity for _, quantity in step.asks[:5])),
        bought=bought,
        sold=sold,
        book_seq=number,
    )


def mid_of(step: InstrumentStep) -> float:
    """The mid price of the book."""
    return float(step.bids[0][0] + step.asks[0][0]) / 2


def generate(seeds: range) -> tuple[Samples, Samples]:
    """(early, late) samples of the runs of `seeds`; late ones begin one horizon after the last early label ended."""
    parts: tuple[list[_Row], list[_Row]] = ([], [])
    for seed in seeds:
        for at_s, row in _run(seed):
            if at_s + HORIZON_S <= RUN_S * (1 - TUNE_SHARE):
                parts[0].append(row)
            elif at_s > RUN_S * (1 - TUNE_SHARE) + HORIZON_S:
                parts[1].append(row)
    return _samples(parts[0]), _samples(parts[1])


def join(first: Samples, second: Samples) -> Samples:
    """All rows of both."""
    return Samples(
        np.concatenate([first.features, second.features]),
        np.concatenate([first.windows, second.windows]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.moves_bps, second.moves_bps]),
    )


_Row = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], float]


def _run(seed: int) -> list[tuple[float, _Row]]:
    """All rows of one market with the time they were taken, labelled by the mid one horizon later."""
    market = Market(seed, BASES)
    chance = Random(f"dataset:{seed}")
    lost = chance.choice((0.0, 0.0, 0.3))  # share of ticks that never came
    basis_every = chance.choice((1, 1, 10, 10, 0))  # steps between basis readings, 0: none
    features = {base: Features() for base in BASES}
    flow = dict.fromkeys(BASES, (0.0, 0.0))
    basis: dict[str, float | None] = dict.fromkeys(BASES)
    mids: dict[str, list[float]] = {base: [] for base in BASES}
    taken: list[tuple[int, str, npt.NDArray[np.float32], npt.NDArray[np.float32]]] = []
    horizon = round(HORIZON_S * _STEPS)
    steps = round(RUN_S * _STEPS)
    every = round(SAMPLE_S * _STEPS)
    for number in range(steps + horizon):
        step = market.step()
        for base in BASES:
            perpetual = step.instruments[_PRODUCT, base]
            mids[base].append(mid_of(perpetual))
            bought, sold = flow[base]
            bought += float(sum(trade.quantity for trade in perpetual.trades if not trade.buyer_is_maker))
            sold += float(sum(trade.quantity for trade in perpetual.trades if trade.buyer_is_maker))
            flow[base] = bought, sold
            if basis_every and number % basis_every == 0:
                basis[base] = (mids[base][-1] / mid_of(step.instruments["spot", base]) - 1.0) * 1e4
            if chance.random() < lost:
                continue
            flow[base] = 0.0, 0.0
            made = features[base]
            made.update(tick_of(base, perpetual, bought, sold, number), number * 100_000_000, basis[base])
            inputs = made.inputs()
            if inputs is not None and number < steps and number % every == 0:
                taken.append((number, base, inputs[0][0].copy(), inputs[1][0].copy()))
    rows: list[tuple[float, _Row]] = []
    for number, base, row, window in taken:
        move = (mids[base][number + horizon] / mids[base][number] - 1.0) * 1e4
        rows.append((number / _STEPS, (row, window, move)))
    return rows


def _samples(rows: list[_Row]) -> Samples:
    features = np.array([row[0] for row in rows], dtype=np.float32).reshape(-1, WIDTH)
    windows = np.array([row[1] for row in rows], dtype=np.float32).reshape(-1, WINDOW, WIDTH)
    moves = np.array([row[2] for row in rows])
    labels = np.where(moves > THRESHOLD_BPS, UP, np.where(moves < -THRESHOLD_BPS, DOWN, FLAT))
    return Samples(features, windows, labels.astype(np.int64), moves)
