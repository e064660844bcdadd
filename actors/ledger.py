"""What one account holds and is worth: a fold over recorded fills, marked with today's ticks. The only writer of it.

Picture: fills go into `Fills` (actors/rules/positions.py), the venue's word about its wallet gives the starting balance
once and is compared ever after, ticks of the account's venue are marks while they are fresh. Out comes `AccountState`,
on every fill and once a second; equity is None as soon as one open position has no mark. Starting is recovering: fold
what was recorded.

The account is one of a derivatives venue (a wallet in one currency that profit and fees go to; no funding, no
transfers: a wallet that moves by itself is a difference, and is said). It decides nothing about orders.
"""

from __future__ import annotations

from decimal import Decimal

from actors.messages.account import AccountState, Reconciled, VenueAccount
from actors.messages.control import Alert, SecondPassed
from actors.messages.market import Tick
from actors.messages.orders import OrderFilled
from actors.rules.positions import Fills, differences, mark, value
from supervisor.actor import Actor
from supervisor.message import Message

DAY_NS = 86_400 * 1_000_000_000
QUIET_S = 1.0  # a difference that stands so long without a fill is one; a fill may lie between two answers of a venue
HEARD_S = 120.0  # two rounds of the executor: an older recorded reconciliation says nothing about now


class Ledger(Actor):
    """Child `ledger`."""

    subscribes = (OrderFilled, VenueAccount, Reconciled, Tick)
    publishes = (AccountState, Alert)

    def init(self, account: str, venue: str, currency: str = "USDT", mark_age_s: float = 3.0) -> None:
        """`mark_age_s`: an older tick, by receipt, is no mark."""
        self._account, self._venue, self._mark_age_s = account, venue, mark_age_s
        self._fills = Fills(account, currency)
        self._opening: Decimal | None = None  # the wallet before the first fill
        self._marks: dict[tuple[str, str], tuple[Decimal, float]] = {}  # mid and its receipt
        self._doubt: tuple[VenueAccount, float] | None = None  # differs; since when, monotonic
        self._filled_at = float("-inf")  # monotonic
        self._wrong: tuple[str, ...] = ()  # what the venue sees differently, confirmed
        self._alerted: tuple[str, ...] = ()
        self._told_foreign = 0
        self._reconciled = False
        self._day = -1
        self._day_start: Decimal | None = None
        self._recall()
        self._say()
        self.ctx.after(1.0, SecondPassed())

    def handle(self, message: Message) -> None:
        match message:
            case Tick():
                self._mark(message)
            case OrderFilled():
                if self._fills.apply(message):
                    self._filled_at = self.ctx.monotonic()
                    self._tell_foreign_fees()
                    self._say()
                    self.ctx.progress("fill")
            case VenueAccount() if message.account == self._account:
                self._open(message)
                self._compare(message)
                self._say()
            case Reconciled() if message.account == self._account:
                self._reconciled = message.ok
                self._say()
            case SecondPassed():
                self.ctx.after(1.0, SecondPassed())
                if self._doubt is not None:
                    self._compare(self._doubt[0])
                self._say()
                self.ctx.progress("second")

    def _recall(self) -> None:
        """Fold the record; the day's starting equity is the cash at the start of the newest recorded day."""
        cash: list[tuple[int, Decimal]] = []  # at the end of each recorded day that was traded on
        newest_ns = 0
        for word in self.ctx.recall(OrderFilled, VenueAccount, Reconciled):
            match word:
                case VenueAccount(at_ns=at_ns) if word.account == self._account:
                    self._open(word)
                case OrderFilled(at_ns=at_ns) if word.account == self._account:
                    self._fills.apply(word)
                case Reconciled() if word.account == self._account:
                    self._reconciled = word.ok and abs(self.ctx.now() - word.at_ns / 1e9) <= HEARD_S
                    continue
                case _:
                    continue
            newest_ns = max(newest_ns, at_ns)
            known = self._cash()
            if known is not None:
                if cash and cash[-1][0] == at_ns // DAY_NS:
                    cash.pop()
                cash.append((at_ns // DAY_NS, known))
                del cash[:-2]
        if cash and self._opening is not None:
            self._day = newest_ns // DAY_NS
            self._day_start = cash[0][1] if len(cash) > 1 else self._opening

    def _open(self, word: VenueAccount) -> None:
        """The first word about the wallet is the opening balance, before what was traded until then."""
        if self._opening is None:
            self._opening = word.balance - self._fills.earned()

    def _cash(self) -> Decimal | None:
        return None if self._opening is None else self._opening + self._fills.earned()

    def _mark(self, tick: Tick) -> None:
        if tick.venue != self._venue:
            return
        mid = mark(tick.bid, tick.ask)
        if mid is not None:
            self._marks[tick.venue, tick.symbol] = (mid, self.ctx.monotonic())

    def _compare(self, theirs: VenueAccount) -> None:
        """Books against venue, at quiet points only: a difference must outlast `QUIET_S` without a fill."""
        now = self.ctx.monotonic()
        quantities = {symbol: quantity for symbol, quantity, _ in theirs.positions}
        found = differences(self._fills, self._venue, theirs.balance, self._cash(), quantities)
        if not found:
            self._doubt, self._wrong, self._alerted = None, (), ()
            return
        since = self._doubt[1] if self._doubt is not None and self._doubt[0] is theirs else now
        self._doubt = (theirs, since)
        if self._filled_at >= since - QUIET_S:
            self._doubt = None  # it may have been read while fills were under way: the next reading will tell
        elif now - since >= QUIET_S:
            self._doubt, self._wrong = None, found
            if found != self._alerted:
                self._alerted = found
                self._alert("critical", f"ledger {self._account}", "books and venue differ: " + "; ".join(found))

    def _tell_foreign_fees(self) -> None:
        if len(self._fills.foreign_fees) > self._told_foreign:
            self._told_foreign = len(self._fills.foreign_fees)
            currencies = ", ".join(sorted(self._fills.foreign_fees))
            text = f"fees in {currencies} are not in the account's {self._fills.currency}: cash does not include them"
            self._alert("warning", f"ledger {self._account} fees", text)

    def _say(self) -> None:
        now, now_ns = self.ctx.monotonic(), int(self.ctx.now() * 1e9)
        fresh = {key: mid for key, (mid, at) in self._marks.items() if now - at < self._mark_age_s}
        positions = self._fills.positions()
        worth = value(positions, fresh)
        cash = self._cash()
        equity = None if cash is None or worth.unrealised is None else cash + worth.unrealised
        if now_ns // DAY_NS != self._day:
            self._day, self._day_start = now_ns // DAY_NS, None
        if self._day_start is None:
            self._day_start = equity
        self.ctx.publish(
            AccountState(
                account=self._account,
                version=self._fills.count,
                positions=positions,
                cash=cash,
                equity=equity,
                unrealised=worth.unrealised,
                day_start_equity=self._day_start,
                unknown=worth.unknown,
                fills=self._fills.count,
                reconciled=self._reconciled and not self._wrong,
                at_ns=now_ns,
            )
        )

    def _alert(self, severity: str, subject: str, text: str) -> None:
        self.ctx.publish(Alert(severity=severity, subject=subject, text=text, at_ns=int(self.ctx.now() * 1e9)))
