"""The venue's own truth: orders, fills, balances and positions of every account, durable in `truth.jsonl`.

Picture: state is a set of small records, each identified by a key; a change is the record's new value. One operation
of the venue is one batch is one line, written and fsynced before anybody hears of it; a start is the fold of all
lines. A torn last line is the batch nobody heard of: it is cut. Nothing here decides what an order does.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

ZERO = Decimal(0)
CLOSED_KEPT = 10_000  # ended orders that can still be asked for; a real venue forgets them too
FILLS_KEPT = 200_000
COMPACT_ABOVE = 64 << 20  # bytes of journal at start
OPEN = ("NEW", "PARTIALLY_FILLED")


class Order(msgspec.Struct, kw_only=True, tag_field="k", tag="order"):
    """An order in the book or ended. Money in the quote currency, sizes in the base currency."""

    account: str
    product: str
    symbol: str
    order_id: int
    client_id: str
    side: str  # BUY, SELL
    type: str  # LIMIT, LIMIT_MAKER, MARKET
    time_in_force: str  # GTC, IOC, FOK, GTX
    quantity: Decimal
    price: Decimal = ZERO
    quote_quantity: Decimal = ZERO  # of a spot market order by value
    reduce_only: bool = False
    close_position: bool = False
    stop_price: Decimal = ZERO  # of the conditional order it came from
    original_type: str = ""
    status: str = "NEW"
    executed: Decimal = ZERO
    cost: Decimal = ZERO
    locked: Decimal = ZERO  # spot: what is still set aside for it
    ahead: Decimal = ZERO  # what stands before it at its price; written with other changes only, not for its own sake
    algo_id: int = 0  # of that conditional order
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def left(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1


class Algo(msgspec.Struct, kw_only=True, tag_field="k", tag="algo"):
    """A conditional order of USD-M: it becomes an order when its price is touched."""

    account: str
    symbol: str
    algo_id: int
    client_id: str
    side: str
    type: str  # STOP_MARKET, TAKE_PROFIT_MARKET, STOP, TAKE_PROFIT
    time_in_force: str
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    working_type: str  # CONTRACT_PRICE (last trade), MARK_PRICE
    reduce_only: bool
    close_position: bool
    status: str = "NEW"  # NEW, TRIGGERING, TRIGGERED, FINISHED, CANCELED, EXPIRED, REJECTED
    order_id: int = 0
    failure: str = ""
    triggered_ms: int = 0
    created_ms: int = 0
    updated_ms: int = 0

    product: str = "usdm"

    @property
    def open(self) -> bool:
        return self.status == "NEW"

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1

    def touched(self, price: Decimal) -> bool:
        """A stop waits for a price against its side's favour, a take-profit for one in it."""
        upwards = (self.side == "BUY") == self.type.startswith("STOP")
        return price >= self.trigger_price if upwards else price <= self.trigger_price


class Fill(msgspec.Struct, kw_only=True, tag_field="k", tag="fill"):
    """One execution."""

    account: str
    product: str
    symbol: str
    trade_id: int
    order_id: int
    client_id: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    realised: Decimal
    at_ms: int


class Balance(msgspec.Struct, kw_only=True, tag_field="k", tag="balance"):
    """Spot: an asset of an account."""

    account: str
    asset: str
    free: Decimal = ZERO
    locked: Decimal = ZERO


class Wallet(msgspec.Struct, kw_only=True, tag_field="k", tag="wallet"):
    """USD-M: what the account holds in its margin asset, without unrealised profit."""

    account: str
    asset: str
    amount: Decimal = ZERO


class Position(msgspec.Struct, kw_only=True, tag_field="k", tag="position"):
    """USD-M, one-way mode: signed quantity and average entry price."""

    account: str
    symbol: str
    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    leverage: int = 20
    updated_ms: int = 0


class ListenKey(msgspec.Struct, kw_only=True, tag_field="k", tag="listen_key"):
    """A USD-M user stream's key."""

    account: str
    key: str
    expires_ms: int


Change = Order | Algo | Fill | Balance | Wallet | Position | ListenKey


class Batch(msgspec.Struct):
    """One line of the journal."""

    at_ns: int
    changes: list[Change]


_decoder = msgspec.json.Decoder(Batch)


class Truth:
    """All records in memory, and the journal behind them. `keep` a changed record, then `commit`."""

    def __init__(self, path: Path) -> None:
        self.orders: dict[int, Order] = {}
        self.algos: dict[int, Algo] = {}
        self.fills: deque[Fill] = deque(maxlen=FILLS_KEPT)
        self.balances: dict[tuple[str, str], Balance] = {}
        self.wallets: dict[tuple[str, str], Wallet] = {}
        self.positions: dict[tuple[str, str], Position] = {}
        self.listen_keys: dict[str, ListenKey] = {}
        self.last_id = 1_000_000
        self._open: dict[tuple[str, str], dict[int, Order]] = {}
        self._open_algos: dict[str, dict[int, Algo]] = {}
        self._clients: dict[tuple[str, str, str], Order | Algo] = {}  # account, kind, client id: the newest
        self._closed: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._changed: list[Change] = []
        self._path = path
        self._fold()
        self._file = path.open("ab")

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def keep(self, *records: Change) -> None:
        """Put records into the state and into the running batch."""
        for record in records:
            self._put(record)
            if all(record is not known for known in self._changed):
                self._changed.append(record)

    def commit(self, at_ns: int) -> None:
        """Write the running batch as one line and wait for the disk; nothing to write costs nothing."""
        if not self._changed:
            return
        self._file.write(msgspec.json.encode(Batch(at_ns, self._changed)) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._changed = []

    def close(self) -> None:
        self._file.close()

    def open_orders(self, product: str, symbol: str) -> list[Order]:
        """Open orders of one instrument, oldest first."""
        return list(self._open.get((product, symbol), {}).values())

    def open_algos(self, symbol: str) -> list[Algo]:
        return list(self._open_algos.get(symbol, {}).values())

    def working(self, symbol: str, product: str) -> bool:
        """Is there anything a price could move? Asked for every frame."""
        return bool(self._open.get((product, symbol)) or (product == "usdm" and self._open_algos.get(symbol)))

    def all_open(self, account: str, product: str) -> Iterator[Order]:
        for orders in self._open.values():
            yield from (o for o in orders.values() if o.account == account and o.product == product)

    def all_open_algos(self, account: str) -> Iterator[Algo]:
        for algos in self._open_algos.values():
            yield from (a for a in algos.values() if a.account == account)

    def order_by_client(self, account: str, product: str, client_id: str) -> Order | None:
        found = self._clients.get((account, product, client_id))
        return found if isinstance(found, Order) else None

    def algo_by_client(self, account: str, client_id: str) -> Algo | None:
        found = self._clients.get((account, "algo", client_id))
        return found if isinstance(found, Algo) else None

    def balance(self, account: str, asset: str) -> Balance:
        return self.balances.setdefault((account, asset), Balance(account=account, asset=asset))

    def wallet(self, account: str, asset: str) -> Wallet:
        return self.wallets.setdefault((account, asset), Wallet(account=account, asset=asset))

    def position(self, account: str, symbol: str) -> Position:
        return self.positions.setdefault((account, symbol), Position(account=account, symbol=symbol))

    def _put(self, record: Change) -> None:
        match record:
            case Order():
                self._put_order(record)
            case Algo():
                self._put_algo(record)
            case Fill():
                self.fills.append(record)
                self.last_id = max(self.last_id, record.trade_id)
            case Balance():
                self.balances[record.account, record.asset] = record
            case Wallet():
                self.wallets[record.account, record.asset] = record
            case Position():
                self.positions[record.account, record.symbol] = record
            case ListenKey() if record.expires_ms:
                self.listen_keys[record.key] = record
            case ListenKey():
                self.listen_keys.pop(record.key, None)  # a dead key is as good as one that never was

    def _put_order(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self.last_id = max(self.last_id, order.order_id)
        self._clients[order.account, order.product, order.client_id] = order
        group = self._open.setdefault((order.product, order.symbol), {})
        if order.open:
            group[order.order_id] = order
        else:
            group.pop(order.order_id, None)
            self._closed["order", order.order_id] = None
            self._forget()

    def _put_algo(self, algo: Algo) -> None:
        self.algos[algo.algo_id] = algo
        self.last_id = max(self.last_id, algo.algo_id)
        self._clients[algo.account, "algo", algo.client_id] = algo
        group = self._open_algos.setdefault(algo.symbol, {})
        if algo.open:
            group[algo.algo_id] = algo
        else:
            group.pop(algo.algo_id, None)
            self._closed["algo", algo.algo_id] = None
            self._forget()

    def _forget(self) -> None:
        while len(self._closed) > CLOSED_KEPT:
            kind, number = self._closed.popitem(last=False)[0]
            gone: Order | Algo = self.orders.pop(number) if kind == "order" else self.algos.pop(number)
            key = (gone.account, "algo" if kind == "algo" else gone.product, gone.client_id)
            if self._clients.get(key) is gone:
                del self._clients[key]

    def _fold(self) -> None:
        if not self._path.exists():
            return
        end = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    if not line.endswith(b"\n"):
                        raise msgspec.DecodeError("the line has no end")
                    batch = _decoder.decode(line)
                except msgspec.DecodeError as torn:
                    if file.read(1):
                        raise ValueError(
                            f"{self._path} line {number} is damaged ({torn}) and lines follow it: this is no torn end. "
                            "Move the file away to start the venue without its past."
                        ) from torn
                    log.warning("%s: torn last line %d cut (%s)", self._path.name, number, torn)
                    break
                for change in batch.changes:
                    self._put(change)
                end += len(line)
        if end < self._path.stat().st_size:
            os.truncate(self._path, end)
        if end > COMPACT_ABOVE:
            self._compact()

    def _compact(self) -> None:
        """Write the state as it is into a new file that replaces the journal."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            for record in self._records():
                file.write(msgspec.json.encode(Batch(0, [record])) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def _records(self) -> Iterable[Change]:
        yield from self.balances.values()
        yield from self.wallets.values()
        yield from self.positions.values()
        yield from self.listen_keys.values()
        yield from self.fills
        yield from self.orders.values()
        yield from self.algos.values()
