"""The run in numbers: what came in, what was made of it, what was decided. Counts that survive the restarts of feeds.

Picture: a tally sheet. Feeds and the engine repeat their counts since their own start; the sheet keeps, per instrument,
the sum of ended incarnations and the newest count of the living one, so a restart adds and never subtracts (what a feed
counted after its last word before a crash is lost: at most a second). Signals, orders, fills and denials are counted
one by one, from the record when the sheet is begun anew.

`digest` is SHA-256 over a canonical JSON document: per instrument its final book (20 levels a side), `deltas_applied`
and `gaps`, and the ids of signals, orders and fills in the order heard, each kind as a chained SHA-256. Not covered:
counts of frames, conflation, times. `books_digest` covers the books alone: replays of one recording agree on it even
when other ticks were conflated and other decisions followed. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from actors.messages.account import AccountState
from actors.messages.market import CrossReading, FeedReport, ReplayFinished
from actors.messages.orders import OrderDenied, OrderFilled, OrderSubmitted
from actors.messages.signals import Signal, SignalCount
from actors.rules.readings import usable
from supervisor.message import Message

SCHEMA = 1
FEED_COUNTS = ("frames_in", "events_out", "conflated", "deltas_applied", "gaps", "resyncs", "malformed")
SIGNAL_COUNTS = ("buy", "sell", "hold")
CHAINS = ("signals", "orders", "fills")


class _Counts:
    """Counts of one speaker about one instrument, over its incarnations."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._ended = dict.fromkeys(names, 0)
        self._living = dict.fromkeys(names, 0)
        self._incarnation = 0

    def hear(self, word: Message, incarnation: int) -> None:
        if incarnation < self._incarnation:
            return  # from a former life
        if incarnation > self._incarnation:
            self._ended = self.totals()
            self._incarnation = incarnation
        self._living = {name: int(getattr(word, name)) for name in self._living}

    def totals(self) -> dict[str, int]:
        return {name: self._ended[name] + self._living[name] for name in self._ended}


class _Chain:
    """A hash over a sequence of ids: equal for equal ids in equal order, in bounded memory."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def add(self, name: str) -> None:
        self.count += 1
        self._hash.update(name.encode() + b"\n")

    def digest(self) -> str:
        return self._hash.hexdigest()


class _Basis:
    """The last numbers said about one base; what was never known stays None."""

    def __init__(self) -> None:
        self.numbers: dict[str, float | None] = dict.fromkeys(
            ("median_basis_bps", "last_basis_bps", "last_divergence_bps")
        )
        self.samples = 0

    def hear(self, word: CrossReading) -> None:
        readings = (word.median_basis_bps, word.basis_bps, word.divergence_bps)
        for name, reading in zip(tuple(self.numbers), readings, strict=True):
            number = usable(reading)
            self.numbers[name] = self.numbers[name] if number is None else number
        self.samples = word.samples


class Tally:
    """The sheet of one run."""

    def __init__(self, instruments: tuple[str, ...] = ()) -> None:
        """`instruments`: "venue:symbol" keys that are listed even when nothing is ever heard of them."""
        self._configured = instruments
        self._feeds: dict[str, _Counts] = {}
        self._books: dict[str, FeedReport] = {}
        self._signals: dict[str, _Counts] = {}
        self._bases: dict[str, _Basis] = {}
        self._accounts: dict[str, AccountState] = {}
        self._denials: Counter[str] = Counter()
        self._chains = {name: _Chain() for name in CHAINS}
        self.finished: ReplayFinished | None = None

    def hear(self, word: Message, incarnation: int) -> None:
        """Count one word; `incarnation` is its sender's."""
        match word:
            case FeedReport():
                self._feeds.setdefault(word.key(), _Counts(FEED_COUNTS)).hear(word, incarnation)
                self._books[word.key()] = word
            case SignalCount():
                self._signals.setdefault(word.key(), _Counts(SIGNAL_COUNTS)).hear(word, incarnation)
            case CrossReading():
                self._bases.setdefault(word.base, _Basis()).hear(word)
            case AccountState():
                self._accounts[word.account] = word
            case ReplayFinished():
                self.finished = word
            case Signal():
                self._chains["signals"].add(word.signal_id)
            case OrderSubmitted():
                self._chains["orders"].add(word.client_order_id)
            case OrderFilled():
                self._chains["fills"].add(f"{word.venue}:{word.symbol}:{word.trade_id}")
            case OrderDenied():
                self._denials[word.code] += 1

    def frames(self) -> int:
        """Frames that all feeds have taken in."""
        return sum(counts.totals()["frames_in"] for counts in self._feeds.values())

    def moved(self) -> tuple[int, ...]:
        """All counters of all feeds: while they change, frames are still under way."""
        return tuple(count for _, counts in sorted(self._feeds.items()) for count in counts.totals().values())

    def complete(self) -> bool:
        """True when the recording is over and every frame of it was taken in and accounted for. What nobody subscribed
        to was not sent.
        """
        if self.finished is None:
            return False
        for key, sent in self.finished.frames.items():
            if not sent:
                continue
            counts = self._feeds.get(key)
            if counts is None:
                return False
            totals = counts.totals()
            if totals["frames_in"] != sent or totals["frames_in"] != totals["events_out"] + totals["conflated"]:
                return False
        return True

    def document(self, elapsed_s: float) -> dict[str, Any]:
        """The report. `elapsed_s`: how long this sheet has been kept. What is not known is null."""
        finished = self.finished
        frames = self.frames()
        wall_s = finished.wall_s if finished is not None else elapsed_s
        recorded_s = (finished.last_ns - finished.first_ns) / 1e9 if finished is not None else None
        signals = Counter[str]()
        for counts in self._signals.values():
            signals.update(counts.totals())
        return {
            "schema": SCHEMA,
            "complete": self.complete() if finished is not None else None,
            "instruments": [self._instrument(key) for key in self._keys()],
            "divergence_bps": {
                base: {**basis.numbers, "samples": basis.samples} for base, basis in sorted(self._bases.items())
            },
            "signals": {name.upper(): signals[name] for name in SIGNAL_COUNTS},
            "orders": self._chains["orders"].count,
            "fills": self._chains["fills"].count,
            "denials": dict(sorted(self._denials.items())),
            "injected": finished.injected if finished is not None else {},
            "equity": _equity(self._accounts.values()),
            "accounts": {name: _account(state) for name, state in sorted(self._accounts.items())},
            "replay": None if finished is None else {"frames": finished.frames, "wall_s": finished.wall_s},
            "elapsed_s": round(elapsed_s, 3),
            "messages_per_s": round(frames / wall_s, 1) if wall_s > 0 else None,
            "x_realtime": round(recorded_s / wall_s, 3) if recorded_s is not None and wall_s > 0 else None,
            "digest": self.digest(),
            "books_digest": self.books_digest(),
        }

    def digest(self) -> str:
        """SHA-256 over books, deltas, gaps and the ids of what was decided, see the head of this file."""
        instruments = []
        for key, book in sorted(self._books.items()):
            totals = self._feeds[key].totals()
            instruments.append([key, totals["deltas_applied"], totals["gaps"], book.bids, book.asks])
        return _sha256({"instruments": instruments, **{name: chain.digest() for name, chain in self._chains.items()}})

    def books_digest(self) -> str:
        """SHA-256 over the final books alone."""
        return _sha256([[key, book.bids, book.asks] for key, book in sorted(self._books.items())])

    def _keys(self) -> list[str]:
        """Every instrument heard of; without a word, the configured ones (of a recording: those it holds)."""
        silent = self._configured if self.finished is None else tuple(self.finished.frames)
        return sorted({*self._books, *silent})

    def _instrument(self, key: str) -> dict[str, Any]:
        venue, _, symbol = key.partition(":")
        book, counts = self._books.get(key), self._feeds.get(key, _Counts(FEED_COUNTS))
        return {
            "venue": venue,
            "symbol": symbol,
            **counts.totals(),
            "best_bid": book.best_bid if book and book.bids else None,
            "best_ask": book.best_ask if book and book.asks else None,
            "bids": book.bids if book else (),
            "asks": book.asks if book else (),
            "book_seq": book.book_seq if book else None,
        }


def _sha256(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _equity(states: Iterable[AccountState]) -> str | None:
    """Sum over the accounts; None when one is unknown, or there is none."""
    values = [state.equity for state in states]
    known = [value for value in values if value is not None]
    return str(sum(known, Decimal(0))) if known and len(known) == len(values) else None


def _account(state: AccountState) -> dict[str, Any]:
    return {
        "cash": None if state.cash is None else str(state.cash),
        "equity": None if state.equity is None else str(state.equity),
        "unrealised": None if state.unrealised is None else str(state.unrealised),
        "reconciled": state.reconciled,
        "positions": {f"{p.venue}:{p.symbol}": str(p.quantity) for p in state.positions if p.quantity},
    }
