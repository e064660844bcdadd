"""A position is a fold over fills: average cost, realised profit, fees. Pure; one fold for all who need it.

Picture: `after` moves one holding by one fill, `Fills` keeps one account's holdings and forgets no fill and counts none
twice, `value` marks them. The arithmetic is a USD-M venue's, digit by digit (average cost with 28 digits, realised and
unrealised rounded half-even to 8 decimals), so equity equals wallet balance plus unrealised exactly and not nearly.

It knows no account but its own, no order, no cash, and never guesses a mark.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from actors.messages.account import Position
from actors.messages.orders import OrderFilled
from actors.rules.money import ZERO, to_decimal
from actors.rules.orders import signed

DECIMALS_8 = Decimal("0.00000001")
REMEMBERED = 50_000  # fill ids kept to drop repeats: as many as the executor keeps

Key = tuple[str, str]  # venue, symbol


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Signed quantity (positive is long), average cost, and what it has earned and cost so far."""

    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO


FLAT = Holding()


def after(holding: Holding, change: Decimal, price: Decimal, fee: Decimal) -> Holding:
    """The holding after a fill of `change` (signed) at `price`. One-way: a large opposite fill goes through zero."""
    old = holding.quantity
    closing = min(abs(old), abs(change)) if old * change < 0 else ZERO
    realised = rounded((price - holding.entry_price) * closing * (1 if old > 0 else -1)) if closing else ZERO
    quantity = old + change
    entry = holding.entry_price
    if quantity == 0:
        entry = ZERO
    elif not closing:
        entry = (entry * abs(old) + price * abs(change)) / abs(quantity)
    elif old * quantity < 0:
        entry = price
    return Holding(quantity=quantity, entry_price=entry, realised=holding.realised + realised, fees=holding.fees + fee)


def rounded(amount: Decimal) -> Decimal:
    """To the venue's 8 decimals."""
    return amount.quantize(DECIMALS_8, ROUND_HALF_EVEN)


class Fills:
    """The fold over one account's fills. Repeats, by (venue, symbol, trade id), change nothing."""

    def __init__(self, account: str, currency: str = "USDT") -> None:
        self.account = account
        self.currency = currency
        self.count = 0
        self.holdings: dict[Key, Holding] = {}
        self.foreign_fees: set[str] = set()  # currencies of fees we cannot express in the account's
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def apply(self, fill: OrderFilled) -> bool:
        """Fold one fill; False when it is another account's or was folded before."""
        at = (fill.venue, fill.symbol, fill.trade_id)
        if fill.account != self.account or at in self._seen:
            return False
        self._seen[at] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        fee = fill.fee
        if fee and fill.fee_currency != self.currency:
            self.foreign_fees.add(fill.fee_currency)
            fee = ZERO
        key = (fill.venue, fill.symbol)
        self.holdings[key] = after(self.holdings.get(key, FLAT), signed(fill.side, fill.quantity), fill.price, fee)
        self.count += 1
        return True

    def quantity(self, venue: str, symbol: str) -> Decimal:
        return self.holdings.get((venue, symbol), FLAT).quantity

    def open(self) -> dict[Key, Decimal]:
        """Signed quantities that are not zero."""
        return {key: holding.quantity for key, holding in self.holdings.items() if holding.quantity}

    def earned(self) -> Decimal:
        """Realised profit less fees, over everything."""
        return sum((h.realised - h.fees for h in self.holdings.values()), ZERO)

    def positions(self) -> tuple[Position, ...]:
        """Every instrument ever held, in the order of the first fill; flat ones keep what they earned."""
        return tuple(
            Position(
                venue=venue, symbol=symbol, quantity=h.quantity, entry_price=h.entry_price, realised=h.realised,
                fees=h.fees,
            )
            for (venue, symbol), h in self.holdings.items()
        )  # fmt: skip


def mark(bid: float, ask: float) -> Decimal | None:
    """The middle of a book, exact; None when it is no book: a side missing, not finite, or crossed."""
    if not (math.isfinite(bid) and math.isfinite(ask) and 0 < bid <= ask):
        return None
    return (to_decimal(bid) + to_decimal(ask)) / 2


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Unrealised profit at the marks; None when any mark is missing, and `unknown` names what is."""

    unrealised: Decimal | None
    unknown: tuple[str, ...] = ()


def value(positions: Iterable[Position], marks: Mapping[Key, Decimal]) -> Value:
    """Mark what is open. A flat position needs no mark."""
    total, unknown = ZERO, []
    for position in positions:
        if not position.quantity:
            continue
        mark = marks.get((position.venue, position.symbol))
        if mark is None:
            unknown.append(f"{position.venue}:{position.symbol}")
        else:
            total += rounded((mark - position.entry_price) * position.quantity)
    return Value(unrealised=None if unknown else total, unknown=tuple(unknown))


def differences(
    fills: Fills, venue: str, balance: Decimal, cash: Decimal | None, theirs: Mapping[str, Decimal]
) -> tuple[str, ...]:
    """One sentence per thing the venue sees differently: positions first, then the wallet."""
    ours = {symbol: quantity for (where, symbol), quantity in fills.open().items() if where == venue}
    found = [
        f"{symbol}: fills give {ours.get(symbol, ZERO)}, {venue} says {theirs.get(symbol, ZERO)}"
        for symbol in sorted({*ours, *theirs})
        if ours.get(symbol, ZERO) != theirs.get(symbol, ZERO)
    ]
    if cash is not None and cash != balance:
        found.append(f"wallet: the ledger has {cash}, {venue} says {balance} (difference {balance - cash})")
    return tuple(found)
