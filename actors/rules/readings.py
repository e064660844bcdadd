"""Three-valued readings: a value, something that was true once, or nothing and why. Unknown is never a number.

Whoever needs a number asks `usable` and gets None for everything that is not a fresh, finite value.
"""

from __future__ import annotations

import math

from actors.messages.market import Reading, Stale, Unavailable, Value


def reading(value: float | None, age_s: float, stale_after_s: float, reason: str = "no value yet") -> Reading:
    """What may be said of `value`, obtained `age_s` ago.

    None and numbers that are not finite are Unavailable (`reason` says why there is none), older ones Stale.
    """
    if value is None:
        return Unavailable(reason=reason)
    if not math.isfinite(value):
        return Unavailable(reason=f"the value is {value}, which is no number")
    if not age_s <= stale_after_s:
        return Stale(age_s=age_s)
    return Value(value=value, age_s=max(0.0, age_s))


def recalled_age_s(at_ns: int, now_s: float) -> float:
    """How old a word from the record is, by the time it bears; both ways, because later than now is another clock's."""
    return abs(now_s - at_ns / 1e9)


def usable(given: Reading) -> float | None:
    """The number of a Value; None for everything else."""
    return given.value if isinstance(given, Value) and math.isfinite(given.value) else None
