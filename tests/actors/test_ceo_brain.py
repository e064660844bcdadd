"""The mode: the strictest reason wins, down at once, up only when it was earned, and silence is never RUN."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ceo_brain import CeoBrain
from actors.latch import Latch, write_latch
from actors.messages.account import AccountState, Reconciled
from actors.messages.control import EssState, Mode, RiskLimits, SecondPassed, TradingMode
from actors.messages.market import FeedState, FeedStatus
from actors.rules.mode import STRICTNESS, Evidence, Held, step, target
from actors.venues.words import LatchSeen
from supervisor.message import Message
from tests.actors.recorded import RecordedContext, give, run_until, start

NOW_S = 1_700_000_000.0
GREEN = Evidence(ess=EssState.INACTIVE, multiplier=Decimal(1), reconciled=True, ledger_reconciled=True, live_feeds=2)
replace = msgspec.structs.replace


@pytest.mark.parametrize(
    ("changes", "mode", "says"),
    [
        ({}, Mode.RUN, ""),
        ({"multiplier": Decimal("0.5")}, Mode.RUN, ""),
        ({"live_feeds": 1}, Mode.RUN, ""),
        ({"multiplier": None}, Mode.REDUCE_ONLY, "risk limits are unknown"),
        ({"reconciled": None}, Mode.REDUCE_ONLY, "not compared with the venue yet"),
        ({"ledger_reconciled": None}, Mode.REDUCE_ONLY, "the ledger is silent"),
        ({"live_feeds": None}, Mode.REDUCE_ONLY, "no feed has spoken"),
        ({"multiplier": Decimal(0), "limits_reason": "day loss"}, Mode.HALT_NEW, "day loss"),
        ({"reconciled": False, "differences": ("BTC: 1, 2",)}, Mode.HALT_NEW, "BTC: 1, 2"),
        ({"ledger_reconciled": False}, Mode.HALT_NEW, "not reconciled"),
        ({"live_feeds": 0}, Mode.HALT_NEW, "no feed is LIVE"),
        ({"ess": EssState.TRIGGERED, "ess_reason": "a person"}, Mode.STOP, "TRIGGERED: a person"),
        ({"ess": EssState.LOCKED, "live_feeds": 0, "multiplier": None}, Mode.STOP, "LOCKED"),
        ({"multiplier": None, "live_feeds": 0}, Mode.HALT_NEW, "no feed is LIVE"),
    ],
)
def test_the_strictest_row_that_applies_wins(changes: dict[str, Any], mode: Mode, says: str) -> None:
    found, reason = target(replace(GREEN, **changes))
    assert found is mode
    assert says in reason
    assert bool(reason) is (mode is not Mode.RUN)


evidences = st.builds(
    Evidence,
    ess=st.sampled_from([EssState.INACTIVE] * 5 + list(EssState)),
    multiplier=st.sampled_from([Decimal(1), Decimal(1), None, Decimal(0)]),
    reconciled=st.sampled_from([True, True, None, False]),
    ledger_reconciled=st.sampled_from([True, True, None, False]),
    live_feeds=st.sampled_from([2, 2, None, 0]),
)


@given(st.lists(st.tuples(evidences, st.floats(0.0, 8.0)), max_size=40))
def test_down_is_at_once_and_up_only_after_the_same_better_target_stood_its_time(
    history: list[tuple[Evidence, float]],
) -> None:
    held, now = Held(), 0.0
    seen: list[tuple[float, Mode]] = []
    for evidence, pause in history:
        now += pause
        before, held = held, step(held, evidence, now, 10.0)
        wanted, _ = target(evidence)
        seen.append((now, wanted))
        assert STRICTNESS[held.mode] >= STRICTNESS[wanted]
        if STRICTNESS[held.mode] < STRICTNESS[before.mode]:
            stood = [mode for at, mode in seen if at > now - 10.0]
            assert set(stood) == {held.mode}
            assert any(mode is held.mode for at, mode in seen if at <= now - 10.0)


def test_a_flapping_witness_never_opens_the_door() -> None:
    held = Held()
    for second in range(100):
        held = step(held, GREEN if second % 9 else replace(GREEN, live_feeds=0), float(second), 10.0)
        assert held.mode is not Mode.RUN


class NoLatch:
    """The latch port of a home where nothing happens."""

    state = EssState.INACTIVE

    def __init__(self, post: Callable[[Message], None], *, home: str) -> None:
        self.now = Latch(state=self.state, reason="")
        self.closed = False

    def close(self) -> None:
        self.closed = True


class TriggeredLatch(NoLatch):
    state = EssState.TRIGGERED


LIMITS = RiskLimits(
    account="main", version=1, max_positions=2, max_order_notional=Decimal(1000), max_gross_notional=Decimal(2000),
    max_leverage=Decimal(1), risk_per_trade=Decimal("0.002"), day_loss_limit=Decimal("0.005"), max_divergence_bps=50.0,
    orders_per_minute=30, multiplier=Decimal(1), reason="", valid_until_ns=round((NOW_S + 10**6) * 1e9),
)  # fmt: skip
STATE = AccountState(
    account="main", version=1, positions=(), cash=Decimal(10_000), equity=Decimal(10_000), unrealised=Decimal(0),
    day_start_equity=Decimal(10_000), unknown=(), fills=0, reconciled=True, at_ns=0,
)  # fmt: skip
RECONCILED = Reconciled(account="main", ok=True, differences=(), at_ns=round(NOW_S * 1e9))
FEED = FeedState(venue="binanceusdm", symbol="BTC/USDT:USDT", status=FeedStatus.LIVE, reason="", since_ns=0, age_s=0.1)
WITNESSES: list[Message] = [LIMITS, STATE, FEED]  # these speak once a second


def a_brain(
    *history: Message, latch: Any = NoLatch, home: str = "nowhere", **changes: Any
) -> tuple[CeoBrain, RecordedContext]:
    ctx = RecordedContext("ceo_brain", tuple(history))
    ctx.stopped_at = NOW_S
    brain = CeoBrain()
    start(brain, ctx, **{"account": "main", "recovery_s": 10.0, "home": home, "latch": latch, **changes})
    return brain, ctx


def said(messages: list[Message]) -> list[Mode]:
    return [message.mode for message in messages if isinstance(message, TradingMode)]


def a_running_brain() -> tuple[CeoBrain, RecordedContext]:
    brain, ctx = a_brain(RECONCILED, recovery_s=0.0)
    assert said(give(brain, ctx, *WITNESSES)) == [Mode.RUN]
    return brain, ctx


def test_it_begins_with_reduce_only_and_says_so_at_once() -> None:
    _, ctx = a_brain(valid_s=7.0)
    assert said(ctx.published) == [Mode.REDUCE_ONLY]
    (word,) = ctx.of(TradingMode)
    assert word.valid_until_ns == round((NOW_S + 7.0) * 1e9)


def test_all_green_for_the_recovery_time_opens_the_door_and_not_a_second_earlier() -> None:
    brain, ctx = a_brain()
    give(brain, ctx, RECONCILED)
    for second in range(11):
        ctx.offset_s = float(second)
        assert said(give(brain, ctx, *WITNESSES)) == ([Mode.RUN] if second == 10 else [])


def test_what_was_reconciled_is_recalled_by_a_new_incarnation() -> None:
    a_running_brain()
    other = replace(RECONCILED, account="other")
    brain, ctx = a_brain(other, recovery_s=0.0)
    assert said(give(brain, ctx, *WITNESSES)) == []


@pytest.mark.parametrize(
    ("news", "mode"),
    [
        (replace(LIMITS, multiplier=Decimal(0), reason="day loss"), Mode.HALT_NEW),
        (replace(RECONCILED, ok=False, differences=("BTC",)), Mode.HALT_NEW),
        (replace(STATE, reconciled=False), Mode.HALT_NEW),
        (replace(FEED, status=FeedStatus.GAP), Mode.HALT_NEW),
        (replace(LIMITS, valid_until_ns=1), Mode.REDUCE_ONLY),
        (LatchSeen(state=EssState.TRIGGERED, reason="a person"), Mode.STOP),
    ],
)
def test_bad_news_is_told_at_once(news: Message, mode: Mode) -> None:
    brain, ctx = a_running_brain()
    assert said(give(brain, ctx, news)) == [mode]


@pytest.mark.parametrize(
    "news",
    [
        replace(LIMITS, account="other", multiplier=Decimal(0)),
        replace(RECONCILED, account="other", ok=False),
        replace(STATE, account="other", reconciled=False),
        replace(FEED, symbol="ETH/USDT:USDT", status=FeedStatus.GAP),
    ],
)
def test_another_account_or_one_feed_of_two_changes_nothing(news: Message) -> None:
    brain, ctx = a_running_brain()
    assert give(brain, ctx, news) == []


@pytest.mark.parametrize("silent", WITNESSES, ids=lambda word: type(word).__name__)
def test_a_witness_that_falls_silent_is_noticed_by_the_second(silent: Message) -> None:
    brain, ctx = a_running_brain()
    ctx.offset_s = 3.1
    give(brain, ctx, *(word for word in WITNESSES if word is not silent))
    assert said(give(brain, ctx, SecondPassed()))[-1] is Mode.REDUCE_ONLY


def test_a_comparison_with_the_venue_older_than_three_minutes_is_none() -> None:
    brain, ctx = a_running_brain()
    for at_s, mode in ((179.0, Mode.RUN), (181.0, Mode.REDUCE_ONLY)):
        ctx.offset_s = at_s
        give(brain, ctx, *WITNESSES)
        assert said(give(brain, ctx, SecondPassed()))[-1] is mode
    assert said(give(brain, ctx, RECONCILED)) == [Mode.RUN]


@pytest.mark.parametrize(("old_s", "modes"), [(0.0, [Mode.RUN]), (179.0, [Mode.RUN]), (181.0, []), (-181.0, [])])
def test_a_comparison_that_is_recalled_is_as_old_as_it_says_whatever_run_it_was_of(
    old_s: float, modes: list[Mode]
) -> None:
    brain, ctx = a_brain(replace(RECONCILED, at_ns=round((NOW_S - old_s) * 1e9)), recovery_s=0.0)
    assert said(give(brain, ctx, *WITNESSES)) == modes


def test_it_says_the_mode_every_second_by_its_own_timer() -> None:
    brain, ctx = a_running_brain()
    for second in (1, 2, 3):
        ctx.offset_s = second + 0.001
        give(brain, ctx, *WITNESSES)
        timer = ctx.next(0.0)
        assert isinstance(timer, SecondPassed)
        assert said(give(brain, ctx, timer)) == [Mode.RUN]


def test_a_latch_found_at_start_is_stop_before_anything_else() -> None:
    brain, ctx = a_brain(RECONCILED, latch=TriggeredLatch, recovery_s=0.0)
    assert said(ctx.published) == [Mode.STOP]
    assert said(give(brain, ctx, *WITNESSES)) == []


def test_the_latch_on_disk_stops_the_house(tmp_path: Path) -> None:
    brain, ctx = a_brain(RECONCILED, latch="actors.latch:watch", home=str(tmp_path), recovery_s=0.0)
    try:
        give(brain, ctx, *WITNESSES)
        write_latch(tmp_path, Latch(state=EssState.TRIGGERED, reason="a person said so", who="test"))
        run_until(brain, ctx, lambda: ctx.of(TradingMode)[-1].mode is Mode.STOP)
        assert "a person said so" in ctx.of(TradingMode)[-1].reason
    finally:
        ended = time.monotonic() + 5.0
        brain.terminate("test")
        assert time.monotonic() < ended


@pytest.mark.parametrize("changes", [{"recovery_s": -1.0}, {"valid_s": 0.0}, {"recovery_s": float("nan")}])
def test_settings_that_cannot_be_are_refused_at_start(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ceo_brain recovery_s"):
        a_brain(**changes)
