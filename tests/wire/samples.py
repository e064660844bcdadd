"""One sample of every public message. A new word needs a line here, or test_wire.py says so."""

from __future__ import annotations

from decimal import Decimal

from actors.messages import account, control, market, orders, signals
from supervisor.message import Message

ENTRY = orders.OrderIntent(
    intent_id="binanceusdm:BTC/USDT:USDT:17",
    account="main",
    strategy="momentum",
    venue="binanceusdm",
    symbol="BTC/USDT:USDT",
    side=orders.Side.BUY,
    kind=orders.OrderKind.MARKET,
    quantity=Decimal("0.012"),
    stop_price=Decimal("61000.5"),
    signal_id="s17",
    confidence=0.61,
    created_ns=1723161255000000000,
    expires_ns=1723161257000000000,
)
CANCEL = orders.CancelIntent(
    intent_id="c1", account="main", venue="binanceusdm", symbol="BTC/USDT:USDT", client_order_id="qt-1", reason="moved"
)
LEVELS = ((61685.99, 1.5), (61685.98, 0.25))

SAMPLES: tuple[Message, ...] = (
    market.Tick(
        venue="binance",
        symbol="BTC/USDT",
        bid=61685.99,
        ask=61686.0,
        bid_size=1.5,
        ask_size=0.75,
        bid_depth=6.5,
        ask_depth=4.25,
        bought=0.5,
        sold=0.25,
        book_seq=50093239218,
    ),
    market.FeedState(
        venue="binance",
        symbol="BTC/USDT",
        status=market.FeedStatus.GAP,
        reason="U 12 after u 10",
        since_ns=7,
        age_s=0.5,
    ),
    market.FeedReport(
        venue="binance",
        symbol="BTC/USDT",
        frames_in=10,
        events_out=8,
        conflated=2,
        deltas_applied=7,
        gaps=1,
        resyncs=1,
        malformed=0,
        best_bid=61685.99,
        best_ask=61686.0,
        bids=LEVELS,
        asks=LEVELS,
        book_seq=5,
    ),
    market.CrossReading(
        base="BTC",
        basis_bps=market.Value(value=-3.88, age_s=0.01),
        divergence_bps=market.Stale(age_s=4.0),
        median_basis_bps=market.Unavailable(reason="no samples"),
        samples=0,
    ),
    market.ReplayFinished(
        frames={"binance:BTC/USDT": 3449}, first_ns=1, last_ns=2, wall_s=115.5, injected={"gap": 10}, started_ns=3
    ),
    signals.Signal(
        signal_id="s17",
        venue="binanceusdm",
        symbol="BTC/USDT:USDT",
        action=signals.Action.BUY,
        p_up=0.61,
        p_flat=0.2,
        p_down=0.19,
        confidence=0.61,
        agreement=0.75,
        votes=(
            signals.Vote(model="logistic", p_up=0.6, p_flat=0.2, p_down=0.2),
            signals.Vote(model="tcn", abstained="non-finite output"),
        ),
        reason="UP",
        bid=61659.7,
        ask=61659.8,
        volatility=0.0004,
        event_ns=1723161255000000000,
    ),
    signals.Hold(
        venue="binanceusdm", symbol="BTC/USDT:USDT", reason="TIE", p_up=0.4, p_flat=0.2, p_down=0.4, event_ns=5
    ),
    signals.SignalCount(
        venue="binanceusdm", symbol="BTC/USDT:USDT", buy=1, sell=2, hold=3, hold_reasons={"TIE": 3}, inference_us=41.5
    ),
    ENTRY,
    CANCEL,
    orders.OrderApproved(
        intent=ENTRY, approval_id="a1", approved_ns=1, expires_ns=2, snapshot_version=3, signature="00ff"
    ),
    orders.CancelApproved(intent=CANCEL, approved_ns=1, signature="00ff"),
    orders.OrderDenied(
        intent_id="i", account="main", venue="v", symbol="s", code="DATA_GAP", detail="book is GAP", denied_ns=1
    ),
    orders.OrderSubmitted(client_order_id="qt-1", intent=ENTRY, submitted_ns=1),
    orders.OrderAccepted(client_order_id="qt-1", account="main", venue_order_id="9", at_ns=1),
    orders.OrderFilled(
        client_order_id="qt-1",
        account="main",
        venue="binanceusdm",
        symbol="BTC/USDT:USDT",
        trade_id="77",
        side=orders.Side.BUY,
        quantity=Decimal("0.012"),
        price=Decimal("61659.80"),
        fee=Decimal("0.36995880"),
        fee_currency="USDT",
        at_ns=1,
    ),
    orders.OrderCompleted(
        client_order_id="qt-1", account="main", filled_quantity=Decimal("0.012"), average_price=None, at_ns=1
    ),
    orders.OrderRejected(client_order_id="qt-1", account="main", reason="-2019", at_ns=1),
    orders.OrderCancelled(client_order_id="qt-1", account="main", reason="moved", at_ns=1),
    orders.OrderExpired(client_order_id="qt-1", account="main", reason="approval too old", at_ns=1),
    orders.OrderUnknown(client_order_id="qt-1", account="main", venue="v", symbol="s", reason="timeout", at_ns=1),
    account.AccountState(
        account="main",
        version=2,
        positions=(
            account.Position(
                venue="binanceusdm",
                symbol="BTC/USDT:USDT",
                quantity=Decimal("-0.012"),
                entry_price=Decimal("61659.8"),
                realised=Decimal("1.5"),
                fees=Decimal("0.37"),
            ),
        ),
        cash=Decimal("10001.13"),
        equity=None,
        unrealised=None,
        day_start_equity=Decimal(10000),
        unknown=("binanceusdm:BTC/USDT:USDT",),
        fills=2,
        reconciled=True,
        at_ns=1,
    ),
    account.VenueAccount(
        account="main",
        venue="binanceusdm",
        balance=Decimal("10001.13"),
        currency="USDT",
        positions=(("BTC/USDT:USDT", Decimal("-0.012"), Decimal("61659.8")),),
        open_orders=("qt-2",),
        at_ns=1,
    ),
    account.Reconciled(account="main", ok=False, differences=("order qt-9 is unknown to us",), at_ns=1),
    control.TradingMode(mode=control.Mode.REDUCE_ONLY, reason="no feed is LIVE", valid_until_ns=1),
    control.RiskLimits(
        account="main",
        version=1,
        max_positions=2,
        max_order_notional=Decimal(1000),
        max_gross_notional=Decimal(2000),
        max_leverage=Decimal(1),
        risk_per_trade=Decimal("0.005"),
        day_loss_limit=Decimal("0.005"),
        max_divergence_bps=100.0,
        orders_per_minute=30,
        multiplier=Decimal(1),
        reason="calm",
        valid_until_ns=1,
    ),
    control.ExitsGuarded(account="main"),
    control.Alert(severity="warning", subject="feed:binance", text="GAP on BTC/USDT", at_ns=1),
    control.StopServer(reason="replay finished"),
    control.SecondPassed(),
)
