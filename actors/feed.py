"""One venue's market, made trustworthy: `Tick` while a book is LIVE, `FeedState` always, `FeedReport` in counts.

Picture: the port (`actors/venues/market_port.py`) sits at the venue and posts; this actor compares cumulative counts
and publishes. A frame that a newer one replaced in the inbox is *conflated*, one that was handled is *out*, and
in = out + conflated holds exactly because both are differences of the same counter. Starting is recovering: the port
subscribes anew, and everything syncs by itself. It keeps no journal (LATEST in, LATEST out).

It does not know ccxt, sockets or threads, and never publishes a tick of a book that is not LIVE.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actors.messages.control import SecondPassed
from actors.messages.market import FeedReport, FeedState, FeedStatus, Tick
from actors.rules import feed as rules
from actors.venues.ports import FramesPort, OpensFrames
from actors.venues.words import BookFrame, LifeChanged, PortFailed
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Delivery, Message

READY_WITHIN_S = 10.0
DEPTH = 5  # levels whose quantity is summed for a tick
EVERY_S = 1.0
AWAY = (FeedStatus.DOWN, FeedStatus.CONNECTING)  # of all its books: there is no line to the venue


class PatienceOver(Message, frozen=True, kw_only=True):
    """Private timer: the venue had its time; being away is a state that a ready feed reports, not a crash."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class FeedBroken(RuntimeError):
    """The port ended by an error of ours: the feed ends with it and is restarted."""


class _Seen:
    """What was handled of one instrument so far."""

    __slots__ = (
        "book_at", "bought", "changes", "conflated", "event_ns", "frame", "frames", "live_once", "out", "reason",
        "since_ns", "sold", "status",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.status = FeedStatus.DOWN
        self.reason = "not started"
        self.changes = -1
        self.since_ns = 0
        self.book_at = now
        self.event_ns: int | None = None
        self.frames = 0
        self.out = 0
        self.conflated = 0
        self.bought = 0.0
        self.sold = 0.0
        self.frame: BookFrame | None = None
        self.live_once = False


class Feed(Actor):
    """Feeds one venue product ("spot", "usdm") and its symbols."""

    publishes = (Tick, FeedState, FeedReport)
    ready_after_init = False

    def init(
        self,
        *,
        venue: str,
        product: str,
        symbols: tuple[str, ...] | list[str],
        port: str | OpensFrames = "actors.venues.market_port:open",
        url: str | None = None,
        limits: dict[str, float] | None = None,
        ready_within_s: float = READY_WITHIN_S,
    ) -> None:
        self.venue = venue
        self.limits = msgspec.convert(limits or {}, rules.Limits)
        self.seen = {symbol: _Seen(self.ctx.monotonic()) for symbol in symbols}
        self.is_ready = False
        self.port: FramesPort = load(port)(
            self.ctx.post, venue=venue, product=product, symbols=tuple(symbols), url=url, limits=limits
        )
        for symbol, seen in self.seen.items():
            seen.since_ns = self._now_ns()
            self._say_state(symbol, seen)
        self.ctx.after(EVERY_S, SecondPassed())
        self.ctx.after(ready_within_s, PatienceOver())

    def handle(self, message: Message) -> None:
        match message:
            case BookFrame():
                self._frame(message)
            case LifeChanged():
                self._changed(message)
            case SecondPassed():
                self._second()
            case PatienceOver():
                self._become_ready()
            case PortFailed():
                raise FeedBroken(message.text)
            case _:
                raise TypeError(f"feed:{self.venue} got {type(message).__name__}, which no feed expects")

    def terminate(self, reason: str) -> None:
        for frame in self.port.close():
            seen = self.seen[frame.symbol]
            self._count(seen, frame)
            self._say_report(frame.symbol, seen)

    # --- handling ---

    def _frame(self, frame: BookFrame) -> None:
        seen = self.seen[frame.symbol]
        self._count(seen, frame)
        self._say_tick(frame.symbol, seen)

    def _changed(self, word: LifeChanged) -> None:
        seen = self.seen[word.symbol]
        if word.changes <= seen.changes:
            return
        seen.status, seen.reason, seen.changes = word.status, word.reason, word.changes
        seen.book_at = max(seen.book_at, word.book_at)
        seen.since_ns = self._now_ns()
        self._say_state(word.symbol, seen)
        if seen.status is FeedStatus.LIVE:
            seen.live_once = True
            if all(other.live_once for other in self.seen.values()):
                self._become_ready()
            self._say_tick(word.symbol, seen)

    def _second(self) -> None:
        self.ctx.after(EVERY_S, SecondPassed())
        for symbol, seen in self.seen.items():
            self._say_state(symbol, seen)
            self._say_report(symbol, seen)
        self._tell_of_venue()

    def _tell_of_venue(self) -> None:
        """What became of the venue, once a second: it serves one book at least, or it is away from all of them."""
        now, seen = self.ctx.monotonic(), self.seen.values()
        believed = [rules.believed(one.status, one.reason, max(0.0, now - one.book_at), self.limits) for one in seen]
        if any(status is FeedStatus.LIVE for status, _ in believed):
            self.ctx.outcome(f"venue:{self.venue}")
        elif all(status in AWAY for status, _ in believed):
            self.ctx.outcome(f"venue:{self.venue}", ConnectionError(believed[0][1]))

    def _become_ready(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            self.ctx.ready()

    def _count(self, seen: _Seen, frame: BookFrame) -> None:
        new = frame.frames - seen.frames
        if new > 0:
            # the newest of them is being handled, the others were replaced by it before they were
            seen.out += 1
            seen.conflated += new - 1
            seen.frames = frame.frames
        seen.frame = frame
        seen.book_at = max(seen.book_at, frame.book_at)
        if frame.event_ms:
            seen.event_ns = frame.event_ms * 1_000_000

    # --- saying ---

    def _say_tick(self, symbol: str, seen: _Seen) -> None:
        frame = seen.frame
        # a frame may overtake the ordered word about its own status: both must say LIVE, about the same life
        if frame is None or seen.status is not FeedStatus.LIVE or frame.status is not FeedStatus.LIVE:
            return
        if frame.changes != seen.changes or not frame.bids or not frame.asks:
            return
        tick = Tick(
            venue=self.venue,
            symbol=symbol,
            bid=frame.bids[0][0],
            ask=frame.asks[0][0],
            bid_size=frame.bids[0][1],
            ask_size=frame.asks[0][1],
            bid_depth=sum(level[1] for level in frame.bids[:DEPTH]),
            ask_depth=sum(level[1] for level in frame.asks[:DEPTH]),
            bought=frame.bought - seen.bought,
            sold=frame.sold - seen.sold,
            book_seq=frame.book_seq,
        )
        seen.bought, seen.sold = frame.bought, frame.sold
        self.ctx.publish(tick, event_ns=seen.event_ns)
        self.ctx.progress("tick")

    def _say_state(self, symbol: str, seen: _Seen) -> None:
        age_s = max(0.0, self.ctx.monotonic() - seen.book_at)
        status, reason = rules.believed(seen.status, seen.reason, age_s, self.limits)
        self.ctx.publish(
            FeedState(
                venue=self.venue,
                symbol=symbol,
                status=status,
                reason=reason,
                since_ns=seen.since_ns,
                age_s=age_s,
            ),
            event_ns=seen.event_ns,
        )

    def _say_report(self, symbol: str, seen: _Seen) -> None:
        frame = seen.frame
        if frame is None:
            return
        self.ctx.publish(
            FeedReport(
                venue=self.venue,
                symbol=symbol,
                frames_in=seen.frames,
                events_out=seen.out,
                conflated=seen.conflated,
                deltas_applied=frame.deltas,
                gaps=frame.gaps,
                resyncs=frame.resyncs,
                malformed=frame.malformed,
                best_bid=frame.bids[0][0] if frame.bids else 0.0,
                best_ask=frame.asks[0][0] if frame.asks else 0.0,
                bids=frame.bids,
                asks=frame.asks,
                book_seq=frame.book_seq,
            ),
            event_ns=seen.event_ns,
        )

    def _now_ns(self) -> int:
        return int(self.ctx.now() * 1e9)
