"""The only door to the executor: every wish gets exactly one answer here, signed when it is a yes.

Picture: words of the house are kept with the time they came; a wish makes a frozen snapshot of them, the rule
(`actors/rules/risk_gate.py`) answers, and the answer is published. What was approved and has not ended is a reservation
and counts like a position, at once and over restarts (`_Books`, folded from the journal). Exits pass on a short list of
checks; cancels always pass.

It never scales an order, never talks to a venue, and never lets a sender's clock decide how old something is.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from actors.messages.account import AccountState, Reconciled
from actors.messages.control import ExitsGuarded, RiskLimits, TradingMode
from actors.messages.market import CrossReading, FeedState, Tick
from actors.messages.orders import (
    CancelApproved,
    CancelIntent,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderCompleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntent,
    OrderKind,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    Side,
)
from actors.rules.approval import MIN_KEY_BYTES, sign
from actors.rules.money import ZERO, BadAmount, to_decimal
from actors.rules.money import instruments as instruments_of
from actors.rules.orders import client_order_id
from actors.rules.positions import Fills
from actors.rules.readings import recalled_age_s
from actors.rules.risk_gate import NEVER_S, Allow, Code, Deny, Exposure, Snapshot, Terms, check
from actors.venues.ports import LatchPort, OpensLatch
from actors.venues.words import LatchSeen
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message
from supervisor.system import PhaseBegun

FATES = (
    OrderSubmitted, OrderAccepted, OrderFilled, OrderCompleted, OrderCancelled, OrderRejected, OrderExpired,
    OrderUnknown,
)  # fmt: skip
MINUTE_NS = 60_000_000_000
TWIN_S = 1.0  # the same order twice within this is one wish too many, unless the first has ended
UNSENT_S = 60.0  # an approval that nobody sent by now has expired long ago and cannot be sent any more
REMEMBERED = 100_000
ENTRIES_KEPT = 10_000


class _Open(msgspec.Struct):
    """An approved order that has not ended."""

    intent: OrderIntent
    left: Decimal
    at_s: float  # monotonic
    sent: bool = False


class _Books:
    """What became of our orders: positions, reservations, what is unknown. A fold over words; it decides nothing."""

    def __init__(self, account: str, venue: str) -> None:
        self.account, self.venue = account, venue
        self.fills = Fills(account)
        self.open: OrderedDict[str, _Open] = OrderedDict()  # by client order id
        self.unknown: dict[str, str] = {}  # client order id -> symbol
        self.entries_ns: deque[int] = deque(maxlen=ENTRIES_KEPT)  # when entries were approved, the last minute
        self.decided: OrderedDict[str, None] = OrderedDict()  # intent ids
        self.signals: OrderedDict[tuple[str, str], str] = OrderedDict()  # (strategy, signal id) -> approved intent id
        self.ended: OrderedDict[str, None] = OrderedDict()  # client order ids

    def approved(self, approval: OrderApproved, now_s: float) -> None:
        intent = approval.intent
        _remember(self.decided, intent.intent_id, None)
        name = client_order_id(self.account, intent.intent_id, 1)
        if name not in self.ended:
            self.open[name] = _Open(intent=intent, left=intent.quantity, at_s=now_s)
        if not intent.reduce_only:
            self.entries_ns.append(approval.approved_ns)
            if intent.signal_id:
                _remember(self.signals, (intent.strategy, intent.signal_id), intent.intent_id)

    def denied(self, word: OrderDenied) -> None:
        _remember(self.decided, word.intent_id, None)

    def fold(self, word: Message, now_s: float) -> None:
        """One of `FATES`."""
        match word:
            case OrderSubmitted() if word.intent.account == self.account:
                known = self.open.get(word.client_order_id)
                if known is not None:
                    known.sent = True
                elif word.client_order_id not in self.ended:
                    self.open[word.client_order_id] = _Open(
                        intent=word.intent, left=word.intent.quantity, at_s=now_s, sent=True
                    )
            case OrderFilled() if word.account == self.account and word.venue == self.venue:
                known = self.open.get(word.client_order_id)
                if self.fills.apply(word) and known is not None:
                    known.left = max(known.left - word.quantity, ZERO)
            case OrderAccepted() if word.account == self.account:
                self.unknown.pop(word.client_order_id, None)
            case OrderUnknown() if word.account == self.account and word.client_order_id not in self.ended:
                self.unknown[word.client_order_id] = word.symbol
            case OrderCompleted() | OrderCancelled() | OrderRejected() | OrderExpired() if word.account == self.account:
                self.open.pop(word.client_order_id, None)
                self.unknown.pop(word.client_order_id, None)
                _remember(self.ended, word.client_order_id, None)

    def sweep(self, now_ns: int, now_s: float) -> None:
        """Let go of what time has ended."""
        if any(abs(now_ns - at_ns) >= MINUTE_NS for at_ns in self.entries_ns):
            # Later than now by as much is another clock's: a former life traded now, this one replays a recording.
            kept = [at_ns for at_ns in self.entries_ns if abs(now_ns - at_ns) < MINUTE_NS]
            self.entries_ns = deque(kept, maxlen=ENTRIES_KEPT)
        for name in [name for name, item in self.open.items() if not item.sent and now_s - item.at_s > UNSENT_S]:
            # If it was sent after all, its OrderSubmitted takes the place again.
            del self.open[name]

    def twin(self, intent: OrderIntent, now_s: float) -> str:
        """The intent id of the same order, already approved; "" when there is none."""
        if not intent.reduce_only and (intent.strategy, intent.signal_id) in self.signals:
            return self.signals[intent.strategy, intent.signal_id]
        for item in self.open.values():
            if now_s - item.at_s <= TWIN_S and _content(item.intent) == _content(intent):
                return item.intent.intent_id
        return ""

    def reserved(self, symbol: str, side: Side) -> Decimal:
        return sum(
            (
                item.left
                for item in self.open.values()
                if item.intent.symbol == symbol and item.intent.side is side and not item.intent.reduce_only
            ),
            ZERO,
        )

    def symbols(self) -> set[str]:
        """Where anything is held or on its way."""
        held = {symbol for venue, symbol in self.fills.open() if venue == self.venue}
        return held | {item.intent.symbol for item in self.open.values() if not item.intent.reduce_only}


def _content(intent: OrderIntent) -> tuple[object, ...]:
    return (
        intent.strategy, intent.symbol, intent.side, intent.kind, intent.quantity, intent.price, intent.trigger_price,
        intent.reduce_only, intent.signal_id,
    )  # fmt: skip


def _remember(memory: OrderedDict[Any, Any], key: object, value: object) -> None:
    memory[key] = value
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)


class RiskGate(Actor):
    """`risk_gate:<account>`."""

    subscribes = (
        OrderIntent, CancelIntent, TradingMode, RiskLimits, ExitsGuarded, FeedState, Tick, CrossReading, AccountState,
        Reconciled, *FATES,
    )  # fmt: skip
    publishes = (OrderApproved, OrderDenied, CancelApproved)

    def init(  # the arguments are this actor's settings
        self,
        *,
        account: str,
        venue: str,
        instruments: Mapping[str, Mapping[str, Any]],
        approval_key: bytes | str,
        home: str,
        latch: str | OpensLatch = "actors.latch:watch",
        min_confidence: float = 0.0,
        approval_expires_s: float = 0.5,
        feed_age_s: float = 3.0,
        snapshot_age_s: float = 3.0,
    ) -> None:
        """Fold what was approved and what became of it, look at the latch.

        Args:
            instruments: symbol -> {tick_size, lot_size, min_notional}; orders in others are denied.
            approval_key: shared with this account's executor only; 16 bytes at least.
            home: where the emergency stop's latch lies.
            approval_expires_s: of `ctx.now()` time within which the executor must send.
            feed_age_s: a feed, tick or divergence older than this is unknown.
            snapshot_age_s: likewise mode, limits, account and the exit brain's sign of life.

        Raises:
            ValueError: a broken instrument, or a key too short; names it.
        """
        self.account, self.venue = account, venue
        self.key = approval_key.encode() if isinstance(approval_key, str) else approval_key
        if len(self.key) < MIN_KEY_BYTES:
            raise ValueError(f"risk_gate:{account}: the approval key has {len(self.key)} bytes, wanted {MIN_KEY_BYTES}")
        self.instruments = instruments_of(instruments)
        self.terms = Terms(min_confidence=min_confidence, feed_age_s=feed_age_s, snapshot_age_s=snapshot_age_s)
        self.approval_expires_ns = round(approval_expires_s * 1e9)
        self.books = _Books(account, venue)
        self.heard: dict[str, tuple[Any, float]] = {}  # "class:key" -> newest word and when it came (monotonic)
        self._recover()
        self.latch: LatchPort = load(latch)(self.ctx.post, home=home)
        self.ess, self.ess_reason = self.latch.now.state, self.latch.now.reason
        self.ending = ""

    def _recover(self) -> None:
        now_s = self.ctx.monotonic()
        for word in self.ctx.recall(OrderApproved, OrderDenied, Reconciled, *FATES):
            match word:
                case OrderApproved():
                    if word.intent.account == self.account:
                        self.books.approved(word, now_s)
                case OrderDenied():
                    if word.account == self.account:
                        self.books.denied(word)
                case Reconciled():
                    if word.account == self.account:
                        self._hear(word, recalled_age_s(word.at_ns, self.ctx.now()))
                case _:
                    self.books.fold(word, now_s)

    def handle(self, message: Message) -> None:
        match message:
            case Tick() | FeedState():
                if message.venue == self.venue and message.symbol in self.instruments:
                    self._hear(message)
            case TradingMode() | CrossReading():
                self._hear(message)
            case AccountState() | RiskLimits() | ExitsGuarded() | Reconciled():
                if message.account == self.account:
                    self._hear(message)
            case OrderIntent():
                if message.account == self.account:
                    self._decide(message)
            case CancelIntent():
                if message.account == self.account:
                    self._cancel(message)
            case PhaseBegun():
                self.ending = message.reason  # from now on no entry; exits and cancels go on to the end
                self.ctx.phase_done(message.phase)
            case LatchSeen():
                self.ess, self.ess_reason = message.state, message.reason
            case _:
                self.books.fold(message, self.ctx.monotonic())

    def terminate(self, reason: str) -> None:
        self.latch.close()

    # --- answers ---

    def _decide(self, intent: OrderIntent) -> None:
        if intent.intent_id in self.books.decided:
            return  # one wish, one answer
        now_ns, now_s = round(self.ctx.now() * 1e9), self.ctx.monotonic()
        version = 0
        try:
            self.books.sweep(now_ns, now_s)
            snapshot = self._snapshot(intent, now_s)
            version = snapshot.version
            decision = check(intent, snapshot, now_ns)
        except Exception as error:  # noqa: BLE001  # the one place: a broken check is a no, said aloud, and not a dead gate
            decision = Deny(Code.GATE_ERROR, f"the gate could not decide: {type(error).__name__}: {error}"[:300])
        if isinstance(decision, Allow):
            self._approve(intent, version, now_ns, now_s)
        else:
            self._deny(intent, decision, now_ns)
        self.ctx.progress("decision")

    def _approve(self, intent: OrderIntent, version: int, now_ns: int, now_s: float) -> None:
        approval = sign(
            OrderApproved(
                intent=intent,
                approval_id=f"{self.account}:{intent.intent_id}",
                approved_ns=now_ns,
                expires_ns=now_ns + self.approval_expires_ns,
                snapshot_version=version,
                signature="",
            ),
            self.key,
        )
        self.books.approved(approval, now_s)
        self.ctx.publish(approval)

    def _deny(self, intent: OrderIntent, decision: Deny, now_ns: int) -> None:
        word = OrderDenied(
            intent_id=intent.intent_id,
            account=self.account,
            venue=intent.venue,
            symbol=intent.symbol,
            code=str(decision.code),
            detail=decision.detail,
            denied_ns=now_ns,
            reduce_only=intent.reduce_only,
            strategy=intent.strategy,
        )
        self.books.denied(word)
        self.ctx.publish(word)

    def _cancel(self, intent: CancelIntent) -> None:
        approval = CancelApproved(intent=intent, approved_ns=round(self.ctx.now() * 1e9), signature="")
        self.ctx.publish(sign(approval, self.key))
        self.ctx.progress("cancel")

    def canary(self, name: str) -> str:
        """`forbidden`: the codes for an order in an unknown instrument and for one of half a lot. Nothing is kept."""
        if name != "forbidden":
            raise ValueError(f"{self.ctx.name} knows no canary {name!r}, only forbidden")
        now_ns, now_s = round(self.ctx.now() * 1e9), self.ctx.monotonic()
        symbol, instrument = next(iter(self.instruments.items()))
        codes = []
        for place, quantity in (("NOWHERE/AT:ALL", instrument.lot_size), (symbol, instrument.lot_size / 2)):
            intent = OrderIntent(
                intent_id="canary", account=self.account, strategy="canary", venue=self.venue, symbol=place,
                side=Side.BUY, kind=OrderKind.MARKET, quantity=quantity,
            )  # fmt: skip
            decision = check(intent, self._snapshot(intent, now_s), now_ns)
            codes.append("ALLOWED" if isinstance(decision, Allow) else str(decision.code))
        return " ".join(codes)

    # --- what is known ---

    def _hear(self, word: Message, age_s: float = 0.0) -> None:
        self.heard[f"{type(word).__name__}:{word.key()}"] = (word, self.ctx.monotonic() - age_s)

    def _last(self, kind: type[Message], key: str, now_s: float) -> tuple[Any, float]:
        """The newest word of this class and its age; None and infinity when there was none."""
        word, at_s = self.heard.get(f"{kind.__name__}:{key}", (None, 0.0))
        return word, (NEVER_S if word is None else now_s - at_s)

    def _snapshot(self, intent: OrderIntent, now_s: float) -> Snapshot:
        place = f"{self.venue}:{intent.symbol}"
        mode, mode_age_s = self._last(TradingMode, "", now_s)
        limits, limits_age_s = self._last(RiskLimits, self.account, now_s)
        _, exits_age_s = self._last(ExitsGuarded, self.account, now_s)
        account, account_age_s = self._last(AccountState, self.account, now_s)
        reconciled, reconciled_age_s = self._last(Reconciled, self.account, now_s)
        feed, feed_age_s = self._last(FeedState, place, now_s)
        tick, book_age_s = self._last(Tick, place, now_s)
        reading, divergence_age_s = self._last(CrossReading, intent.symbol.partition("/")[0], now_s)
        return Snapshot(
            terms=self.terms,
            instrument=self.instruments.get(intent.symbol) if intent.venue == self.venue else None,
            ess=self.ess,
            ess_reason=self.ess_reason,
            ending=self.ending,
            mode=mode,
            mode_age_s=mode_age_s,
            limits=limits,
            limits_age_s=limits_age_s,
            exits_age_s=exits_age_s,
            account=account,
            account_age_s=account_age_s,
            reconciled=None if reconciled is None else reconciled.ok,
            reconciled_age_s=reconciled_age_s,
            unknown_orders=tuple(name for name, symbol in self.books.unknown.items() if symbol == intent.symbol),
            feed=feed,
            feed_age_s=feed_age_s,
            bid=None if tick is None else _price(tick.bid),
            ask=None if tick is None else _price(tick.ask),
            book_age_s=book_age_s,
            divergence=None if reading is None else reading.divergence_bps,
            divergence_age_s=divergence_age_s,
            exposures=self._exposures(account, now_s),
            orders_last_minute=len(self.books.entries_ns),
            twin=self.books.twin(intent, now_s),
        )

    def _exposures(self, account: AccountState | None, now_s: float) -> tuple[Exposure, ...]:
        books = self.books
        told = {
            position.symbol: position.quantity
            for position in (account.positions if account else ())
            if position.venue == self.venue
        }
        found = []
        for symbol in sorted(books.symbols() | {symbol for symbol, quantity in told.items() if quantity}):
            tick, age_s = self._last(Tick, f"{self.venue}:{symbol}", now_s)
            position = books.fills.quantity(self.venue, symbol)
            found.append(
                Exposure(
                    symbol=symbol,
                    position=position,
                    # without the ledger's word there is no second opinion; SNAPSHOT_STALE keeps entries out then
                    told=position if account is None else told.get(symbol, ZERO),
                    buying=books.reserved(symbol, Side.BUY),
                    selling=books.reserved(symbol, Side.SELL),
                    price=None if tick is None or age_s > self.terms.feed_age_s else _price(tick.ask),
                )
            )
        return tuple(found)


def _price(value: float) -> Decimal | None:
    """A price that can value money; None for what a broken feed may send."""
    try:
        price = to_decimal(value)
    except BadAmount:
        return None
    return price if price > 0 else None
