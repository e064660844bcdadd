"""Words of the account: positions, equity, and what the venue itself says."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from supervisor.message import Delivery, Message


class Position(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Signed quantity: positive is long. `entry_price` is the average cost of what is open."""

    venue: str
    symbol: str
    quantity: Decimal
    entry_price: Decimal
    realised: Decimal  # profit and loss already taken, fees not included
    fees: Decimal


class AccountState(Message, frozen=True, kw_only=True):
    """The ledger's truth, on every fill and once a second: a fold over recorded fills and today's marks.

    `equity` is None when any mark is unknown; `unknown` names them. Silence means unknown, too.
    """

    delivery: ClassVar[Delivery] = Delivery.LATEST

    account: str
    version: int  # grows with every fill
    positions: tuple[Position, ...]
    cash: Decimal | None  # starting balance + realised - fees; None until the venue told the balance once
    equity: Decimal | None
    unrealised: Decimal | None
    day_start_equity: Decimal | None
    unknown: tuple[str, ...]  # instruments without a usable mark
    fills: int
    reconciled: bool
    at_ns: int

    def key(self) -> str:
        return self.account


class VenueAccount(Message, frozen=True, kw_only=True):
    """What the venue says the account holds, read by `execution` at start, after reconnects and periodically."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    account: str
    venue: str
    balance: Decimal  # wallet balance in the account currency, without unrealised profit
    currency: str
    positions: tuple[tuple[str, Decimal, Decimal], ...]  # symbol, signed quantity, entry price
    open_orders: tuple[str, ...]  # client order ids
    at_ns: int

    def key(self) -> str:
        return self.account


class Reconciled(Message, frozen=True, kw_only=True):
    """Execution compared books and venue: equal, or what differed and what was done about it."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    account: str
    ok: bool
    differences: tuple[str, ...]
    at_ns: int

    def key(self) -> str:
        return self.account
