"""Faults: what was ordered, what was injected when, and a plan that spreads faults over a recording.

Every injected fault is counted and logged, so that a test can say "injected N, survived N". Nothing here acts: the
player, the generator, the streams and the REST door ask what to do and say that they did it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

log = logging.getLogger(__name__)

DELTA_FAULTS = ("gap", "dup", "garble")
USER_FAULTS = ("user_drop", "user_dup")
ORDER_FAULTS = ("reject", "delay", "timeout", "cut")
CALL_FAULTS = ("status", "answer")
NOW_FAULTS = ("close", "abort", "stall", "kill_listen_key", "terminate_user_stream", "clear")
KINDS = (*DELTA_FAULTS, *USER_FAULTS, "no_ack", "handshake", *ORDER_FAULTS, *CALL_FAULTS, *NOW_FAULTS)
LOG_LIMIT = 10_000
MARGIN_S = 5.0  # no planned fault this near to the first or the last frame of a recording


class Fault(msgspec.Struct, kw_only=True):
    """One ordered fault of the REST door or the depth streams; `left` is how many times it still applies."""

    kind: str
    left: int = 1
    product: str = ""  # "" is any
    symbol: str = ""
    path: str = ""  # REST: part of the path
    when: str = "after"  # delay, timeout: "before" or "after" executing the order
    seconds: float = 0.0
    code: int = 0
    text: str = ""
    status: int = 0
    retry_after: int = 0

    def matches(self, product: str, symbol: str = "", path: str = "") -> bool:
        return self.product in ("", product) and self.symbol in ("", symbol) and (not self.path or self.path in path)


class Faults:
    """Ordered faults by kind, and the log of injected ones (in memory, bounded, and appended to `path`)."""

    def __init__(self, path: Path | None = None) -> None:
        self.ordered: list[Fault] = []
        self.injected: Counter[str] = Counter()
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LIMIT)
        self._path = path

    def order(self, fault: Fault) -> None:
        self.ordered.append(fault)

    def clear(self) -> None:
        self.ordered.clear()

    def take(self, kinds: Sequence[str], product: str, symbol: str = "", path: str = "") -> Fault | None:
        """The oldest ordered fault of these kinds that matches; it is used up by one."""
        for fault in self.ordered:
            if fault.kind in kinds and fault.matches(product, symbol, path):
                fault.left -= 1
                if fault.left <= 0:
                    self.ordered.remove(fault)
                return fault
        return None

    def note(self, kind: str, product: str, symbol: str = "", event_ns: int = 0, detail: str = "") -> None:
        """Write down that a fault was injected now."""
        self.injected[kind] += 1
        log.info("fault injected: %s %s %s %s", kind, product, symbol, detail)
        entry = {
            "kind": kind,
            "product": product,
            "symbol": symbol,
            "at_ns": time.time_ns(),
            "event_ns": event_ns,
            "detail": detail,
        }
        self.log.append(entry)
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(entry) + b"\n")


def parse_plan(text: str) -> dict[str, int]:
    """`gap:10,dup:200,garble:50` → counts by kind. Raises ValueError that names the part and the known kinds."""
    counts: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        kind, _, number = part.partition(":")
        if kind not in DELTA_FAULTS or not number.isdecimal():
            raise ValueError(f"fault plan part {part!r}: want KIND:COUNT with KIND one of {', '.join(DELTA_FAULTS)}")
        counts[kind] = counts.get(kind, 0) + int(number)
    return counts


def spread(counts: dict[str, int], deltas: Sequence[tuple[int, ...]], seed: int) -> list[dict[int, str]]:
    """Choose deltas uniformly at random: per recording (its delta times in ns) a map from delta number to fault kind.

    Never within `MARGIN_S` of the first or the last delta of all. Raises ValueError when there are not enough deltas.
    """
    chosen: list[dict[int, str]] = [{} for _ in deltas]
    total = sum(counts.values())
    if not total:
        return chosen
    every = [ns for times in deltas for ns in times]
    if not every:
        raise ValueError(f"{total} faults planned over recordings without a single depth delta")
    margin = int(MARGIN_S * 1e9)
    first, last = min(every) + margin, max(every) - margin
    eligible = [(i, n) for i, times in enumerate(deltas) for n, ns in enumerate(times) if first <= ns <= last]
    if len(eligible) < total:
        raise ValueError(
            f"{total} faults planned, only {len(eligible)} deltas are {MARGIN_S:.0f} s away from both ends"
        )
    places = Random(f"faults:{seed}").sample(eligible, total)
    kinds = [kind for kind in sorted(counts) for _ in range(counts[kind])]
    for (recording, number), kind in zip(places, kinds, strict=True):
        chosen[recording][number] = kind
    return chosen
