"""The signature under an approval covers every field, survives the wire, and cannot be moved to another message."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.orders import CancelApproved, CancelIntent, OrderApproved, OrderIntent, OrderKind, Side
from actors.rules.approval import sign, verify

KEY = b"k" * 32


def intent(**changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "intent_id": "i1", "account": "main", "strategy": "momentum", "venue": "binanceusdm", "symbol": "BTC/USDT:USDT",
        "side": Side.BUY, "kind": OrderKind.MARKET, "quantity": Decimal("0.010"),
    }  # fmt: skip
    return OrderIntent(**{**fields, **changes})


def approval(**changes: Any) -> OrderApproved:
    fields: dict[str, Any] = {
        "intent": intent(), "approval_id": "a1", "approved_ns": 1, "expires_ns": 2, "snapshot_version": 3,
        "signature": "",
    }  # fmt: skip
    return OrderApproved(**{**fields, **changes})


def test_a_signed_approval_is_accepted_after_the_wire() -> None:
    signed = sign(approval(), KEY)
    arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(signed), type=OrderApproved)
    assert verify(arrived, KEY)


@pytest.mark.parametrize(
    "changed",
    [
        {"intent": intent(quantity=Decimal("0.011"))},
        {"intent": intent(side=Side.SELL)},
        {"intent": intent(reduce_only=True)},
        {"intent": intent(account="other")},
        {"approval_id": "a2"},
        {"approved_ns": 9},
        {"expires_ns": 9},
        {"snapshot_version": 9},
    ],
)
def test_any_changed_field_breaks_the_signature(changed: dict[str, Any]) -> None:
    signed = sign(approval(), KEY)
    assert not verify(msgspec.structs.replace(signed, **changed), KEY)


@given(st.text(max_size=80))
def test_no_guessed_signature_is_accepted(guess: str) -> None:
    assert not verify(approval(signature=guess), KEY)


def test_another_key_and_a_short_key_are_no_keys() -> None:
    assert not verify(sign(approval(), KEY), b"x" * 32)
    with pytest.raises(ValueError, match="has 3 bytes"):
        sign(approval(), b"abc")


def test_a_cancel_is_signed_like_an_order() -> None:
    wanted = CancelIntent(
        intent_id="c1", account="main", venue="binanceusdm", symbol="BTC/USDT:USDT", client_order_id="x"
    )
    signed = sign(CancelApproved(intent=wanted, approved_ns=1, signature=""), KEY)
    assert verify(signed, KEY)
    assert not verify(msgspec.structs.replace(signed, approved_ns=2), KEY)
