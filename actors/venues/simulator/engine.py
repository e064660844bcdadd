"""The matching engine: takes orders, moves them through the book, triggers conditionals, and tells the user streams.

Picture: every public method is one operation. It changes records, keeps them, notes events; `_done` writes the batch to
disk and only then sends the events, so nobody ever heard of something that a crash can undo. The order event comes
before the balance event, and both may overtake the REST answer, as at the real venue.
Clients trade against the market only. An order that would meet one of the same account makes the older one expire
(EXPIRE_MAKER); two accounts do not see each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from actors.venues.simulator import admission, matching, wire
from actors.venues.simulator.accounts import ZERO, Algo, Balance, Fill, Order, Position, Truth
from actors.venues.simulator.errors import VenueError
from actors.venues.simulator.instruments import SPOT, USDM, Instrument, known
from actors.venues.simulator.listing import Listing, Print
from actors.venues.simulator.matching import Taken
from actors.venues.simulator.settlement import (
    fee_rate,
    initial_margin,
    reducible,
    relock,
    rounded,
    settle_spot,
    settle_usdm,
    unrealised,
)

Tell = Callable[[str, str, dict[str, Any]], None]  # product, account, event
FORGET_EVERY = 1000  # book moves between two cleanings of the taken levels


class Engine:
    """One engine for both products; single-threaded, never awaits."""

    def __init__(self, truth: Truth, listings: Mapping[tuple[str, str], Listing], tell: Tell) -> None:
        self.truth, self.listings = truth, listings
        self._tell = tell
        self._events: list[tuple[str, str, dict[str, Any]]] = []
        self._taken = {key: (Taken(), Taken()) for key in listings}  # what was bought from asks, sold to bids
        self._moves = 0
        self._now_ms = 0

    # -- operations ---------------------------------------------------------------------------------------------

    def place(self, order: Order, now_ms: int) -> list[Fill]:
        """Accept and match a new order; returns its fills. A refusal is a VenueError that changed nothing."""
        self._now_ms = now_ms
        namesake = self.truth.order_by_client(order.account, order.product, order.client_id)
        if namesake is not None and namesake.open:
            raise _duplicate(order.product)
        self._admit(order)
        fills = self._accept(order)
        self._done()
        return fills

    def place_algo(self, algo: Algo, now_ms: int) -> None:
        """Accept a conditional order. Raises VenueError: duplicate id, nothing to reduce, would trigger at once."""
        self._now_ms = now_ms
        namesake = self.truth.algo_by_client(algo.account, algo.client_id)
        if namesake is not None and namesake.open:
            raise _duplicate(USDM)
        position = self.truth.position(algo.account, algo.symbol)
        admission.check_conditional(algo, position, self._reference(algo))
        algo.algo_id = self.truth.next_id()
        algo.created_ms = algo.updated_ms = now_ms
        self.truth.keep(algo)
        self._say_algo(algo)
        self._done()

    def cancel(self, order: Order, now_ms: int) -> None:
        """Cancel an open order. Raises -2011 for one that has ended."""
        if not order.open:
            raise VenueError(-2011, "Unknown order sent.")
        self._now_ms = now_ms
        self._end(order, "CANCELED")
        self._done()

    def cancel_algo(self, algo: Algo, now_ms: int) -> None:
        if not algo.open:
            raise VenueError(-2011, "Unknown order sent.")
        self._now_ms = now_ms
        self._turn_algo(algo, "CANCELED")
        self._done()

    def set_leverage(self, account: str, symbol: str, leverage: int, now_ms: int) -> Position:
        position = self.truth.position(account, symbol)
        position.leverage, position.updated_ms = leverage, now_ms
        self.truth.keep(position)
        self.truth.commit(now_ms * 1_000_000)
        return position

    def traded(self, listing: Listing, trade: Print, price: Decimal, quantity: Decimal) -> None:
        """The market traded: resting orders at or through the price may fill, conditionals may trigger."""
        i = listing.instrument
        if not self.truth.working(i.symbol, i.product):
            return
        self._now_ms = time.time_ns() // 1_000_000
        orders = self.truth.open_orders(i.product, i.symbol)
        for order, size in matching.shares(orders, price, quantity, buyer_is_maker=trade.m):
            self._fill(order, order.price, size, maker=True)
        self._trigger(i, price, "CONTRACT_PRICE")
        self._done()

    def moved(self, listing: Listing) -> None:
        """The book changed: it may have come to a resting order's price, and the mark may have moved."""
        i = listing.instrument
        self._moves += 1
        if self._moves % FORGET_EVERY == 0:
            self._clean()
        if not self.truth.working(i.symbol, i.product):
            return
        self._now_ms = time.time_ns() // 1_000_000
        orders = self.truth.open_orders(i.product, i.symbol)
        for order in matching.in_priority(orders, "BUY") + matching.in_priority(orders, "SELL"):
            matching.shorten_queue(order, listing.book)
            if order.open and matching.crosses(order, listing.book):
                self._sweep(order, maker=True)
        mark = listing.mark
        if mark is not None:
            self._trigger(i, mark, "MARK_PRICE")
        self._done()

    # -- figures ------------------------------------------------------------------------------------------------

    def mark(self, symbol: str) -> Decimal | None:
        listing = self.listings.get((USDM, symbol))
        return listing.mark if listing else None

    def positions(self, account: str) -> list[Position]:
        return [p for (owner, _), p in self.truth.positions.items() if owner == account]

    def unrealised(self, account: str) -> Decimal:
        return sum((unrealised(p, self.mark(p.symbol)) for p in self.positions(account)), ZERO)

    def margin(self, account: str) -> Decimal:
        return initial_margin(self.positions(account), self.truth.all_open(account, USDM), self.mark)

    def instrument(self, product: str, symbol: str) -> Instrument:
        """Also of an instrument that this run does not list, but the account still knows from an earlier one."""
        listing = self.listings.get((product, symbol))
        return listing.instrument if listing else known(product, symbol)

    # -- life of an order ---------------------------------------------------------------------------------------

    def _admit(self, order: Order) -> None:
        """Everything that refuses an order before it exists."""
        listing, account = self.listings[order.product, order.symbol], order.account
        admission.check_post_only(order, listing.book)
        if order.product == SPOT:
            i = listing.instrument
            balance = self.truth.balance(account, i.quote if order.side == "BUY" else i.base)
            admission.check_balance(order, balance, self._reach(order) if order.type == "MARKET" else [])
            return
        position = self.truth.position(account, order.symbol)  # its leverage counts, also before the first fill
        if order.reduce_only:
            admission.check_reduces(order, position)
            return
        equity = self.truth.wallet(account, listing.instrument.quote).amount + self.unrealised(account)
        others = list(self.truth.all_open(account, USDM))
        best = matching.opposite(listing.book, order).best()
        price = order.price or (Decimal(best[0]) if best else listing.mark or ZERO)
        admission.check_margin(order, price, equity, self.positions(account), others, self.mark)

    def _accept(self, order: Order) -> list[Fill]:
        """The order exists from here on: NEW, then what it can take, then rest in the book or expire."""
        listing = self.listings[order.product, order.symbol]
        order.order_id = self.truth.next_id()
        order.created_ms = order.updated_ms = self._now_ms
        level = matching.own(listing.book, order).get(float(order.price)) if order.price else None
        order.ahead = Decimal(level[1]) if level else ZERO
        self.truth.keep(order)
        if order.product == SPOT and order.type != "MARKET":
            self._relock(order)
        self._say(order, "NEW")
        self._expire_own(order)
        reach = sum((size for _, size in self._reach(order)), ZERO)
        if order.time_in_force == "FOK" and reach < self._wanted(order):
            self._end(order, "EXPIRED")
            return []
        fills = self._sweep(order, maker=False)
        if order.open and (order.type == "MARKET" or order.time_in_force in ("IOC", "FOK")):
            self._end(order, "EXPIRED")
        return fills

    def _wanted(self, order: Order) -> Decimal:
        """What is left of it, for a reduce-only order at most what it can reduce."""
        if not order.reduce_only:
            return order.left
        return min(order.left, reducible(self.truth.position(order.account, order.symbol), order.sign))

    def _reach(self, order: Order) -> list[matching.Piece]:
        listing = self.listings[order.product, order.symbol]
        side, taken = matching.opposite(listing.book, order), self._taken_of(order)
        pieces = matching.walk(order, self._wanted(order), side, taken, listing.instrument.lot)
        return [piece for _, piece in pieces]

    def _sweep(self, order: Order, *, maker: bool) -> list[Fill]:
        """Take what the book offers this order now; a resting order that the market came to fills at its own price."""
        listing = self.listings[order.product, order.symbol]
        taken, fills = self._taken_of(order), []
        side = matching.opposite(listing.book, order)
        for level, (price, size) in matching.walk(order, self._wanted(order), side, taken, listing.instrument.lot):
            taken.take(level, size)
            fill = self._fill(order, order.price if maker else price, size, maker=maker)
            if fill is not None:
                fills.append(fill)
        return fills

    def _fill(self, order: Order, price: Decimal, size: Decimal, *, maker: bool) -> Fill | None:
        """One execution: order, money, event. A reduce-only order with nothing left to reduce expires instead."""
        if not order.open:
            return None
        if order.quote_quantity and order.type == "MARKET":
            order.quantity = order.executed + size  # an order by value learns its size as it fills
        else:
            size = min(size, self._wanted(order))
        if size <= 0:
            self._end(order, "EXPIRED")
            return None
        i = self.instrument(order.product, order.symbol)
        received_base = order.product == SPOT and order.side == "BUY"
        fee = rounded((size if received_base else size * price) * fee_rate(order.product, maker=maker))
        order.executed += size
        order.cost += price * size
        order.status = "FILLED" if self._is_filled(order) else "PARTIALLY_FILLED"
        order.updated_ms = self._now_ms
        fill = Fill(
            account=order.account,
            product=order.product,
            symbol=order.symbol,
            trade_id=self.truth.next_id(),
            order_id=order.order_id,
            client_id=order.client_id,
            side=order.side,
            price=price,
            quantity=size,
            fee=fee,
            fee_asset=i.base if received_base else i.quote,
            maker=maker,
            realised=ZERO,
            at_ms=self._now_ms,
        )
        if order.product == SPOT:
            self._settle_spot(order, i, fill)
        else:
            self._settle_usdm(order, i, fill)
            self._finish(order)
        return fill

    def _is_filled(self, order: Order) -> bool:
        if order.type == "MARKET" and order.quote_quantity:
            i = self.instrument(order.product, order.symbol)
            return order.quote_quantity - order.cost < i.lot * order.cost / order.executed
        return order.left <= 0

    def _settle_spot(self, order: Order, i: Instrument, fill: Fill) -> None:
        base, quote = self.truth.balance(order.account, i.base), self.truth.balance(order.account, i.quote)
        settle_spot(order, base, quote, fill)
        self.truth.keep(order, fill, base, quote)
        self._say(order, "TRADE", fill)
        self._say_balances(order.account, base, quote)

    def _settle_usdm(self, order: Order, i: Instrument, fill: Fill) -> None:
        position = self.truth.position(order.account, order.symbol)
        wallet = self.truth.wallet(order.account, i.quote)
        fill.realised = settle_usdm(position, wallet, order.sign, fill.price, fill.quantity, fill.fee)
        position.updated_ms = self._now_ms
        self.truth.keep(order, fill, position, wallet)
        self._say(order, "TRADE", fill)
        profit = unrealised(position, self.mark(order.symbol))
        event = wire.account_update(wallet, fill.realised - fill.fee, position, profit, self._now_ms)
        self._events.append((USDM, order.account, event))
        self._expire_useless(position)

    def _expire_useless(self, position: Position) -> None:
        """What can no longer reduce anything: resting reduce-only orders and close-position conditionals."""
        for order in self.truth.open_orders(USDM, position.symbol):
            mine = order.account == position.account and order.reduce_only
            if mine and order.type != "MARKET" and not reducible(position, order.sign):
                self._end(order, "EXPIRED")
        for algo in self.truth.open_algos(position.symbol):
            if algo.account == position.account and algo.close_position and not reducible(position, algo.sign):
                self._turn_algo(algo, "EXPIRED")

    def _expire_own(self, order: Order) -> None:
        """Self-trade prevention: the account's resting orders that the new one would meet expire first."""
        for other in self.truth.open_orders(order.product, order.symbol):
            meets = other.side != order.side and other.type != "MARKET" and matching.within(order, other.price)
            if meets and other.account == order.account and other is not order:
                self._end(other, "EXPIRED")

    def _end(self, order: Order, status: str) -> None:
        order.status, order.updated_ms = status, self._now_ms
        self.truth.keep(order)
        changed = self._relock(order) if order.product == SPOT else None
        self._say(order, status)
        self._finish(order)
        if changed is not None:
            self._say_balances(order.account, changed)

    def _relock(self, order: Order) -> Balance:
        i = self.instrument(order.product, order.symbol)
        balance = self.truth.balance(order.account, i.quote if order.side == "BUY" else i.base)
        if order.type != "MARKET":
            relock(order, balance)
        self.truth.keep(balance, order)
        return balance

    # -- conditional orders -------------------------------------------------------------------------------------

    def _reference(self, algo: Algo) -> Decimal | None:
        listing = self.listings[USDM, algo.symbol]
        if algo.working_type == "MARK_PRICE" or listing.tape.last is None:
            return listing.mark
        return listing.tape.last

    def _trigger(self, i: Instrument, price: Decimal, working_type: str) -> None:
        if i.product != USDM:
            return
        for algo in self.truth.open_algos(i.symbol):
            if algo.open and algo.working_type == working_type and algo.touched(price):
                self._activate(algo, i)

    def _activate(self, algo: Algo, i: Instrument) -> None:
        """The price was touched: the conditional order becomes an order, under the same client id."""
        algo.triggered_ms = self._now_ms
        closable = reducible(self.truth.position(algo.account, algo.symbol), algo.sign)
        reduces = algo.reduce_only or algo.close_position
        if reduces and not closable:
            algo.failure = "Reduce Only reject"
            self._turn_algo(algo, "REJECTED")
            return
        order = Order(
            account=algo.account,
            product=USDM,
            symbol=algo.symbol,
            order_id=0,
            client_id=algo.client_id,
            side=algo.side,
            type="MARKET" if algo.type.endswith("MARKET") else "LIMIT",
            time_in_force=algo.time_in_force,
            quantity=closable if algo.close_position else algo.quantity,
            price=algo.price,
            reduce_only=reduces,
            close_position=algo.close_position,
            stop_price=algo.trigger_price,
            original_type=algo.type,
            algo_id=algo.algo_id,
        )
        try:
            self._admit(order)
        except VenueError as refusal:
            algo.failure = refusal.text
            self._turn_algo(algo, "REJECTED")
            return
        self._turn_algo(algo, "TRIGGERING")
        self._accept(order)
        algo.order_id = order.order_id
        self._turn_algo(algo, "TRIGGERED", order)  # told after the order's own events, as at the real venue
        self._finish(order)

    def _finish(self, order: Order) -> None:
        """The conditional order behind an ended order has ended with it."""
        algo = self.truth.algos.get(order.algo_id)
        if algo is not None and algo.status == "TRIGGERED" and not order.open:
            self._turn_algo(algo, "FINISHED", order)

    def _turn_algo(self, algo: Algo, status: str, order: Order | None = None) -> None:
        """A conditional order leaves NEW, or goes on after that."""
        algo.status, algo.updated_ms = status, self._now_ms
        self.truth.keep(algo)
        self._say_algo(algo, order)

    # -- events -------------------------------------------------------------------------------------------------

    def _say(self, order: Order, kind: str, fill: Fill | None = None) -> None:
        i = self.instrument(order.product, order.symbol)
        form = wire.execution_report if order.product == SPOT else wire.order_trade_update
        self._events.append((order.product, order.account, form(order, i, kind, self._now_ms, fill)))

    def _say_algo(self, algo: Algo, order: Order | None = None) -> None:
        i = self.instrument(USDM, algo.symbol)
        self._events.append((USDM, algo.account, wire.algo_update(algo, i, self._now_ms, order)))

    def _say_balances(self, account: str, *balances: Balance) -> None:
        self._events.append((SPOT, account, wire.account_position(list(balances), self._now_ms)))

    def _done(self) -> None:
        """On disk first, then on the wire."""
        self.truth.commit(self._now_ms * 1_000_000)
        events, self._events = self._events, []
        for product, account, event in events:
            self._tell(product, account, event)

    def _taken_of(self, order: Order) -> Taken:
        return self._taken[order.product, order.symbol][0 if order.side == "BUY" else 1]

    def _clean(self) -> None:
        for key, (bought, sold) in self._taken.items():
            bought.forget_gone(self.listings[key].book.asks)
            sold.forget_gone(self.listings[key].book.bids)


def _duplicate(product: str) -> VenueError:
    if product == SPOT:
        return VenueError(-2010, "Duplicate order sent.")
    return VenueError(-4116, "ClientOrderId is duplicated.")
