"""The player: recorded frames of several instruments sent again on one clock, with a true book kept beside them.

A recording is `<product>_<symbol>_….gz`, lines of `<receive time ns> <json>`; the one document with `lastUpdateId` is
the REST snapshot. Nothing is played before every book is subscribed, because ccxt buffers deltas only after the
acknowledgement. The recorded `data` text goes out untouched; the files are merged by time while they are read.

Faults are drawn over the recording beforehand (`faults.spread`). A lost delta is lost to the client only: the true book
applies all of them and answers every later snapshot request. A book that lost one shortly before the recording ends
goes on with empty deltas until its client can have joined a snapshot: a real market does not fall silent in that
moment, and a snapshot only joins with a delta behind it.
"""

from __future__ import annotations

import asyncio
import gzip
import heapq
import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from actors.venues.simulator import instruments
from actors.venues.simulator.book import Delta, Snapshot
from actors.venues.simulator.faults import DELTA_FAULTS, Faults, spread
from actors.venues.simulator.listing import Listing, Print
from actors.venues.simulator.streams import Hub, StreamKey

log = logging.getLogger(__name__)

HOLD_LIMIT_S = 15.0  # after the first acknowledged book: play without the missing ones, loudly
QUIET_S = 1.0  # without any new subscription before playing, unless every instrument's trades are subscribed too
SNAPSHOT_WITHIN = 5000  # lines: a snapshot later than this is not looked for
DRAIN_S = 30.0
CLOSING_EVERY_S = 0.1  # between the empty deltas after the end
CLOSING_S = 2.0  # of them after the last snapshot: a client on a busy machine has joined it by then
CLOSING_LIMIT_S = 15.0  # for a client that does not come back
BURST = 128  # frames without giving the loop to others

_delta = msgspec.json.Decoder(Delta)
_trade = msgspec.json.Decoder(Print)
_snapshot = msgspec.json.Decoder(Snapshot)


class Recording(NamedTuple):
    path: Path
    product: str
    symbol: str
    snapshot: Snapshot

    @property
    def key(self) -> tuple[str, str]:
        return (self.product, self.symbol)


class Frame(NamedTuple):
    """One recorded line; sorts by receive time, then file. `data` is the inner document's text."""

    ns: int
    recording: int
    kind: str
    data: bytes


def find(directory: Path) -> list[Recording]:
    """The recordings of a directory. Raises FileNotFoundError or ValueError with what is missing or doubled."""
    found: dict[tuple[str, str], Recording] = {}
    for path in sorted(directory.glob("*.gz")):
        product, _, rest = path.name.partition("_")
        if product not in instruments.VENUES:
            log.info("recording %s ignored: product %r is not simulated", path.name, product)
            continue
        symbol = rest.partition("_")[0].removesuffix(".gz").upper()
        if (product, symbol) in found:
            raise ValueError(
                f"two recordings of {product} {symbol}: {found[product, symbol].path.name} and {path.name}"
            )
        found[product, symbol] = Recording(path, product, symbol, _find_snapshot(path))
    if not found:
        raise FileNotFoundError(
            f"no recording in {directory}: want files named spot_<symbol>_*.gz or usdm_<symbol>_*.gz"
        )
    return list(found.values())


def list_instrument(recording: Recording) -> Listing:
    """A listing whose true book stands at the captured snapshot."""
    levels = recording.snapshot.bids + recording.snapshot.asks
    prices, quantities = (price for price, _ in levels), (quantity for _, quantity in levels)
    listing = Listing(instruments.from_book(recording.product, recording.symbol, prices, quantities))
    listing.book.load(recording.snapshot)
    listing.captured = recording.snapshot
    return listing


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a gzip file; a torn end is an end, said aloud."""
    with gzip.open(path) as file:
        try:
            yield from file
        except (EOFError, zlib.error, gzip.BadGzipFile) as torn:
            log.warning("recording %s is torn, played up to there: %s", path.name, torn)


def frames(recording: Recording, index: int) -> Iterator[Frame]:
    """The frames of one recording in file order. A line that is none is logged and skipped."""
    for line in lines(recording.path):
        head, _, document = line.partition(b" ")
        if not head.isdigit():
            log.warning("recording %s: a line without a time skipped: %r", recording.path.name, line[:80])
            continue
        if document.startswith(b'{"stream":"'):
            name, _, data = document[11:].partition(b'","data":')
            # the outer brace goes; of a half-written line everything stays, it is broken either way
            data = data.rstrip()
            yield Frame(int(head), index, name.split(b"@")[1].decode(), data[:-1] if data.endswith(b"}}") else data)
        elif b'"lastUpdateId"' in document[:40]:
            yield Frame(int(head), index, "snapshot", document)
        else:
            log.warning("recording %s: a line that is no frame skipped: %r", recording.path.name, line[:80])


def delta_times(recording: Recording) -> list[int]:
    """Receive times (ns) of all depth deltas: one pass over the file, for planning faults."""
    return [int(line.partition(b" ")[0]) for line in lines(recording.path) if b"@depth" in line[:64]]


class Player:
    """Plays recordings into a hub. `run` once; `finished` and the counts are read by others at any time."""

    def __init__(
        self,
        recordings: list[Recording],
        listings: Mapping[tuple[str, str], Listing],
        hub: Hub,
        faults: Faults,
        *,
        speed: float,
        plan: dict[str, int] | None = None,
        seed: int = 0,
        traded: Callable[[Listing, Print, Decimal, Decimal], None],
        moved: Callable[[Listing], None],
    ) -> None:
        self.finished = False
        self.held = True
        self.first_ns = self.last_ns = 0
        self.started_at = 0.0  # monotonic
        self.wall_s = 0.0
        self.played: Counter[str] = Counter()  # frames read from the recordings, by kind
        self.sent: Counter[str] = Counter()  # frames put on the wire, by instrument name: books and trades
        self.broken = 0  # recorded deltas or trades that are no JSON
        self._recordings = recordings
        self._listings = [listings[r.key] for r in recordings]
        self._hub, self._faults, self._speed = hub, faults, speed
        self._plan, self._seed = dict(plan or {}), seed
        self._traded, self._moved = traded, moved
        self._faulted: list[dict[int, str]] = [{} for _ in recordings]
        self._delta_number = [0] * len(recordings)
        self._lost_at: dict[int, float] = {}  # monotonic: when a recording's book last lost a delta on purpose

    async def run(self) -> None:
        """Hold, play to the end, wait until everything is on the wire, then say finished."""
        if self._plan:
            times = await asyncio.to_thread(lambda: [tuple(delta_times(r)) for r in self._recordings])
            self._faulted = spread(self._plan, times, self._seed)
        await self._hold()
        self.held = False
        self.started_at = time.monotonic()
        log.info("playing %d recordings at speed %s", len(self._recordings), self._speed or "unlimited")
        await self._play()
        await self._close_books()
        if not await self._hub.drained(DRAIN_S):
            log.warning("recording played, but a reader did not take its last frames within %.0f s", DRAIN_S)
        self.wall_s = time.monotonic() - self.started_at
        self.finished = True
        log.info("recording finished after %.1f s: %s", self.wall_s, dict(self.sent))

    def state(self) -> dict[str, Any]:
        return {
            "finished": self.finished,
            "held": self.held,
            "speed": self._speed,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "wall_s": self.wall_s,
            "expected": [r.symbol.lower() + "@depth" + f" ({r.product})" for r in self._recordings],
            "missing": [f"{r.product} {r.symbol}" for r in self._missing("depth")],
            "frames": dict(self.sent),
            "played": dict(self.played),
            "broken": self.broken,
        }

    async def _hold(self) -> None:
        """Until every book was acknowledged once and nobody is still subscribing; bounded after the first book."""
        first: float | None = None
        while True:
            missing = self._missing("depth")
            now = time.monotonic()
            if first is None and len(missing) < len(self._recordings):
                first = now
            if not missing and (not self._missing("trade") or now - self._hub.last_ack >= QUIET_S):
                return
            if first is not None and now - first > HOLD_LIMIT_S:
                names = ", ".join(f"{r.product} {r.symbol}" for r in missing)
                log.warning("%.0f s after the first book nobody subscribed %s: playing without", HOLD_LIMIT_S, names)
                return
            await asyncio.sleep(0.02)

    def _missing(self, kind: str) -> list[Recording]:
        return [r for r in self._recordings if (*r.key, kind) not in self._hub.acknowledged]

    async def _play(self) -> None:
        merged = heapq.merge(*(frames(r, i) for i, r in enumerate(self._recordings)))
        begin, burst = time.monotonic(), 0
        for frame in merged:
            if not self.first_ns:
                self.first_ns = frame.ns
            self.last_ns = max(self.last_ns, frame.ns)
            if self._speed > 0:
                ahead = begin + (frame.ns - self.first_ns) / 1e9 / self._speed - time.monotonic()
                if ahead > 0.001:
                    await asyncio.sleep(ahead)
                    burst = 0
            burst += 1
            if burst >= BURST:
                burst = 0
                await asyncio.sleep(0)
                await self._hub.room()
            self.played[frame.kind] += 1
            if frame.kind == "depth":
                self._play_depth(frame)
            elif frame.kind == "trade":
                self._play_trade(frame)
            elif frame.kind != "snapshot":
                self._hub.publish((*self._recordings[frame.recording].key, frame.kind), frame.data)

    async def _close_books(self) -> None:
        """Empty deltas for the books that lost one, until each was fetched anew and had time to join."""
        until = time.monotonic() + CLOSING_LIMIT_S
        while still_open := [i for i, lost_at in self._lost_at.items() if not self._joined(i, lost_at)]:
            if time.monotonic() > until:
                names = ", ".join(self._listings[i].instrument.name for i in still_open)
                log.warning(
                    "%.0f s after the end nobody fetched a book anew that lost a delta: %s", CLOSING_LIMIT_S, names
                )
                return
            for index in still_open:
                self._close_delta(index)
            await asyncio.sleep(CLOSING_EVERY_S)

    def _joined(self, index: int, lost_at: float) -> bool:
        served_at = self._listings[index].served_at
        return served_at > lost_at and time.monotonic() - served_at > CLOSING_S

    def _close_delta(self, index: int) -> None:
        recording, listing = self._recordings[index], self._listings[index]
        last, event_ms = listing.book.last_update_id, listing.book.event_ms + int(CLOSING_EVERY_S * 1000)
        head = {"e": "depthUpdate", "E": event_ms}
        chain = {"T": event_ms, "s": recording.symbol, "U": last + 1, "u": last + 1, "pu": last}
        if recording.product == instruments.SPOT:
            chain = {"s": recording.symbol, "U": last + 1, "u": last + 1}
        data = msgspec.json.encode(head | chain | {"b": [], "a": []})
        listing.book.apply(_delta.decode(data))
        # it stands in no recording: counted as sent, not among the recorded frames
        self.sent[listing.instrument.name] += self._hub.publish((*recording.key, "depth"), data, count=False)

    def _play_depth(self, frame: Frame) -> None:
        recording, listing = self._recordings[frame.recording], self._listings[frame.recording]
        try:
            moved = listing.book.apply(_delta.decode(frame.data))
        except msgspec.DecodeError:
            self.broken += 1
            moved = False
        number = self._delta_number[frame.recording]
        self._delta_number[frame.recording] = number + 1
        fault = self._faulted[frame.recording].get(number, "")
        if fault in ("gap", "garble"):
            self._lost_at[frame.recording] = time.monotonic()
        key: StreamKey = (*recording.key, "depth")
        self.sent[listing.instrument.name] += send_delta(self._hub, self._faults, key, frame.data, frame.ns, fault)
        if moved:
            self._moved(listing)

    def _play_trade(self, frame: Frame) -> None:
        recording, listing = self._recordings[frame.recording], self._listings[frame.recording]
        self.sent[listing.instrument.name] += self._hub.publish((*recording.key, "trade"), frame.data)
        try:
            trade = _trade.decode(frame.data)
            price, quantity = Decimal(trade.p), Decimal(trade.q)
        except (msgspec.DecodeError, ArithmeticError):
            self.broken += 1
            return
        listing.tape.add(trade, price, quantity)
        self._traded(listing, trade, price, quantity)


def send_delta(hub: Hub, faults: Faults, key: StreamKey, data: bytes, event_ns: int, planned: str = "") -> int:
    """Send a depth frame with the fault that is planned or ordered for it; returns how many good frames went out."""
    product, symbol, _ = key
    kind = planned
    if not kind and faults.ordered and hub.subscribed(key):
        ordered = faults.take(DELTA_FAULTS, product, symbol)
        kind = ordered.kind if ordered else ""
    if not kind:
        return hub.publish(key, data)
    faults.note(kind, product, symbol, event_ns)
    if kind == "gap":
        return 0
    if kind == "garble":
        hub.publish(key, data[: len(data) // 2], count=False)  # no JSON any more: a lost delta as well
        return 0
    return hub.publish(key, data) + hub.publish(key, data)


def _find_snapshot(path: Path) -> Snapshot:
    for _, line in zip(range(SNAPSHOT_WITHIN), lines(path), strict=False):
        document = line.partition(b" ")[2]
        if document.startswith(b'{"lastUpdateId"'):
            return _snapshot.decode(document)
    raise ValueError(f"recording {path.name} has no lastUpdateId document in its first {SNAPSHOT_WITHIN} lines")
