"""The ledger: the same truth live and after a crash, equity unknown without marks, and differences that are said."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.ledger import DAY_NS, QUIET_S, Ledger
from actors.messages.account import AccountState, Reconciled, VenueAccount
from actors.messages.control import Alert, SecondPassed
from actors.messages.market import Tick
from actors.messages.orders import OrderFilled, Side
from actors.venues.simulator.accounts import Position as VenuePosition
from actors.venues.simulator.accounts import Wallet
from actors.venues.simulator.settlement import settle_usdm
from supervisor.message import Message
from tests.actors.recorded import RecordedContext, give, start

BTC, ETH, VENUE = "BTC/USDT:USDT", "ETH/USDT:USDT", "binanceusdm"
D = Decimal
DAY = 20_000  # since the epoch
NOON_S = DAY * 86_400 + 43_200


def fill(
    number: int, side: Side, quantity: str, price: str, *, fee: str = "0", symbol: str = BTC, at_ns: int | None = None,
    fee_currency: str = "USDT", account: str = "main",
) -> OrderFilled:  # fmt: skip
    return OrderFilled(
        client_order_id="c", account=account, venue=VENUE, symbol=symbol, trade_id=str(number), side=side,
        quantity=D(quantity), price=D(price), fee=D(fee), fee_currency=fee_currency,
        at_ns=NOON_S * 10**9 + number if at_ns is None else at_ns,
    )  # fmt: skip


def wallet(balance: str, *positions: tuple[str, str], at_ns: int = NOON_S * 10**9) -> VenueAccount:
    return VenueAccount(
        account="main", venue=VENUE, balance=D(balance), currency="USDT", open_orders=(), at_ns=at_ns,
        positions=tuple((symbol, D(quantity), D(1)) for symbol, quantity in positions),
    )  # fmt: skip


def reconciled(ok: bool = True) -> Reconciled:
    return Reconciled(account="main", ok=ok, differences=() if ok else ("x",), at_ns=NOON_S * 10**9)


def tick(mid: float, symbol: str = BTC, venue: str = VENUE) -> Tick:
    return Tick(
        venue=venue, symbol=symbol, bid=mid, ask=mid, bid_size=1.0, ask_size=1.0, bid_depth=1.0, ask_depth=1.0,
        bought=0.0, sold=0.0, book_seq=1,
    )  # fmt: skip


def started(*history: Message) -> tuple[Ledger, RecordedContext]:
    actor, ctx = Ledger(), RecordedContext("ledger", history)
    ctx.stopped_at = float(NOON_S + 1)
    start(actor, ctx, account="main", venue=VENUE)
    return actor, ctx


def last(ctx: RecordedContext) -> AccountState:
    return ctx.of(AccountState)[-1]


def after(actor: Ledger, ctx: RecordedContext, seconds: float) -> AccountState:
    ctx.offset_s += seconds
    give(actor, ctx, SecondPassed())
    return last(ctx)


def test_before_the_venue_spoke_cash_and_equity_are_unknown_and_nothing_is_reconciled() -> None:
    _, ctx = started()
    state = last(ctx)
    assert (state.cash, state.equity, state.day_start_equity, state.reconciled) == (None, None, None, False)


def test_equity_is_cash_and_marked_positions_and_unknown_without_a_fresh_mark() -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"), reconciled(), fill(1, Side.BUY, "0.5", "60000", fee="15"))
    state = last(ctx)
    assert (state.cash, state.equity, state.unknown, state.fills) == (D(9985), None, (f"{VENUE}:{BTC}",), 1)
    assert state.day_start_equity == D(10_000)

    give(actor, ctx, tick(61_000.0, venue="binance"))
    assert after(actor, ctx, 0.0).equity is None, "the mark of another venue was taken"
    give(actor, ctx, tick(60_000.1))
    assert after(actor, ctx, 0.0).equity == D("9985.05")
    assert after(actor, ctx, 3.0).equity is None, "the mark is old"


def test_every_fill_is_said_at_once_and_repeats_and_other_accounts_are_not() -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"))
    assert len(give(actor, ctx, fill(1, Side.BUY, "1", "100"))) == 1
    assert give(actor, ctx, fill(1, Side.BUY, "1", "100"), fill(2, Side.BUY, "1", "100", account="other")) == []
    assert (last(ctx).version, last(ctx).positions[0].quantity) == (1, D(1))


trades = st.lists(
    st.tuples(
        st.sampled_from([BTC, ETH]),
        st.sampled_from(list(Side)),
        st.integers(1, 3000).map(lambda n: D(n) / 1000),
        st.integers(1, 900_000).map(lambda n: D(n) / 10),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(trades, st.integers(0, 30))
def test_cash_is_the_venues_wallet_to_the_last_digit_live_and_after_a_crash_anywhere(
    history: list[tuple[str, Side, Decimal, Decimal]], crash: int
) -> None:
    theirs: dict[str, VenuePosition] = {}
    purse = Wallet(account="main", asset="USDT", amount=D(10_000))
    words: list[Message] = [wallet("10000")]
    for number, (symbol, side, quantity, price) in enumerate(history):
        fee = (price * quantity * D("0.0005")).quantize(D("0.00000001"))
        position = theirs.setdefault(symbol, VenuePosition(account="main", symbol=symbol))
        settle_usdm(position, purse, 1 if side is Side.BUY else -1, price, quantity, fee)
        words.append(fill(number, side, str(quantity), str(price), fee=str(fee), symbol=symbol))

    live, live_ctx = started()
    give(live, live_ctx, *words)
    cut = min(crash, len(words))
    again, again_ctx = started(*words[:cut])
    give(again, again_ctx, *words[cut:])

    for ctx in (live_ctx, again_ctx):
        state = last(ctx)
        assert state.cash == purse.amount
        assert {p.symbol: (p.quantity, p.entry_price) for p in state.positions} == {
            symbol: (position.quantity, position.entry) for symbol, position in theirs.items()
        }
    give(live, live_ctx, wallet(str(purse.amount), *((s, str(p.quantity)) for s, p in theirs.items() if p.quantity)))
    after(live, live_ctx, QUIET_S)
    after(live, live_ctx, QUIET_S)
    assert live_ctx.of(Alert) == []


def test_a_wallet_that_differs_at_a_quiet_point_is_an_alert_and_not_reconciled_until_it_agrees() -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"), reconciled(), fill(1, Side.BUY, "1", "100"))
    ctx.offset_s = 60.0
    give(actor, ctx, wallet("9999.5", (BTC, "1")))
    assert last(ctx).reconciled, "a fill may be on its way"

    assert not after(actor, ctx, QUIET_S).reconciled
    after(actor, ctx, QUIET_S)
    (alert,) = ctx.of(Alert)
    assert alert.severity == "critical"
    assert "-0.5" in alert.text

    give(actor, ctx, wallet("10000", (BTC, "1")))
    assert last(ctx).reconciled


def test_a_difference_that_a_late_fill_explains_is_none() -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"), reconciled())
    ctx.offset_s = 60.0
    give(actor, ctx, wallet("9999", (BTC, "1")))
    ctx.offset_s += QUIET_S / 2
    give(actor, ctx, fill(1, Side.BUY, "1", "100", fee="1"))
    after(actor, ctx, QUIET_S)
    after(actor, ctx, QUIET_S)
    assert ctx.of(Alert) == []
    assert last(ctx).reconciled


def test_a_position_the_venue_does_not_have_is_a_difference() -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"), reconciled(), fill(1, Side.BUY, "1", "100"))
    ctx.offset_s = 60.0
    give(actor, ctx, wallet("10000"))
    after(actor, ctx, QUIET_S)
    assert f"{BTC}: fills give 1" in ctx.of(Alert)[0].text


def test_what_the_executor_says_about_reconciliation_stands_until_it_says_otherwise() -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"), reconciled())
    assert last(ctx).reconciled
    give(actor, ctx, reconciled(ok=False))
    assert not after(actor, ctx, 1.0).reconciled


@pytest.mark.parametrize(("age_s", "still"), [(10.0, True), (500.0, False)])
def test_a_restart_takes_over_a_recent_reconciliation_and_no_old_one(age_s: float, still: bool) -> None:
    actor, ctx = Ledger(), RecordedContext("ledger", (wallet("1"), reconciled()))
    ctx.stopped_at = NOON_S + age_s
    start(actor, ctx, account="main", venue=VENUE)
    assert last(ctx).reconciled is still


def test_the_day_starts_with_the_cash_at_midnight_after_a_restart_and_with_equity_at_a_midnight_lived_through() -> None:
    yesterday = (DAY - 1) * DAY_NS
    history = (
        wallet("10000", at_ns=yesterday),
        fill(1, Side.BUY, "1", "100", at_ns=yesterday + 1),
        fill(2, Side.SELL, "1", "150", at_ns=yesterday + 2),
        fill(3, Side.BUY, "1", "100", at_ns=DAY * DAY_NS + 1),
        fill(4, Side.SELL, "1", "90", at_ns=DAY * DAY_NS + 2),
    )
    actor, ctx = started(*history)
    state = last(ctx)
    assert (state.day_start_equity, state.cash) == (D(10_050), D(10_040))

    give(actor, ctx, fill(5, Side.BUY, "1", "100"))
    assert after(actor, ctx, 43_200.0).day_start_equity is None, "a mark is missing at midnight"
    give(actor, ctx, tick(107.0))
    assert after(actor, ctx, 1.0).day_start_equity == D(10_047)


def test_a_fee_in_another_currency_is_not_taken_from_cash_and_said_once() -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"))
    for number in (1, 2):
        give(actor, ctx, fill(number, Side.BUY, "1", "100", fee="0.1", fee_currency="BNB"))
    assert last(ctx).cash == D(10_000)
    (alert,) = ctx.of(Alert)
    assert "BNB" in alert.text


@pytest.mark.parametrize("mid", [float("nan"), float("inf"), 0.0, -1.0])
def test_what_is_no_price_is_no_mark(mid: float) -> None:
    actor, ctx = started()
    give(actor, ctx, wallet("10000"), fill(1, Side.BUY, "1", "100"), tick(mid))
    assert after(actor, ctx, 0.0).equity is None
