"""`risk_gate:<account>`: the only door to the executor. Photographs what is known, asks the rules, signs a yes.

Picture: words of the house are pinned to a board with the time of their arrival; an intent is judged against the board
(`actors/rules/risk_gate.py`), a yes becomes a signed, short-lived `OrderApproved` and a reservation in the same
transaction, a no becomes `OrderDenied`. Starting is recovering: reservations, positions and decisions are folded from
the record; everything else on the board begins as unknown, and unknown is a no. Cancels always pass.

It sizes nothing, talks to no venue, and answers every intent exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from actors.messages.account import AccountState, Reconciled
from actors.messages.control import RiskLimits, SecondPassed, TradingMode
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
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from actors.rules import exposure, money
from actors.rules import risk_gate as rules
from actors.rules.approval import sign
from actors.rules.exposure import Exposure
from actors.rules.money import instruments as instruments_of
from actors.rules.positions import Key
from actors.venues.words import LatchSeen
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message


class RiskGate(Actor):
    """One account's gate."""

    subscribes = (
        OrderIntent, CancelIntent, TradingMode, RiskLimits, FeedState, Tick, CrossReading, AccountState, Reconciled,
        OrderDenied, OrderSubmitted, OrderAccepted, OrderFilled, OrderCompleted, OrderCancelled, OrderRejected,
        OrderExpired, OrderUnknown,
    )  # fmt: skip
    publishes = (OrderApproved, OrderDenied, CancelApproved)

    def init(  # type: ignore[override]
        self,
        *,
        account: str,
        venue: str,
        instruments: Mapping[str, Mapping[str, Decimal]],
        approval_key: bytes | str,
        home: str,
        approval_expires_s: float = 0.5,
        freshness: Mapping[str, float] | None = None,
        latch: str | Callable[..., Any] = "actors.latch:watch",
    ) -> None:
        """`instruments`: grid by symbol (`money.instruments`); `freshness`: overrides of `rules.Freshness`."""
        self._account = account
        self._key = approval_key.encode() if isinstance(approval_key, str) else approval_key
        self._expires_ns = round(approval_expires_s * 1e9)
        self._instruments = {(venue, symbol): grid for symbol, grid in instruments_of(instruments).items()}
        self._freshness = msgspec.convert(dict(freshness or {}), rules.Freshness)
        self._board: dict[tuple[type, str], tuple[Any, float]] = {}  # newest word and its arrival, monotonic
        self._exposure = Exposure(account)
        for word in self.ctx.recall(*exposure.WORDS):
            self._exposure.fold(word)
        self._latch = load(latch)(self.ctx.post, home=home)
        self._ess = self._latch.now.state
        self.ctx.after(1.0, SecondPassed())

    def handle(self, message: Message) -> None:
        match message:
            case Tick() | FeedState() | CrossReading() | TradingMode() | RiskLimits() | AccountState() | Reconciled():
                self._board[type(message), message.key()] = (message, self.ctx.monotonic())
            case OrderIntent() if message.account == self._account:
                self._judge(message)
            case CancelIntent() if message.account == self._account:
                self.ctx.publish(
                    sign(CancelApproved(intent=message, approved_ns=self._now_ns(), signature=""), self._key)
                )
            case LatchSeen():
                self._ess = message.state
            case SecondPassed():
                self.ctx.after(1.0, SecondPassed())
                self._exposure.expire(self._now_ns())
            case _:
                self._exposure.fold(message)

    def terminate(self, reason: str) -> None:
        self._latch.close()

    def _judge(self, intent: OrderIntent) -> None:
        if intent.intent_id in self._exposure.decided:
            return  # one decision per intent; the first one is on record and on its way
        now_ns = self._now_ns()
        snapshot = self._snapshot(intent, now_ns)
        verdict = rules.check(intent, snapshot, now_ns)
        word: OrderApproved | OrderDenied
        if isinstance(verdict, rules.Deny):
            word = OrderDenied(
                intent_id=intent.intent_id,
                account=self._account,
                venue=intent.venue,
                symbol=intent.symbol,
                code=verdict.code,
                detail=verdict.detail,
                denied_ns=now_ns,
                reduce_only=intent.reduce_only,
                strategy=intent.strategy,
            )
        else:
            approval = OrderApproved(
                intent=intent,
                approval_id=f"approval:{intent.intent_id}",
                approved_ns=now_ns,
                expires_ns=now_ns + self._expires_ns,
                snapshot_version=snapshot.account.version if snapshot.account is not None else 0,
                signature="",
            )
            word = sign(approval, self._key)
        self._exposure.fold(word)
        self.ctx.publish(word)
        self.ctx.progress(f"decided {intent.intent_id}")

    def _snapshot(self, intent: OrderIntent, now_ns: int) -> rules.Snapshot:
        key: Key = (intent.venue, intent.symbol)
        instrument = f"{intent.venue}:{intent.symbol}"
        base = intent.symbol.partition("/")[0]
        mode, mode_s = self._newest(TradingMode, "")
        limits, limits_s = self._newest(RiskLimits, self._account)
        account, account_s = self._newest(AccountState, self._account)
        reconciled, reconciled_s = self._newest(Reconciled, self._account)
        feed, feed_s = self._newest(FeedState, instrument)
        tick, tick_s = self._newest(Tick, instrument)
        cross, cross_s = self._newest(CrossReading, base)
        held, reserved = self._exposure.fills.open(), self._exposure.reserved()
        return rules.Snapshot(
            heard=rules.Heard(
                mode_s=mode_s,
                limits_s=limits_s,
                account_s=account_s,
                reconciled_s=reconciled_s,
                feed_s=feed_s,
                tick_s=tick_s,
                cross_s=cross_s,
            ),
            freshness=self._freshness,
            ess=self._ess,
            mode=mode,
            limits=limits,
            account=account,
            reconciled=reconciled is not None and reconciled.ok,
            reconciled_detail="; ".join(reconciled.differences) if reconciled else "no reconciliation heard yet",
            feed=feed,
            tick=tick,
            cross=cross,
            instrument=self._instruments.get(key),
            held=held,
            reserved=reserved,
            marks=self._marks({*held, *reserved}),
            unknown_orders=tuple(order for order, where in self._exposure.unknown.items() if where == key),
            signal_used=not intent.reduce_only and self._exposure.signal_used(intent),
            twin_open=self._exposure.twin_open(intent),
            entries_within_minute=self._exposure.entries_within_minute(now_ns),
        )

    def _marks(self, wanted: set[Key]) -> dict[Key, Decimal]:
        """Mids of what is held or promised; a tick that is too old is no mark."""
        found = {}
        for venue, symbol in wanted:
            tick, age_s = self._newest(Tick, f"{venue}:{symbol}")
            mark = None if tick is None or age_s > self._freshness.tick_s else money.mid(tick.bid, tick.ask)
            if mark is not None:
                found[venue, symbol] = mark
        return found

    def _newest(self, kind: type[Any], key: str) -> tuple[Any, float]:
        word, at_s = self._board.get((kind, key), (None, -math.inf))
        return word, self.ctx.monotonic() - at_s

    def _now_ns(self) -> int:
        return int(self.ctx.now() * 1e9)
