"""The life of one instrument's book, as a pure machine: what a frame, a break or a silence makes of it.

Picture: DOWN → CONNECTING → SUBSCRIBED (acknowledged, no data yet) → SYNCING (data, snapshot not joined) → LIVE, and
from there STALE (silence) or GAP (the chain of update ids broke) and back through SYNCING. LIVE means all of it at
once: the chain is unbroken since the snapshot, ccxt has applied the newest frame, the book is not crossed, every
subscribed channel speaks. `Life` also carries the counts, cumulative, so that conflation on the way loses none.

No socket, no clock: `now` is monotonic seconds, passed in. The port (`actors/venues/market_port.py`) does what it says.
Source of the continuity rules: Binance, "How to manage a local order book correctly" (spot and USD-M).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from actors.messages.market import FeedStatus

NO_TRADE = "no trade"
Levels = Sequence[Sequence[float]]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Floors of the staleness clocks and the patience of a resync. Seconds."""

    book_stale_after_s: float = 2.0
    trades_stale_after_s: float = 30.0
    sync_s: float = 3.0  # a book that is not LIVE again after this gets a new connection
    connect_s: float = 12.0  # ccxt gives up a dial after 10 s by itself


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's book and its counts since the port was opened."""

    status: FeedStatus = FeedStatus.DOWN
    reason: str = "not started"
    since: float = 0.0
    changes: int = 0  # of status; orders what travels on two roads
    chain: int | None = None  # last update id of this connection's newest depth frame
    counted: int | None = None  # last update id of the newest delta in `deltas`, on this connection
    book_at: float = 0.0  # newest depth frame, or the subscription
    trades_at: float = 0.0
    broken_at: float | None = None  # since when the book is wanted back
    asked_at: float | None = None  # when a resync or reset was last asked for
    suspect: bool = False  # ccxt still keeps a book that we no longer believe
    excused: bool = False  # a malformed frame was counted as a gap: the break of the chain it leaves is the same one
    frames: int = 0  # depth and trade frames
    deltas: int = 0  # depth frames that ccxt applied to the book
    gaps: int = 0
    resyncs: int = 0
    malformed: int = 0


class DepthFrame(msgspec.Struct, frozen=True):
    """What one depth frame says about the chain, and what ccxt made of it."""

    first: int  # U
    last: int  # u
    previous: int | None  # pu, USD-M only
    applied: bool  # the book's update id is this frame's
    fault: str  # of the book after the frame, see `fault_of`
    joined: tuple[int, ...] = ()  # last update ids of the deltas ccxt applied since the frame before this one


class Wish(StrEnum):
    """What the port should do now."""

    NOTHING = "nothing"
    RESYNC = "resync"  # forget the book, ask for a new snapshot on the same connection
    RESET_BOOK = "reset_book"  # a new connection
    RESET_TRADES = "reset_trades"


def continues(chain: int | None, frame: DepthFrame) -> bool:
    """True when the frame is the next one: USD-M `pu == last u`, spot `U == last u + 1`. Anything follows nothing."""
    if chain is None:
        return True
    return frame.previous == chain if frame.previous is not None else frame.first == chain + 1


def fault_of(bids: Levels, asks: Levels) -> str:
    """Why these best levels may not be published, "" if they may: empty, not finite, not sorted, crossed."""
    if not bids or not asks:
        return f"the book has no {'bids' if not bids else 'asks'}"
    for name, side, sign in (("bid", bids, 1.0), ("ask", asks, -1.0)):
        before = math.inf
        for level in side:
            price, size = level[0], level[1]
            if not (math.isfinite(price) and math.isfinite(size) and price > 0 and size > 0):
                return f"{name} level {price} x {size} is no level"
            if sign * price >= before:
                return f"{name}s are not sorted at {price}"
            before = sign * price
    if bids[0][0] >= asks[0][0]:
        return f"the book is crossed: bid {bids[0][0]} is not below ask {asks[0][0]}"
    return ""


def _to(life: Life, status: FeedStatus, reason: str, now: float) -> Life:
    if life.status is status:
        return life if life.reason == reason else msgspec.structs.replace(life, reason=reason)
    return msgspec.structs.replace(life, status=status, reason=reason, since=now, changes=life.changes + 1)


def connecting(life: Life, reason: str, now: float) -> Life:
    """A connection is being made (again): the chain of the old one says nothing about the new one."""
    life = _to(life, FeedStatus.CONNECTING, reason, now)
    return msgspec.structs.replace(
        life,
        chain=None,
        counted=None,
        suspect=False,
        excused=False,
        book_at=now,
        trades_at=now,
        broken_at=now if life.broken_at is None else life.broken_at,
    )


def down(life: Life, reason: str, now: float) -> Life:
    """The venue cannot be reached, or does not list the instrument."""
    life = _to(life, FeedStatus.DOWN, reason, now)
    return msgspec.structs.replace(life, chain=None, broken_at=now if life.broken_at is None else life.broken_at)


def subscribed(life: Life, now: float) -> Life:
    """The venue acknowledged the book's subscription. After a gap on a living connection the book stays GAP."""
    if life.status is FeedStatus.CONNECTING:
        return _to(life, FeedStatus.SUBSCRIBED, "subscription acknowledged, no data yet", now)
    return life


def after_depth(life: Life, frame: DepthFrame, now: float) -> Life:
    """A depth frame came. Counts it, checks the chain, and decides whether the book is LIVE."""
    life = _count(msgspec.structs.replace(life, frames=life.frames + 1, book_at=now), frame.joined)
    before, excused = life.chain, life.excused
    if before is not None and frame.last <= before:
        return life  # a repeated or late frame: ccxt ignores it, and so does the chain
    life = msgspec.structs.replace(life, chain=frame.last, excused=False)
    if not continues(before, frame):
        told = f"pu {frame.previous}" if frame.previous is not None else f"U {frame.first}"
        life = broken(life, f"sequence gap: {told} does not follow {before}", now, count=not excused)
        return msgspec.structs.replace(life, suspect=frame.applied)
    if not frame.applied:
        if life.status is FeedStatus.LIVE:
            life = broken(life, f"update {frame.last} was not applied to the book", now)
        elif life.status in (FeedStatus.CONNECTING, FeedStatus.SUBSCRIBED, FeedStatus.STALE):
            life = _to(life, FeedStatus.SYNCING, "waiting for a snapshot that joins the updates", now)
        return msgspec.structs.replace(life, suspect=False) if life.suspect else life
    if frame.fault:
        life = broken(life, frame.fault, now, count=life.status is FeedStatus.LIVE)
        return msgspec.structs.replace(life, suspect=True)
    if life.suspect or life.status is FeedStatus.LIVE or _trades_silent(life):
        return life
    return msgspec.structs.replace(_to(life, FeedStatus.LIVE, "", now), broken_at=None, asked_at=None)


def _count(life: Life, joined: tuple[int, ...]) -> Life:
    """Each delta once: ccxt applies several at a time when a snapshot joins the buffered ones, USD-M repeats again, and
    a frame the snapshot already contains not at all, although the book then stands at its id.
    """
    new, counted = 0, life.counted
    for last in joined:
        if counted is None or last > counted:
            new, counted = new + 1, last
    return msgspec.structs.replace(life, deltas=life.deltas + new, counted=counted) if new else life


def _trades_silent(life: Life) -> bool:
    return life.status is FeedStatus.STALE and life.reason.startswith(NO_TRADE)


def after_trade(life: Life, now: float) -> Life:
    """A trade frame came."""
    life = msgspec.structs.replace(life, frames=life.frames + 1, trades_at=now)
    if _trades_silent(life):
        return _to(life, FeedStatus.SYNCING, "trades are back, waiting for the next book update", now)
    return life


def after_garbage(life: Life, on_book: bool, reason: str, now: float) -> Life:
    """A frame that could not be read: a frame of unknown content is lost, which is a gap in its stream."""
    life = msgspec.structs.replace(life, malformed=life.malformed + 1)
    if on_book:
        # if the next frame continues the chain, nothing of the book was in it
        return msgspec.structs.replace(broken(life, f"malformed frame: {reason}"[:200], now), excused=True)
    return msgspec.structs.replace(life, gaps=life.gaps + 1)


def broken(life: Life, reason: str, now: float, *, count: bool = True) -> Life:
    """The book can no longer be trusted; from now on it is wanted back."""
    life = _to(life, FeedStatus.GAP, reason, now)
    return msgspec.structs.replace(
        life, gaps=life.gaps + count, broken_at=now if life.broken_at is None else life.broken_at
    )


def resyncing(life: Life) -> Life:
    """A new snapshot was asked for: whatever ccxt applies from now on stands on it."""
    return msgspec.structs.replace(life, resyncs=life.resyncs + 1, suspect=False)


def asked(life: Life, now: float) -> Life:
    """A resync or reset was asked for; the next one waits its time."""
    return msgspec.structs.replace(life, asked_at=now)


def after_silence(life: Life, limits: Limits, now: float) -> Life:
    """What the clock alone makes of it: STALE when a channel that must speak has not, for longer than its floor."""
    if life.status is not FeedStatus.LIVE:
        return life
    book, trades = now - life.book_at, now - life.trades_at
    if book > limits.book_stale_after_s:
        life = _to(life, FeedStatus.STALE, f"no book update for {limits.book_stale_after_s:g} s", now)
    elif trades > limits.trades_stale_after_s:
        life = _to(life, FeedStatus.STALE, f"{NO_TRADE} for {limits.trades_stale_after_s:g} s", now)
    else:
        return life
    return msgspec.structs.replace(life, broken_at=now)


def wish(life: Life, limits: Limits, now: float) -> Wish:
    """Whether the port must do more than wait: a book to forget, a resync that does not come, a silence that lasts."""
    if life.broken_at is None or life.status is FeedStatus.DOWN:
        return Wish.NOTHING
    waited = now - max(life.broken_at, life.asked_at or 0.0)
    fresh = life.asked_at is None or life.asked_at < life.broken_at
    if life.status is FeedStatus.STALE:
        if not fresh and waited <= limits.connect_s:
            return Wish.NOTHING
        return Wish.RESET_TRADES if _trades_silent(life) else Wish.RESET_BOOK
    if life.status is FeedStatus.CONNECTING:
        return Wish.RESET_BOOK if waited > limits.connect_s else Wish.NOTHING
    if waited > limits.sync_s:
        return Wish.RESET_BOOK
    return Wish.RESYNC if life.suspect else Wish.NOTHING


def believed(status: FeedStatus, reason: str, age_s: float, limits: Limits) -> tuple[FeedStatus, str]:
    """What the actor may say of a LIVE book whose port has not spoken for `age_s`: a silent port is no witness."""
    if status is FeedStatus.LIVE and age_s > 2 * limits.book_stale_after_s:
        return FeedStatus.STALE, f"the port calls it live but has said nothing for {age_s:.1f} s"
    return status, reason


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A token bucket: at most `size` at once, `per_s` on average."""

    size: float
    per_s: float
    tokens: float
    at: float

    def take(self, now: float) -> tuple[Bucket, float]:
        """The bucket with one token taken, and how long to wait before acting on it (0 if one was there)."""
        tokens = min(self.size, self.tokens + (now - self.at) * self.per_s) - 1.0
        return msgspec.structs.replace(self, tokens=tokens, at=now), max(0.0, -tokens / self.per_s)
