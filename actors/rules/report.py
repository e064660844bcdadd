"""The run in numbers: what came in, what was made of it, what was decided. Counts that survive the restarts of feeds.

Picture: a tally sheet. Feeds and the engine repeat their counts since their own start; the sheet keeps, per instrument,
the sum of ended incarnations and the newest count of the living one, so a restart adds and never subtracts (what a feed
counted after its last word before a crash is lost: at most a second). Orders, fills and denials are counted one by one.

`digest` is SHA-256 over the final books: per instrument, sorted by name, venue, symbol, book_seq and its levels, as
MessagePack. Replays of one recording agree on it. `decisions_digest` chains every signal, order, fill and denial in the
order heard; it depends on which ticks were conflated, so only replays in one thread agree on it. Pure.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import msgspec

from actors.messages.account import AccountState
from actors.messages.market import CrossReading, FeedReport, ReplayFinished
from actors.messages.orders import OrderDenied, OrderFilled, OrderSubmitted
from actors.messages.signals import Signal, SignalCount
from actors.rules.readings import usable
from supervisor.message import Message

SCHEMA = 1
FEED_COUNTS = ("frames_in", "events_out", "conflated", "deltas_applied", "gaps", "resyncs", "malformed")
SIGNAL_COUNTS = ("buy", "sell", "hold")


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


class Tally:
    """The sheet of one run."""

    def __init__(self, instruments: tuple[str, ...] = ()) -> None:
        """`instruments`: "venue:symbol" keys that are listed even when nothing is ever heard of them."""
        self._configured = instruments
        self._feeds: dict[str, _Counts] = {}
        self._books: dict[str, FeedReport] = {}
        self._signals: dict[str, _Counts] = {}
        self._crosses: dict[str, CrossReading] = {}
        self._accounts: dict[str, AccountState] = {}
        self._denials: Counter[str] = Counter()
        self._orders = 0
        self._fills = 0
        self._decisions = hashlib.sha256()
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
                self._crosses[word.base] = word
            case AccountState():
                self._accounts[word.account] = word
            case ReplayFinished():
                self.finished = word
            case OrderSubmitted() | OrderFilled() | OrderDenied() | Signal():
                self._decisions.update(msgspec.msgpack.encode(word))
                self._orders += isinstance(word, OrderSubmitted)
                self._fills += isinstance(word, OrderFilled)
                if isinstance(word, OrderDenied):
                    self._denials[word.code] += 1

    def frames(self) -> int:
        """Frames that all feeds have taken in."""
        return sum(counts.totals()["frames_in"] for counts in self._feeds.values())

    def complete(self) -> bool:
        """True when the recording is over and every frame of it was taken in and accounted for."""
        if self.finished is None:
            return False
        for key, sent in self.finished.frames.items():
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
            "divergence_bps": {base: _cross(word) for base, word in sorted(self._crosses.items())},
            "signals": {name.upper(): signals[name] for name in SIGNAL_COUNTS},
            "orders": self._orders,
            "fills": self._fills,
            "denials": dict(sorted(self._denials.items())),
            "accounts": {name: _account(state) for name, state in sorted(self._accounts.items())},
            "replay": None
            if finished is None
            else {"frames": finished.frames, "injected": finished.injected, "wall_s": finished.wall_s},
            "elapsed_s": round(elapsed_s, 3),
            "messages_per_s": round(frames / wall_s, 1) if wall_s > 0 else None,
            "x_realtime": round(recorded_s / wall_s, 3) if recorded_s is not None and wall_s > 0 else None,
            "digest": self.digest(),
            "decisions_digest": self._decisions.hexdigest(),
        }

    def digest(self) -> str:
        """SHA-256 over the final books, see the head of this file."""
        hashed = hashlib.sha256()
        for _, book in sorted(self._books.items()):
            hashed.update(msgspec.msgpack.encode((book.venue, book.symbol, book.book_seq, book.bids, book.asks)))
        return hashed.hexdigest()

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


def _cross(word: CrossReading) -> dict[str, Any]:
    return {
        "median_basis": usable(word.median_basis_bps),
        "last_basis": usable(word.basis_bps),
        "last_divergence": usable(word.divergence_bps),
        "samples": word.samples,
    }


def _account(state: AccountState) -> dict[str, Any]:
    return {
        "cash": None if state.cash is None else str(state.cash),
        "equity": None if state.equity is None else str(state.equity),
        "unrealised": None if state.unrealised is None else str(state.unrealised),
        "reconciled": state.reconciled,
        "positions": {f"{p.venue}:{p.symbol}": str(p.quantity) for p in state.positions if p.quantity},
    }
