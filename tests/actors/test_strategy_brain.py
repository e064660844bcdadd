"""The strategy brain: one signal, at most one wish; what it does not know makes none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.messages.account import AccountState, Position
from actors.messages.control import RiskLimits
from actors.messages.orders import (
    OrderCancelled,
    OrderCompleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntent,
    OrderKind,
    OrderRejected,
    Side,
)
from actors.messages.signals import Action, Signal
from actors.rules.orders import client_order_id
from actors.strategy_brain import StrategyBrain
from supervisor.message import Message
from supervisor.system import PhaseBegun
from tests.actors.recorded import RecordedContext, give, start

NOW_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
VENUE, BTC = "binanceusdm", "BTC/USDT:USDT"
SETTINGS: dict[str, Any] = {
    "account": "main", "venue": VENUE, "risk_per_trade": Decimal("0.002"), "max_order_notional": "1000",
    "entry_expires_s": 2.0, "stop_volatilities": 3.0, "min_stop_bps": 10.0, "cooldown_s": 20.0,
    "instruments": {BTC: {"tick_size": "0.1", "lot_size": "0.001", "min_notional": "5"}},
}  # fmt: skip
STATE = AccountState(
    account="main", version=1, positions=(), cash=Decimal(10_000), equity=Decimal(10_000), unrealised=Decimal(0),
    day_start_equity=Decimal(10_000), unknown=(), fills=0, reconciled=True, at_ns=NOW_NS,
)  # fmt: skip
LIMITS = RiskLimits(
    account="main", version=1, max_positions=2, max_order_notional=Decimal(1000), max_gross_notional=Decimal(2000),
    max_leverage=Decimal(1), risk_per_trade=Decimal("0.002"), day_loss_limit=Decimal("0.005"), max_divergence_bps=50.0,
    orders_per_minute=30, multiplier=Decimal("0.5"), reason="half size", valid_until_ns=NOW_NS + SECOND,
)  # fmt: skip


def a_signal(at_s: float = 0.0, **changes: Any) -> Signal:
    at_ns = NOW_NS + round(at_s * SECOND)
    fields: dict[str, Any] = {
        "signal_id": f"{VENUE}:{BTC}:{at_ns}", "venue": VENUE, "symbol": BTC, "action": Action.BUY, "p_up": 0.6,
        "p_flat": 0.3, "p_down": 0.1, "confidence": 0.6, "agreement": 1.0, "votes": (), "reason": "", "bid": 64000.0,
        "ask": 64000.1, "volatility": 0.0005, "event_ns": at_ns,
    }  # fmt: skip
    return Signal(**{**fields, **changes})


def a_brain(
    *history: Message, state: AccountState | None = STATE, **changes: Any
) -> tuple[StrategyBrain, RecordedContext]:
    ctx = RecordedContext("strategy_brain", tuple(history))
    ctx.stopped_at = NOW_NS / 1e9
    brain = StrategyBrain()
    start(brain, ctx, **{**SETTINGS, **changes})
    if state is not None:
        give(brain, ctx, state)
    return brain, ctx


def later(brain: StrategyBrain, ctx: RecordedContext, at_s: float) -> list[Message]:
    """Time passes, the ledger speaks, a signal comes."""
    ctx.offset_s = at_s
    return give(brain, ctx, STATE, a_signal(at_s))


def fill(intent: OrderIntent, side: Side | None = None, quantity: Decimal | None = None) -> OrderFilled:
    return OrderFilled(
        client_order_id=client_order_id("main", intent.intent_id, 1), account="main", venue=VENUE, symbol=BTC,
        trade_id=str(side), side=side or intent.side, quantity=quantity or intent.quantity, price=Decimal(64000),
        fee=Decimal(0), fee_currency="USDT", at_ns=NOW_NS,
    )  # fmt: skip


def test_a_signal_becomes_one_entry_with_a_stop_and_an_expiry_named_after_it() -> None:
    brain, ctx = a_brain()
    assert give(brain, ctx, a_signal()) == [
        OrderIntent(
            intent_id=f"momentum:{VENUE}:{BTC}:{NOW_NS}", account="main", strategy="momentum", venue=VENUE, symbol=BTC,
            side=Side.BUY, kind=OrderKind.MARKET, quantity=Decimal("0.014"), stop_price=Decimal("63904.0"),
            signal_id=f"{VENUE}:{BTC}:{NOW_NS}", confidence=0.6, created_ns=NOW_NS, expires_ns=NOW_NS + 2 * SECOND,
        )
    ]  # fmt: skip
    assert ctx.marks == ["intent"]


def test_once_the_server_ends_a_signal_makes_no_wish() -> None:
    brain, ctx = a_brain()
    begun = PhaseBegun(phase="stop-strategies", reason="an operator's order (down)", within_s=2.0)
    assert give(brain, ctx, begun, a_signal()) == []
    assert ctx.phases_done == ["stop-strategies"]


def test_a_sell_signal_sells_and_stops_above() -> None:
    brain, ctx = a_brain()
    (said,) = give(brain, ctx, a_signal(action=Action.SELL))
    assert isinstance(said, OrderIntent)
    assert (said.side, said.stop_price) == (Side.SELL, Decimal("64096.0"))


@pytest.mark.parametrize(
    "signal",
    [a_signal(venue="binance"), a_signal(symbol="ETH/USDT:USDT"), a_signal(action=Action.HOLD)],
    ids=["another venue", "another instrument", "hold"],
)
def test_what_is_not_for_us_makes_no_wish(signal: Signal) -> None:
    brain, ctx = a_brain()
    assert give(brain, ctx, signal) == []


@pytest.mark.parametrize("state", [None, msgspec.structs.replace(STATE, equity=None, unknown=(BTC,))])
def test_unknown_equity_makes_no_entry(state: AccountState | None) -> None:
    brain, ctx = a_brain(state=state)
    assert give(brain, ctx, a_signal()) == []


def test_a_ledger_silent_for_more_than_three_seconds_makes_no_entry() -> None:
    brain, ctx = a_brain()
    ctx.offset_s = 3.1
    assert give(brain, ctx, a_signal(3.0)) == []
    assert len(give(brain, ctx, STATE, a_signal(3.0))) == 1


def test_the_account_of_somebody_else_is_not_ours() -> None:
    brain, ctx = a_brain(state=msgspec.structs.replace(STATE, account="other"))
    assert give(brain, ctx, a_signal()) == []


def test_a_late_signal_is_worth_nothing() -> None:
    brain, ctx = a_brain()
    assert give(brain, ctx, a_signal(-2.1)) == []
    assert len(give(brain, ctx, a_signal(-1.9))) == 1


def test_a_position_the_ledger_tells_keeps_entries_out() -> None:
    held = Position(
        venue=VENUE, symbol=BTC, quantity=Decimal("-0.01"), entry_price=Decimal(1), realised=Decimal(0), fees=Decimal(0)
    )
    brain, ctx = a_brain(state=msgspec.structs.replace(STATE, positions=(held,)))
    assert give(brain, ctx, a_signal()) == []
    elsewhere = msgspec.structs.replace(held, venue="binance")
    assert len(give(brain, ctx, msgspec.structs.replace(STATE, positions=(elsewhere,)), a_signal())) == 1


def test_a_fill_keeps_entries_out_before_the_ledger_tells_and_the_exit_lets_them_in_again() -> None:
    brain, ctx = a_brain(cooldown_s=0.0)
    (intent,) = give(brain, ctx, a_signal())
    assert isinstance(intent, OrderIntent)
    done = OrderCompleted(
        client_order_id=fill(intent).client_order_id, account="main", filled_quantity=intent.quantity,
        average_price=None, at_ns=NOW_NS,
    )  # fmt: skip
    assert give(brain, ctx, fill(intent), done, a_signal(0.1)) == []
    assert not brain.pending  # the position it is that keeps out
    assert len(give(brain, ctx, fill(intent, side=Side.SELL), a_signal(0.2))) == 1


@pytest.mark.parametrize("ending", [OrderCancelled, OrderRejected, OrderExpired, OrderDenied])
def test_an_entry_on_its_way_keeps_others_out_until_it_ends(ending: Any) -> None:
    brain, ctx = a_brain(cooldown_s=0.0)
    (intent,) = give(brain, ctx, a_signal())
    assert isinstance(intent, OrderIntent)
    if ending is OrderDenied:
        end: Message = OrderDenied(
            intent_id=intent.intent_id, account="main", venue=VENUE, symbol=BTC, code="X", detail="", denied_ns=NOW_NS
        )
    else:
        end = ending(client_order_id=fill(intent).client_order_id, account="main", reason="", at_ns=NOW_NS)
    foreign = msgspec.structs.replace(end, account="other")
    assert give(brain, ctx, a_signal(0.1), foreign, a_signal(0.2)) == []
    assert len(give(brain, ctx, end, a_signal(0.3))) == 1


def test_after_an_entry_the_instrument_cools_down_in_event_time_also_over_a_restart() -> None:
    brain, ctx = a_brain()
    (intent,) = give(brain, ctx, a_signal())
    assert isinstance(intent, OrderIntent)
    denied = OrderDenied(
        intent_id=intent.intent_id, account="main", venue=VENUE, symbol=BTC, code="X", detail="", denied_ns=NOW_NS
    )
    give(brain, ctx, denied)
    again, after = a_brain(intent, denied)
    for one, its in ((brain, ctx), (again, after)):
        assert later(one, its, 19.9) == []
        assert len(later(one, its, 20.0)) == 1


def test_after_a_restart_the_entry_on_its_way_and_the_open_position_are_known() -> None:
    first, ctx = a_brain()
    (intent,) = give(first, ctx, a_signal())
    assert isinstance(intent, OrderIntent)
    pending, its = a_brain(intent, cooldown_s=0.0)
    assert give(pending, its, a_signal(1.0)) == []
    assert list(pending.pending) == [BTC]
    done = OrderCompleted(
        client_order_id=fill(intent).client_order_id, account="main", filled_quantity=intent.quantity,
        average_price=None, at_ns=NOW_NS,
    )  # fmt: skip
    held, its = a_brain(intent, fill(intent), done, cooldown_s=0.0)
    assert give(held, its, a_signal(1.0)) == []
    assert not held.pending


def test_the_risk_brain_makes_entries_smaller_and_leverage_caps_them() -> None:
    brain, ctx = a_brain()
    (half,) = give(brain, ctx, LIMITS, a_signal())
    assert isinstance(half, OrderIntent)
    assert half.quantity == Decimal("0.007")  # 1000 x 0.5 x 0.95 / 64000.1
    poor, its = a_brain(state=msgspec.structs.replace(STATE, equity=Decimal(500)))
    (small,) = give(poor, its, msgspec.structs.replace(LIMITS, multiplier=Decimal(1)), a_signal(volatility=0.0))
    assert isinstance(small, OrderIntent)
    assert small.quantity == Decimal("0.007")  # all of the equity once, x 0.95
    nothing, its = a_brain()
    assert give(nothing, its, msgspec.structs.replace(LIMITS, multiplier=Decimal(0)), a_signal()) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"entry_expires_s": 0.0}, "entry_expires_s 0"),
        ({"cooldown_s": -1.0}, "cooldown_s -1"),
        ({"risk_per_trade": "NaN"}, "not finite"),
        ({"min_stop_bps": 0.0}, "min_stop_bps 0"),
        ({"instruments": {BTC: {"tick_size": "0.1"}}}, f"instrument {BTC} has no lot_size"),
    ],
)
def test_settings_nobody_can_trade_under_are_refused_at_start(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        a_brain(**changes)
