"""Ratios to a raw limit, honestly: ours and raw take turns in one run, the median of the pairs is the figure.

Absolute speeds of a shared machine mean little; the same minute's ratio means something. Every benchmark prints one
JSON line per gate and exits 1 when a gate is missed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable


def paired(raw: Callable[[], float], ours: Callable[[], float], pairs: int = 5) -> tuple[float, float, float]:
    """Medians of (ours / raw), raw and ours over alternating runs; the first pair warms up and does not count."""
    rows = []
    for _ in range(pairs + 1):
        a, b = raw(), ours()
        rows.append((b / a, a, b))
    kept = rows[1:]
    return (
        statistics.median(r[0] for r in kept),
        statistics.median(r[1] for r in kept),
        statistics.median(r[2] for r in kept),
    )


def report(bench: str, ratio: float, gate: float, *, at_least: bool, **figures: object) -> bool:
    """Print the line; True when the gate is held."""
    held = ratio >= gate if at_least else ratio <= gate
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}
    sign = ">=" if at_least else "<="
    print(
        json.dumps({"bench": bench, "ratio": round(ratio, 3), "gate": f"{sign} {gate}", "held": held, **rounded}),
        flush=True,
    )
    return held
