"""What the live view knows of the market and the account: the newest of everything heard on the bus. No terminal here.

Fed with frames as any foreign client gets them; only the field names of docs/wire.md are borrowed from our own classes.
Prices that are not fresh never look fresh: every quote carries the age of its last news and the status its feed gave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.messages import account, control, market, orders, signals
from supervisor.message import Message

if TYPE_CHECKING:
    from supervisor.runtime.client import Heard

HEARD: tuple[type[Message], ...] = (
    market.Tick,
    market.FeedState,
    market.CrossReading,
    signals.Signal,
    signals.Hold,
    account.AccountState,
    control.TradingMode,
    orders.OrderSubmitted,
    orders.OrderFilled,
    orders.OrderDenied,
    orders.OrderRejected,
)
TOPICS = tuple(f"{kind.__name__}:" for kind in HEARD)
_FIELDS: dict[str, tuple[str, ...]] = {kind.__name__: kind.__struct_fields__ for kind in HEARD}
_POSITION: tuple[str, ...] = account.Position.__struct_fields__
RECENT = 6


@dataclass(slots=True)
class Quote:
    """One instrument. `at` is the viewer's own clock when the last tick came."""

    bid: float | None = None
    ask: float | None = None
    at: float | None = None
    status: str = "UNKNOWN"
    reason: str = ""
    opinion: str = ""  # the ensemble's last word on it


@dataclass(slots=True)
class Board:
    """Everything the view shows besides the tree."""

    quotes: dict[tuple[str, str], Quote] = field(default_factory=dict)
    basis: dict[str, str] = field(default_factory=dict)
    signals: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT))
    orders: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT))
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    mode: str = ""
    mode_reason: str = ""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("orders", "fills", "denied", "rejected"), 0))
    heard: int = 0

    def absorb(self, heard: Heard, now: float) -> None:
        """Take in one frame. Frames of other classes, or of another version of them, change nothing."""
        kind = str(heard.body[0]) if heard.body else ""
        names = _FIELDS.get(kind)
        if names is None:
            return
        self.heard += 1
        self._take(kind, dict(zip(names, heard.body[1:], strict=False)), now)

    def _take(self, kind: str, said: dict[str, Any], now: float) -> None:
        match kind:
            case "Tick":
                quote = self._quote(said)
                quote.bid, quote.ask, quote.at = said["bid"], said["ask"], now
            case "FeedState":
                quote = self._quote(said)
                quote.status, quote.reason = str(said["status"]), str(said["reason"])
            case "CrossReading":
                self.basis[said["base"]] = reading(said["basis_bps"], "bps")
            case "Signal":
                self._quote(said).opinion = f"{said['action']} {100 * said['confidence']:.0f}%"
                self.signals.appendleft(said)
            case "Hold":
                self._quote(said).opinion = f"HOLD {said['reason']}"
            case "AccountState":
                self.accounts[said["account"]] = said
            case "TradingMode":
                self.mode, self.mode_reason = str(said["mode"]), str(said["reason"])
            case "OrderSubmitted":
                self.counts["orders"] += 1
            case "OrderFilled":
                self.counts["fills"] += 1
                self.orders.appendleft(f"{said['side']} {said['quantity']} {said['symbol']} at {said['price']}")
            case "OrderDenied":
                self.counts["denied"] += 1
                self.orders.appendleft(f"denied {said['symbol']}: {said['code']} {said['detail']}")
            case "OrderRejected":
                self.counts["rejected"] += 1
                self.orders.appendleft(f"rejected {said['client_order_id']}: {said['reason']}")

    def positions(self) -> list[dict[str, Any]]:
        """Open positions of all accounts, as dicts."""
        rows = [
            dict(zip(_POSITION, position, strict=False))
            for state in self.accounts.values()
            for position in state.get("positions") or ()
        ]
        return [row for row in rows if float(row.get("quantity") or 0)]

    def open_gain(self, position: dict[str, Any]) -> float | None:
        """Profit or loss of an open position at the mid that was heard last, before costs; `None` without one."""
        quote = self.quotes.get((str(position["venue"]), str(position["symbol"])))
        if quote is None or quote.bid is None or quote.ask is None:
            return None
        return ((quote.bid + quote.ask) / 2 - float(position["entry_price"])) * float(position["quantity"])

    def _quote(self, said: dict[str, Any]) -> Quote:
        return self.quotes.setdefault((said["venue"], said["symbol"]), Quote())


def reading(value: Sequence[Any], unit: str) -> str:
    """A three-valued reading in words: a number, `stale 4.0s`, or why there is none."""
    match list(value):
        case ["value", number, *_]:
            return f"{number:+.1f} {unit}"
        case ["stale", age_s, *_]:
            return f"stale {age_s:.1f}s"
        case ["unavailable", reason, *_]:
            return f"none: {reason}"
    return "?"
