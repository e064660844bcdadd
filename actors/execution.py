"""One account at one venue: approved orders out, the venue's truth in. The only actor that signs.

Picture: an approval becomes `OrderSubmitted` (on disk) and then a call of the port; whatever the port answers, or the
user stream says, or a reconciliation finds, goes through `actors/rules/orders.py`, and the words it gives are
published. Starting is recovering: fold those words, ask the venue about everything unsettled, adopt what is there, and
only then be ready. After a lost stream and once a minute the same question is asked again.

It does not decide what to trade or whether; it refuses what is unsigned, late, or adds risk under the emergency stop.
"""

from __future__ import annotations

from typing import ClassVar

from actors.books import WORDS, Books
from actors.messages.account import Reconciled, VenueAccount
from actors.messages.control import EssState
from actors.messages.orders import (
    CancelApproved,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderCompleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    Side,
)
from actors.rules import orders as rules
from actors.rules.orders import Absent, Order, OrderState, Outcome, VenueFill, VenueOrder
from actors.venues.ports import LatchPort, OpensLatch, OpensOrders, OrdersPort
from actors.venues.words import (
    CancelAnswer,
    FillReport,
    FindAnswer,
    LatchSeen,
    OrderReport,
    Picture,
    PortFailed,
    StreamChanged,
    SubmitAnswer,
)
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Delivery, Message

RECONCILE_EVERY_S = 60.0
BLIND_EVERY_S = 3.0  # while the user stream is down
SOON_S = 0.3  # fills are missing, or a difference has to be looked at again
AGAIN_CAP_S = 5.0
ROUNDS = 3  # a difference is said when it stands this many pictures
RETRY_S = 0.5  # after "not accepted, too many requests"


class ReconcileDue(Message, frozen=True, kw_only=True):
    """Private timer; only the newest one counts."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    number: int


class QueryDue(Message, frozen=True, kw_only=True):
    """Private timer: ask about this order again, or send it again."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    client_order_id: str
    tries: int
    resend: bool = False


class CancelDue(Message, frozen=True, kw_only=True):
    """Private timer: try a cancel again."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    client_order_id: str
    symbol: str
    tries: int


class PortBroken(RuntimeError):
    """The account's port ended by an error of ours: the executor ends with it and recovers by starting."""


class Execution(Actor):
    """`execution:<account>`. Ready after the first reconciliation; a venue that is away keeps it not ready."""

    subscribes = (OrderApproved, CancelApproved)
    publishes = (
        OrderSubmitted, OrderAccepted, OrderFilled, OrderCompleted, OrderRejected, OrderCancelled, OrderExpired,
        OrderUnknown, OrderDenied, VenueAccount, Reconciled,
    )  # fmt: skip
    ready_after_init = False

    def init(
        self,
        *,
        account: str,
        venue: str,
        product: str,
        symbols: tuple[str, ...] | list[str],
        approval_key: bytes | str,
        home: str,
        currency: str = "USDT",
        port: str | OpensOrders = "actors.venues.account_port:open",
        latch: str | OpensLatch = "actors.latch:watch",
        url: str | None = None,
    ) -> None:
        self.account, self.venue, self.product, self.currency = account, venue, product, currency
        self.key = approval_key.encode() if isinstance(approval_key, str) else approval_key
        self.books = Books(account, venue)
        self.books.recover(
            self.ctx.recall(*WORDS), self.ctx.recall(OrderApproved), self._now_ns(), self.ctx.monotonic()
        )
        self.is_ready = False
        self.rounds = 0
        self.reconciling = False
        self.timer = 0
        self.failures = 0
        self.stream_up = False
        self.asked: frozenset[str] = frozenset()
        self.latch: LatchPort = load(latch)(self.ctx.post, home=home)
        self.ess: EssState = self.latch.now.state
        self.port: OrdersPort = load(port)(
            self.ctx.post, account=account, product=product, symbols=tuple(symbols), currency=currency, url=url
        )
        for venue_order_id, client_order_id in self.books.by_venue_id.items():
            self.port.learn(venue_order_id, client_order_id)
        self._reconcile()

    # --- messages ---

    def handle(self, message: Message) -> None:
        match message:
            case OrderApproved():
                self._approved(message)
            case CancelApproved():
                self._cancel_approved(message)
            case FillReport():
                self._fill(message.fill)
            case OrderReport():
                self._report(message.order)
            case SubmitAnswer():
                self._submit_answer(message)
            case FindAnswer():
                self._find_answer(message)
            case CancelAnswer():
                self._cancel_answer(message)
            case Picture():
                self._picture(message)
            case StreamChanged():
                self._stream(message)
            case LatchSeen():
                self.ess = message.state
            case ReconcileDue():
                if message.number == self.timer:
                    self._reconcile()
            case QueryDue():
                self._query(message)
            case CancelDue():
                self._cancel(message.client_order_id, message.symbol, message.tries)
            case PortFailed():
                raise PortBroken(message.text)
            case _:
                raise TypeError(f"{self.ctx.name} got {type(message).__name__}, which no executor expects")

    def terminate(self, reason: str) -> None:
        self.port.close()
        self.latch.close()

    # --- orders out ---

    def _approved(self, approval: OrderApproved) -> None:
        intent = approval.intent
        if intent.account != self.account:
            return
        now_ns = self._now_ns()
        client_order_id = rules.client_order_id(self.account, intent.intent_id, 1)
        if client_order_id in self.books.orders:
            return  # one intent, one order
        refused = rules.refusal(approval, self.key, now_ns, self.ess, self.account)
        if refused is not None:
            self._refuse(approval, client_order_id, refused, now_ns)
            return
        word = OrderSubmitted(client_order_id=client_order_id, intent=intent, attempt=1, submitted_ns=now_ns)
        self.ctx.publish(word)
        self.books.submitted(word, approval.expires_ns, self.ctx.monotonic())
        self.ctx.call(self.port.submit, client_order_id, intent)
        self.ctx.progress(f"order {client_order_id}")

    def _refuse(self, approval: OrderApproved, client_order_id: str, refused: rules.Refusal, now_ns: int) -> None:
        intent = approval.intent
        self.ctx.publish(
            OrderDenied(
                intent_id=intent.intent_id,
                account=self.account,
                venue=intent.venue,
                symbol=intent.symbol,
                code=str(refused.code),
                detail=refused.detail,
                denied_ns=now_ns,
                reduce_only=intent.reduce_only,
                strategy=intent.strategy,
            )
        )
        # the gate's own approval: end its life, so that its reservation ends
        if refused.code is not rules.Refused.APPROVAL_UNSIGNED:
            self.ctx.publish(
                OrderExpired(
                    client_order_id=client_order_id,
                    account=self.account,
                    reason=f"{refused.code}: {refused.detail}",
                    at_ns=now_ns,
                )
            )

    def _cancel_approved(self, approval: CancelApproved) -> None:
        if approval.intent.account != self.account:
            return
        refused = rules.cancel_refusal(approval, self.key, self.account)
        if refused is not None:
            self.ctx.publish(
                OrderDenied(
                    intent_id=approval.intent.intent_id,
                    account=self.account,
                    venue=approval.intent.venue,
                    symbol=approval.intent.symbol,
                    code=str(refused.code),
                    detail=refused.detail,
                    denied_ns=self._now_ns(),
                )
            )
            return
        self._cancel(approval.intent.client_order_id, approval.intent.symbol, 0)

    def _cancel(self, client_order_id: str, symbol: str, tries: int) -> None:
        order = self.books.orders.get(client_order_id)
        if order is not None and order.state in rules.FINAL:
            return
        self.ctx.call(self.port.cancel, client_order_id, symbol, order.conditional if order else False, tries)

    # --- answers ---

    def _submit_answer(self, answer: SubmitAnswer) -> None:
        order = self.books.orders.get(answer.client_order_id)
        if answer.order is not None:
            self._report(answer.order)
        elif order is None or order.state is not OrderState.SUBMITTED:
            return  # the stream was faster and knows better
        elif answer.outcome is Outcome.REJECTED:
            self._publish(
                OrderRejected(
                    client_order_id=answer.client_order_id,
                    account=self.account,
                    reason=answer.text,
                    at_ns=self._now_ns(),
                ),
            )
        elif answer.outcome is Outcome.RETRY:
            self.ctx.after(RETRY_S, QueryDue(client_order_id=answer.client_order_id, tries=0, resend=True))
        else:
            self._ask_later(answer.client_order_id, 0, answer.text)

    def _ask_later(self, client_order_id: str, tries: int, text: str) -> None:
        order = self.books.orders[client_order_id]
        delay_s = rules.query_after_s(tries)
        if delay_s is not None:
            self.ctx.after(delay_s, QueryDue(client_order_id=client_order_id, tries=tries))
            return
        if order.state is not OrderState.UNKNOWN:
            self._publish(
                OrderUnknown(
                    client_order_id=client_order_id,
                    account=self.account,
                    venue=self.venue,
                    symbol=order.intent.symbol,
                    reason=f"asked {tries} times; last answer: {text}"[:300],
                    at_ns=self._now_ns(),
                ),
            )
        self._reconcile_in(BLIND_EVERY_S)

    def _query(self, due: QueryDue) -> None:
        order = self.books.orders.get(due.client_order_id)
        if order is None or order.state not in (OrderState.SUBMITTED, OrderState.UNKNOWN):
            return
        if due.resend:
            if self._now_ns() <= self.books.expires.get(due.client_order_id, 0):
                self._send_again(order)
            else:
                self._expire(order, "the venue did not take it (too many requests, or clock) while the approval lived")
            return
        self.ctx.call(self.port.find, due.client_order_id, order.intent.symbol, order.conditional, due.tries + 1)

    def _find_answer(self, answer: FindAnswer) -> None:
        order = self.books.orders.get(answer.client_order_id)
        if order is None:
            return
        if answer.order is not None:
            self._report(answer.order)
        elif order.state not in (OrderState.SUBMITTED, OrderState.UNKNOWN):
            return
        elif answer.outcome is Outcome.ABSENT:
            self._absent(order, answer.tries)
        else:
            self._ask_later(answer.client_order_id, answer.tries, answer.text)

    def _absent(self, order: Order, tries: int) -> None:
        client_order_id = order.client_order_id
        approval_lives = self._now_ns() <= self.books.expires.get(client_order_id, 0)
        match rules.absent(order, self.books.sent_s(client_order_id, self.ctx.monotonic()), approval_lives):
            case Absent.RESEND if self.ess is EssState.INACTIVE or order.intent.reduce_only:
                self._send_again(order)
            case Absent.WAIT:
                self._ask_later(client_order_id, tries, "the venue does not know it yet")
            case _:
                self._expire(order, "it never reached the venue: two of its endpoints do not know the order")

    def _send_again(self, order: Order) -> None:
        self.books.sent_again(order.client_order_id, self.ctx.monotonic())
        self.ctx.call(self.port.submit, order.client_order_id, order.intent)

    def _expire(self, order: Order, reason: str) -> None:
        self._publish(
            OrderExpired(
                client_order_id=order.client_order_id, account=self.account, reason=reason, at_ns=self._now_ns()
            ),
        )

    def _cancel_answer(self, answer: CancelAnswer) -> None:
        order = self.books.orders.get(answer.client_order_id)
        if answer.order is not None:
            self._report(answer.order)
        elif answer.outcome is Outcome.ABSENT:
            # filled, ended, or never arrived: the order itself tells
            if order is not None and order.state not in rules.FINAL:
                self.ctx.call(self.port.find, answer.client_order_id, answer.symbol, order.conditional, 1)
        else:
            delay_s = rules.query_after_s(answer.tries)
            if delay_s is not None:
                due = CancelDue(client_order_id=answer.client_order_id, symbol=answer.symbol, tries=answer.tries + 1)
                self.ctx.after(delay_s, due)

    # --- the venue's reports ---

    def _report(self, report: VenueOrder) -> None:
        order = self.books.order_of(report.client_order_id, report.venue_order_id)
        if order is None:
            return  # somebody else's order; its fills are told all the same
        self.books.learn(report.venue_order_id, order.client_order_id)
        self.books.learn(report.triggered_order_id, order.client_order_id)
        order, words = rules.reported(order, report)
        self._after(order, words)
        if order.venue_filled is not None and order.filled < order.venue_filled:
            self._reconcile_in(SOON_S)  # the venue counts fills that nobody has told us

    def _fill(self, fill: VenueFill) -> None:
        if self.books.has(fill):
            return
        order = self.books.order_of(fill.client_order_id, fill.venue_order_id)
        word = rules.fill_word(fill, order, account=self.account, venue=self.venue)
        self.books.count(word)
        self.ctx.progress(f"fill {fill.trade_id}")
        if order is None:
            self.ctx.publish(word)
            return
        self.books.learn(fill.venue_order_id, order.client_order_id)
        self._after(*rules.filled(order, fill, word))

    def _after(self, order: Order, words: list[Message]) -> None:
        for word in words:
            self.ctx.publish(word)
        self.books.keep(order)

    # --- reconciliation ---

    def _stream(self, word: StreamChanged) -> None:
        was, self.stream_up = self.stream_up, word.up
        if word.up or was:
            self._reconcile_in(0.0 if word.up else SOON_S)

    def _reconcile(self) -> None:
        if self.reconciling:
            return
        self.reconciling = True
        unsettled = self.books.unsettled()
        self.asked = frozenset(name for name, _, _ in unsettled)
        self.ctx.call(self.port.reconcile, self.books.since_ms(), unsettled)

    def _reconcile_in(self, delay_s: float) -> None:
        self.timer += 1
        self.ctx.after(delay_s, ReconcileDue(number=self.timer))

    def _picture(self, picture: Picture) -> None:
        self.reconciling = False
        if picture.problem:
            self.failures += 1
            self.ctx.outcome(f"venue:{self.venue}", ConnectionError(picture.problem))
            self._reconcile_in(self.ctx.rng.uniform(0.1, min(AGAIN_CAP_S, 0.25 * 2 ** min(self.failures, 10))))
            return
        self.failures = 0
        self.ctx.outcome(f"venue:{self.venue}")
        if self.books.opened_ns is None:
            self._open_books(picture)
        for fill in picture.fills:
            self._fill(fill)
        for report in picture.orders:
            self._report(report)
        for client_order_id in picture.absent:
            order = self.books.orders.get(client_order_id)
            if order is not None and client_order_id in self.asked and order.state not in rules.FINAL:
                self._missing(order)
        theirs = {symbol: quantity for symbol, quantity, _ in picture.positions}
        wrong = rules.differences(self.books.positions, theirs) if picture.currency and self._compares() else ()
        self.rounds = self.rounds + 1 if wrong else 0
        if wrong and self.rounds < ROUNDS:
            self._reconcile_in(SOON_S)  # a fill may lie between two answers; look again before saying it
            return
        now_ns = self._now_ns()
        self._say_account(picture, now_ns)
        self.ctx.publish(Reconciled(account=self.account, ok=not wrong, differences=wrong, at_ns=now_ns))
        if not self.is_ready:
            self.is_ready = True
            self.ctx.ready()
        self._reconcile_in(RECONCILE_EVERY_S if self.stream_up and not wrong else BLIND_EVERY_S)

    def _missing(self, order: Order) -> None:
        """A reconciliation did not find it. While its first request may still be on the way, that says nothing."""
        if not self.is_ready:
            self._absent(order, 0)  # of a former life: nobody else is asking for it
        elif rules.overdue(self.books.sent_s(order.client_order_id, self.ctx.monotonic())):
            if order.state in (OrderState.SUBMITTED, OrderState.UNKNOWN):
                self._absent(order, len(rules.QUERY_AFTER_S))
            else:
                self._expire(order, "the venue had accepted it and does not know it any more")

    def _compares(self) -> bool:
        return self.product != "spot"  # a spot balance is no position

    def _open_books(self, picture: Picture) -> None:
        """The very first reconciliation of these books: what is there becomes the opening, its history is not ours."""
        self.books.opened_ns = at_ns = max((fill.at_ns for fill in picture.fills), default=1)
        self._say_account(picture, at_ns)
        for symbol, quantity, entry in picture.positions:
            word = OrderFilled(
                client_order_id="opening",
                account=self.account,
                venue=self.venue,
                symbol=symbol,
                trade_id=f"opening-{symbol}",
                side=Side.BUY if quantity > 0 else Side.SELL,
                quantity=abs(quantity),
                price=entry,
                fee=rules.ZERO,
                fee_currency=self.currency,
                at_ns=at_ns,
            )
            self.books.count(word)
            self.ctx.publish(word)

    def _say_account(self, picture: Picture, at_ns: int) -> None:
        self.ctx.publish(
            VenueAccount(
                account=self.account,
                venue=self.venue,
                balance=picture.balance,
                currency=picture.currency,
                positions=picture.positions,
                open_orders=tuple(
                    order.client_order_id for order in picture.orders if order.status is rules.VenueStatus.OPEN
                ),
                at_ns=at_ns,
            )
        )

    def _publish(self, word: OrderRejected | OrderExpired | OrderUnknown) -> None:
        """Say what has become of an order, and write it up."""
        self.ctx.publish(word)
        self.books.fold(word.client_order_id, word)

    def _now_ns(self) -> int:
        return int(self.ctx.now() * 1e9)
