"""Positions against an independent judge (the venue's own settlement), repeats, and marks that are missing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.orders import OrderFilled, Side
from actors.rules.orders import signed
from actors.rules.positions import FLAT, Fills, after, differences, value
from actors.venues.simulator.accounts import Position as VenuePosition
from actors.venues.simulator.accounts import Wallet
from actors.venues.simulator.settlement import settle_usdm, unrealised

VENUE, BTC, ETH = "binanceusdm", "BTC/USDT:USDT", "ETH/USDT:USDT"
START = Decimal(10_000)

sides = st.sampled_from([Side.BUY, Side.SELL])
quantities = st.integers(1, 5_000).map(lambda n: Decimal(n).scaleb(-3))
prices = st.integers(1, 1_000_000).map(lambda n: Decimal(n).scaleb(-1))
symbols = st.sampled_from([BTC, ETH])
trades = st.lists(st.tuples(symbols, sides, quantities, prices), max_size=40)


def fill(number: int, symbol: str, side: Side, quantity: Decimal, price: Decimal, **changes: object) -> OrderFilled:
    fields: dict[str, object] = {
        "client_order_id": f"o{number}", "account": "main", "venue": VENUE, "symbol": symbol,
        "trade_id": str(number), "side": side, "quantity": quantity, "price": price,
        "fee": (quantity * price * Decimal("0.0005")).quantize(Decimal("0.00000001")), "fee_currency": "USDT",
        "at_ns": number,
    }  # fmt: skip
    return OrderFilled(**{**fields, **changes})  # type: ignore[arg-type]


def fills_of(made: list[tuple[str, Side, Decimal, Decimal]]) -> list[OrderFilled]:
    return [fill(number, *trade) for number, trade in enumerate(made)]


def folded(words: list[OrderFilled]) -> Fills:
    book = Fills("main")
    for word in words:
        book.apply(word)
    return book


@given(trades, prices)
def test_cash_plus_unrealised_equals_the_venues_wallet_plus_unrealised_to_the_last_digit(
    made: list[tuple[str, Side, Decimal, Decimal]], mark: Decimal
) -> None:
    wallet, theirs = Wallet(account="main", asset="USDT", amount=START), {}
    for word in fills_of(made):
        position = theirs.setdefault(word.symbol, VenuePosition(account="main", symbol=word.symbol))
        settle_usdm(position, wallet, int(signed(word.side, Decimal(1))), word.price, word.quantity, word.fee)
    ours = folded(fills_of(made))

    worth = value(ours.positions(), {(VENUE, symbol): mark for symbol in (BTC, ETH)})

    assert START + ours.earned() == wallet.amount
    assert worth.unrealised == sum(unrealised(position, mark) for position in theirs.values())


@given(trades, st.data())
def test_repeats_anywhere_in_the_history_change_nothing(
    made: list[tuple[str, Side, Decimal, Decimal]], data: st.DataObject
) -> None:
    words = fills_of(made)
    repeated = list(words)
    for word in words:
        if data.draw(st.booleans()):
            repeated.insert(data.draw(st.integers(repeated.index(word) + 1, len(repeated))), word)

    assert folded(repeated).positions() == folded(words).positions()
    assert folded(repeated).count == len(words)


@given(trades, st.integers(0, 40))
def test_folding_a_record_and_going_on_equals_never_having_stopped(
    made: list[tuple[str, Side, Decimal, Decimal]], cut: int
) -> None:
    words = fills_of(made)
    resumed = folded(words[:cut])
    for word in words[cut:]:
        resumed.apply(word)

    assert resumed.positions() == folded(words).positions()


@given(trades)
def test_the_quantity_is_the_sum_of_signed_fills(made: list[tuple[str, Side, Decimal, Decimal]]) -> None:
    book = folded(fills_of(made))

    for symbol in (BTC, ETH):
        assert book.quantity(VENUE, symbol) == sum(
            (signed(side, quantity) for name, side, quantity, _ in made if name == symbol), Decimal(0)
        )


@pytest.mark.parametrize(
    ("change", "price", "quantity", "entry", "realised"),
    [
        ("1", "110", "2", "105", "0"),  # adds: average cost
        ("-0.5", "110", "0.5", "100", "5"),  # reduces: entry stands
        ("-1", "90", "0", "0", "-10"),  # closes
        ("-3", "110", "-2", "110", "10"),  # goes through zero: the rest begins at this price
    ],
)
def test_a_long_of_one_at_100_after_one_fill(change: str, price: str, quantity: str, entry: str, realised: str) -> None:
    long = after(FLAT, Decimal(1), Decimal(100), Decimal(0))

    moved = after(long, Decimal(change), Decimal(price), Decimal("0.1"))

    assert (moved.quantity, moved.entry_price, moved.realised) == (Decimal(quantity), Decimal(entry), Decimal(realised))
    assert moved.fees == Decimal("0.1")


def test_another_accounts_fill_is_not_ours() -> None:
    book = Fills("main")

    assert not book.apply(fill(1, BTC, Side.BUY, Decimal(1), Decimal(100), account="other"))
    assert not book.open()


def test_an_open_position_without_a_mark_has_no_value_and_is_named_and_a_flat_one_needs_none() -> None:
    book = folded(fills_of([(BTC, Side.BUY, Decimal(1), Decimal(100)), (ETH, Side.BUY, Decimal(1), Decimal(10))]))
    book.apply(fill(9, ETH, Side.SELL, Decimal(1), Decimal(11)))

    assert value(book.positions(), {}).unrealised is None
    assert value(book.positions(), {}).unknown == (f"{VENUE}:{BTC}",)
    assert value(book.positions(), {(VENUE, BTC): Decimal(101)}).unrealised == Decimal(1)


def test_a_fee_in_a_foreign_currency_is_named_and_never_added_as_if_it_were_ours() -> None:
    book = Fills("main")

    book.apply(fill(1, BTC, Side.BUY, Decimal(1), Decimal(100), fee=Decimal("0.01"), fee_currency="BNB"))

    assert book.foreign_fees == {"BNB"}
    assert book.earned() == 0


def test_what_the_venue_sees_differently_is_said_per_instrument_and_for_the_wallet() -> None:
    book = folded(fills_of([(BTC, Side.BUY, Decimal(1), Decimal(100))]))

    same = differences(book, VENUE, Decimal(9_999), Decimal(9_999), {BTC: Decimal(1)})
    other = differences(book, VENUE, Decimal(9_998), Decimal(9_999), {ETH: Decimal(2)})

    assert same == ()
    assert [sentence.split(":")[0] for sentence in other] == ["BTC/USDT", "ETH/USDT", "wallet"]
