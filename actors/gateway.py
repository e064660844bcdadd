"""The gateway: counts what it hears and keeps an HTTP port open for those who watch (health, metrics, status).

It decides nothing and nothing depends on it. Counters of recorded things (orders, fills, denials) are folded from the
record at the start, so a restart of the gateway loses none; the others are snapshots that their owners repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.messages.account import AccountState
from actors.messages.market import FeedReport
from actors.messages.orders import OrderDenied, OrderFilled, OrderSubmitted
from actors.messages.signals import SignalCount
from actors.meter import UNKNOWN, Slots
from actors.venues.ports import Closes, OpensHttp
from actors.venues.words import PortFailed
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message


class PortBroken(RuntimeError):
    """The HTTP port's thread ended: the gateway ends with it and is restarted."""


class Gateway(Actor):
    """Child `gateway`."""

    subscribes = (FeedReport, SignalCount, AccountState, OrderSubmitted, OrderFilled, OrderDenied)

    def init(
        self,
        home: str,
        http_port: int,
        instruments: Sequence[tuple[str, str]] = (),
        accounts: Sequence[str] = (),
        children: Sequence[str] = (),
        poll_every_s: float = 1.0,
        port: str | OpensHttp = "actors.venues.http_port:open",
    ) -> None:
        """`children`: names of the tree's workers, so that their series exist from the first scrape."""
        self.slots = Slots([(venue, symbol) for venue, symbol in instruments], accounts)
        for message in self.ctx.recall(OrderSubmitted, OrderFilled, OrderDenied):
            self._count(message)
        self._port: Closes = load(port)(
            self.ctx.post,
            home=home,
            http_port=http_port,
            slots=self.slots,
            children=tuple(children),
            poll_every_s=poll_every_s,
        )

    def handle(self, message: Message) -> None:
        if isinstance(message, PortFailed):
            raise PortBroken(message.text)
        self._count(message)
        self.ctx.progress(type(message).__name__)

    def terminate(self, reason: str) -> None:
        self._port.close()

    def _count(self, message: Message) -> None:
        slots = self.slots
        match message:
            case FeedReport():
                at = (message.venue, message.symbol)
                for name, value in (
                    ("qt_feed_frames_total", message.frames_in),
                    ("qt_feed_events_total", message.events_out),
                    ("qt_feed_conflated_total", message.conflated),
                    ("qt_feed_deltas_total", message.deltas_applied),
                    ("qt_feed_gaps_total", message.gaps),
                    ("qt_feed_resyncs_total", message.resyncs),
                    ("qt_feed_malformed_total", message.malformed),
                ):
                    slots.put(slots.feed[name], at, float(value))
            case SignalCount():
                at = (message.venue, message.symbol)
                for action, count in (("BUY", message.buy), ("SELL", message.sell), ("HOLD", message.hold)):
                    slots.put(slots.signals, (*at, action), float(count))
                slots.put(slots.inference_s, at, message.inference_us / 1e6)
            case AccountState():
                account = (message.account,)
                equity, start = message.equity, message.day_start_equity
                slots.put(slots.equity, account, UNKNOWN if equity is None else float(equity))
                change = float(equity / start - 1) if equity is not None and start else UNKNOWN
                slots.put(slots.day_change, account, change)
                slots.put(slots.positions, account, float(sum(1 for p in message.positions if p.quantity)))
                slots.put(slots.account_known, account, float(message.reconciled))
            case OrderSubmitted():
                slots.add(slots.orders, (message.intent.account,))
            case OrderFilled():
                slots.add(slots.fills, (message.account,))
            case OrderDenied():
                slots.add(slots.denied, (message.account,))
                slots.add(slots.denials, (message.account, message.code))
