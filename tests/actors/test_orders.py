"""The order rules: ids, refusals, outcome classes, the resend rule, and reports in any order, twice, or late."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.control import EssState
from actors.messages.orders import (
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderFilled,
    OrderIntent,
    OrderKind,
    OrderRejected,
    OrderSubmitted,
    Side,
)
from actors.rules import orders as rules
from actors.rules.approval import sign
from actors.rules.orders import Absent, Order, OrderState, Outcome, VenueFill, VenueOrder, VenueStatus
from supervisor.message import Message

KEY = b"k" * 32
S = 1_000_000_000
NOW = 1_000 * S


def intent(**changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "intent_id": "i1",
        "account": "main",
        "strategy": "momentum",
        "venue": "binanceusdm",
        "symbol": "BTC/USDT:USDT",
        "side": Side.BUY,
        "kind": OrderKind.MARKET,
        "quantity": Decimal("1.0"),
    }
    return OrderIntent(**{**fields, **changes})


def approval(expires_ns: int = NOW + S, **changes: Any) -> OrderApproved:
    unsigned = OrderApproved(
        intent=intent(**changes),
        approval_id="a",
        approved_ns=NOW - S,
        expires_ns=expires_ns,
        snapshot_version=1,
        signature="",
    )
    return sign(unsigned, KEY)


def order(**changes: Any) -> Order:
    word = OrderSubmitted(client_order_id="qt-1", intent=intent(**changes), attempt=1, submitted_ns=NOW)
    return rules.submitted(word)


def report(status: VenueStatus, filled: str = "0") -> VenueOrder:
    return VenueOrder(
        client_order_id="qt-1",
        venue_order_id="77",
        symbol="BTC/USDT:USDT",
        status=status,
        filled=Decimal(filled),
        at_ns=NOW,
    )


def fill(trade: int, quantity: str = "0.25") -> VenueFill:
    return VenueFill(
        trade_id=str(trade),
        venue_order_id="77",
        client_order_id="qt-1",
        symbol="BTC/USDT:USDT",
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal(100),
        fee=Decimal("0.01"),
        fee_currency="USDT",
        at_ns=NOW,
    )


# --- ids and refusals ------------------------------------------------------------------------------------------------


@given(st.text(max_size=40), st.text(max_size=200), st.integers(1, 999))
def test_a_client_order_id_is_stable_and_within_the_venues_alphabet(account: str, wish: str, attempt: int) -> None:
    made = rules.client_order_id(account, wish, attempt)
    assert made == rules.client_order_id(account, wish, attempt)
    assert re.fullmatch(r"[.A-Z:/a-z0-9_-]{1,36}", made)


def test_client_order_ids_of_different_wishes_differ() -> None:
    made = {rules.client_order_id(a, i, n) for a in ("main", "hedge") for i in ("x", "y") for n in (1, 2)}
    assert len(made) == 8
    with pytest.raises(ValueError, match="within 1"):
        rules.client_order_id("main", "x", 0)


STOP = {"kind": OrderKind.STOP_MARKET, "trigger_price": Decimal(90), "reduce_only": True}


@pytest.mark.parametrize(
    ("given_", "ess", "code"),
    [
        (approval(), EssState.INACTIVE, None),
        (approval(**STOP), EssState.INACTIVE, None),
        (msgspec.structs.replace(approval(), signature=""), EssState.INACTIVE, "APPROVAL_UNSIGNED"),
        (msgspec.structs.replace(approval(), expires_ns=NOW * 2), EssState.INACTIVE, "APPROVAL_UNSIGNED"),
        (approval(expires_ns=NOW - 1), EssState.INACTIVE, "APPROVAL_EXPIRED"),
        (approval(account="other"), EssState.INACTIVE, "WRONG_ACCOUNT"),
        *((approval(), state, "ESS_LATCHED") for state in EssState if state is not EssState.INACTIVE),
        *((approval(reduce_only=True), state, None) for state in EssState),
        (approval(quantity=Decimal(0)), EssState.INACTIVE, "BAD_QUANTITY"),
        (approval(quantity=Decimal("NaN")), EssState.INACTIVE, "BAD_QUANTITY"),
        (approval(kind=OrderKind.LIMIT), EssState.INACTIVE, "BAD_PRICE"),
        (approval(kind=OrderKind.LIMIT, price=Decimal("Infinity")), EssState.INACTIVE, "BAD_PRICE"),
        (approval(**{**STOP, "reduce_only": False}), EssState.INACTIVE, "NOT_REDUCE_ONLY"),
        (approval(**{**STOP, "trigger_price": None}), EssState.INACTIVE, "BAD_PRICE"),
    ],
)
def test_an_approval_is_refused_for_one_reason_or_not_at_all(
    given_: OrderApproved, ess: EssState, code: str | None
) -> None:
    refused = rules.refusal(given_, KEY, NOW, ess, "main")
    assert (refused.code if refused else None) == code


# --- outcome classes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "text", "outcome"),
    [
        (("InsufficientFunds", "ExchangeError"), "", Outcome.REJECTED),
        (("OrderImmediatelyFillable", "InvalidOrder", "ExchangeError"), "", Outcome.REJECTED),
        (("BadSymbol", "BadRequest", "ExchangeError"), "", Outcome.REJECTED),
        (("AuthenticationError", "ExchangeError"), "", Outcome.REJECTED),
        (("BadRequest", "ExchangeError"), 'binance {"code":-1102,"msg":"x"}', Outcome.REJECTED),
        (("BadRequest", "ExchangeError"), "truncated", Outcome.UNKNOWN),
        (("InvalidOrder", "ExchangeError"), '{"code":-2010,"msg":"Duplicate order sent."}', Outcome.UNKNOWN),
        (("DDoSProtection", "NetworkError"), "429", Outcome.RETRY),
        (("RateLimitExceeded", "NetworkError"), "", Outcome.RETRY),
        (("InvalidNonce", "NetworkError"), "-1021", Outcome.RETRY),
        (("OrderNotFound", "InvalidOrder"), "-2013", Outcome.ABSENT),
        (("RequestTimeout", "NetworkError"), "", Outcome.UNKNOWN),
        (("ExchangeNotAvailable", "NetworkError"), "", Outcome.UNKNOWN),
        (("OperationFailed",), "", Outcome.UNKNOWN),
        (("ExchangeError",), "cut half-way", Outcome.UNKNOWN),  # no proof of rejection
        (("KeyError",), "", Outcome.UNKNOWN),
    ],
)
def test_an_error_is_a_rejection_only_when_that_is_sure(names: tuple[str, ...], text: str, outcome: Outcome) -> None:
    assert rules.outcome_of(names, text) is outcome


@pytest.mark.parametrize(
    ("kind", "age_s", "approval_lives", "verdict"),
    [
        (OrderKind.MARKET, 1, True, Absent.WAIT),  # the last request may still arrive: never twice
        (OrderKind.MARKET, 1, False, Absent.WAIT),
        (OrderKind.MARKET, 7, True, Absent.RESEND),
        (OrderKind.MARKET, 7, False, Absent.EXPIRE),
        (OrderKind.STOP_MARKET, 1, True, Absent.RESEND),  # the venue itself refuses a second open one
        (OrderKind.LIMIT, 1, True, Absent.RESEND),
        (OrderKind.LIMIT, 1, False, Absent.WAIT),
        (OrderKind.LIMIT, 7, False, Absent.EXPIRE),
    ],
)
def test_an_absent_order_is_sent_again_only_with_proof(
    kind: OrderKind, age_s: int, approval_lives: bool, verdict: Absent
) -> None:
    assert rules.absent(order(kind=kind), float(age_s), approval_lives) is verdict


def test_questions_about_an_unknown_order_end() -> None:
    assert [rules.query_after_s(n) for n in range(6)] == [0.2, 0.5, 1.0, 2.0, 5.0, None]


# --- reports ---------------------------------------------------------------------------------------------------------


def apply(state: Order, event: VenueOrder | VenueFill) -> tuple[Order, list[Message]]:
    if isinstance(event, VenueOrder):
        return rules.reported(state, event)
    word = rules.fill_word(event, state, account="main", venue="binanceusdm")
    return rules.filled(state, event, word)


def play(*events: VenueOrder | VenueFill) -> tuple[Order, list[Message]]:
    state, words = order(), []
    for event in events:
        state, new = apply(state, event)
        words += new
    return state, words


def kinds(words: list[Message]) -> list[type[Message]]:
    return [type(word) for word in words]


OPEN, FILLED = report(VenueStatus.OPEN), report(VenueStatus.FILLED, "1.0")


@pytest.mark.parametrize(
    ("events", "says", "ends"),
    [
        ([OPEN, OPEN], [OrderAccepted], OrderState.ACCEPTED),
        ([OPEN, fill(1)], [OrderAccepted, OrderFilled], OrderState.PARTIAL),
        ([fill(1, "1.0")], [OrderAccepted, OrderFilled, OrderCompleted], OrderState.FILLED),
        ([FILLED], [OrderAccepted], OrderState.ACCEPTED),  # the fill itself is still missing
        ([FILLED, fill(1, "1.0")], [OrderAccepted, OrderFilled, OrderCompleted], OrderState.FILLED),
        ([fill(1, "1.0"), OPEN], [OrderAccepted, OrderFilled, OrderCompleted], OrderState.FILLED),  # late NEW
        ([OPEN, report(VenueStatus.CANCELLED)], [OrderAccepted, OrderCancelled], OrderState.CANCELLED),
        (
            [OPEN, report(VenueStatus.CANCELLED, "0.25"), fill(1)],  # a fill after the end is legal
            [OrderAccepted, OrderCancelled, OrderFilled],
            OrderState.CANCELLED,
        ),
        ([report(VenueStatus.REJECTED)], [OrderRejected], OrderState.REJECTED),
        ([OPEN, report(VenueStatus.EXPIRED)], [OrderAccepted, OrderExpired], OrderState.EXPIRED),
        ([FILLED, report(VenueStatus.CANCELLED, "1.0"), fill(1, "1.0")], None, OrderState.CANCELLED),
    ],
)
def test_reports_become_words_once(events: list[Any], says: list[Any] | None, ends: OrderState) -> None:
    state, words = play(*events)
    assert state.state is ends
    if says is not None:
        assert kinds(words) == says


@given(st.permutations([OPEN, FILLED, OPEN, FILLED, fill(1), fill(2), fill(3), fill(4)]))
def test_in_any_order_the_end_is_the_same_and_is_said_once(events: list[VenueOrder | VenueFill]) -> None:
    state, words = play(*events)
    assert state.state is OrderState.FILLED
    assert state.settled
    assert state.filled == Decimal("1.00")
    assert kinds(words).count(OrderCompleted) == 1
    assert kinds(words).count(OrderAccepted) == 1
    assert kinds(words)[0] is OrderAccepted


EVENTS = st.lists(
    st.one_of(
        st.builds(report, st.sampled_from(VenueStatus), st.sampled_from(["0", "0.25", "0.5", "1.0"])),
        st.builds(fill, st.integers(1, 9), st.sampled_from(["0.1", "0.25"])),
    ),
    max_size=12,
)


@given(EVENTS)
def test_final_states_stick_quantities_never_shrink_and_the_journal_gives_the_same_order(events: list[Any]) -> None:
    state, said = order(), []
    for event in events:
        before = state
        state, words = apply(state, event)
        said += words
        assert state.filled >= before.filled
        if before.state in rules.FINAL:
            assert state.state is before.state
    recovered = order()
    for word in said:
        recovered = rules.fold(recovered, word)
    assert (recovered.state, recovered.filled, recovered.cost) == (state.state, state.filled, state.cost)
    assert sum(kind in (OrderCompleted, OrderCancelled, OrderRejected, OrderExpired) for kind in kinds(said)) <= 1


def test_a_difference_names_instrument_and_both_numbers() -> None:
    ours, theirs = {"A": Decimal(1), "B": Decimal(2), "C": Decimal(0)}, {"A": Decimal("1.0"), "B": Decimal(3)}
    assert rules.differences(ours, theirs) == ("B: fills give 2, the venue says 3",)
