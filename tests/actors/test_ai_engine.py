"""The engine over the shipped models and the built-in market: when it speaks, when it holds, and why."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from actors.messages.control import Alert, SecondPassed
from actors.messages.market import FeedStatus, Stale, Tick, Value
from actors.messages.signals import Action, Hold, Signal, SignalCount
from actors.rules.features import SCHEMA_HASH, WARMUP_SLOTS
from actors.venues.market import Market
from models_onnx.predictor import BadInput, Predictor, inherited
from supervisor.message import Message
from tests.actors.engine import BASES, EPOCH_NS, KEYS, Bench, engine, feed_state, reading, run_market, ticks
from tests.actors.recorded import start

BTC = KEYS[0]


class Scripted:
    """The real predictor with its last word replaced: what a vote does is tested elsewhere, here what follows."""

    def __init__(self, *answers: Any) -> None:
        self.real = inherited(None, SCHEMA_HASH)
        self.answers = list(answers)
        self.faults: dict[str, str] = {}

    def __call__(self, models_dir: str | None, schema_hash: str) -> Any:
        assert (models_dir, schema_hash) == (None, SCHEMA_HASH)
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def run(self, features: Any, window: Any) -> Any:
        self.real.run(features, window)  # the inputs are real and must be fit for the models
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


UP = ((0.9, 0.05, 0.05),) * 4
DOWN = ((0.05, 0.05, 0.9),) * 4


def warm(made: Any, bench: Bench, seed: int = 1) -> Market:
    """BTC is LIVE and one tick short of warm; the market to go on with."""
    market = Market(seed)
    for number in range(WARMUP_SLOTS - 1):
        if number % 10 == 0:
            bench.give(made, feed_state(BTC), number / 10)
        bench.give(made, ticks(market.step())["BTC"], number / 10)
    return market


def decide(made: Any, bench: Bench, market: Market, slot: int) -> list[Message]:
    return bench.give(made, ticks(market.step())["BTC"], slot / 10)


def test_on_most_seeds_a_buy_or_sell_comes_within_thirty_seconds_of_market_time() -> None:
    firsts, actions = [], set()
    for seed in range(100, 120):
        made, bench = engine()
        signals = [one for one in run_market(made, bench, seed, 30.0) if isinstance(one, Signal)]
        firsts.append(min(((one.event_ns - EPOCH_NS) / 1e9 for one in signals), default=math.inf))
        actions |= {one.action for one in signals}
    assert sum(first <= 30.0 for first in firsts) >= 14, firsts
    assert actions == {Action.BUY, Action.SELL}
    assert min(firsts) >= (WARMUP_SLOTS - 1) / 10


def test_a_signal_carries_everything_the_decision_was_made_of() -> None:
    made, bench = engine()
    signals = [one for one in run_market(made, bench, 100, 60.0) if isinstance(one, Signal)]
    assert signals
    for signal in signals:
        assert signal.signal_id == f"{signal.key()}:{signal.event_ns}"
        assert signal.p_up + signal.p_flat + signal.p_down == pytest.approx(1.0)
        assert [vote.model for vote in signal.votes] == ["logistic", "mlp", "trees", "tcn"]
        assert 0 < signal.bid < signal.ask
        assert 1e-5 < signal.volatility < 0.05
        assert signal.confidence == (signal.p_up if signal.action is Action.BUY else signal.p_down)
        assert "bps expected after costs" in signal.reason
    assert set(bench.marks) == {"decision"}


def test_equal_input_gives_equal_output() -> None:
    runs = []
    for _ in range(2):
        made, bench = engine()
        runs.append([one for one in run_market(made, bench, 101, 40.0) if isinstance(one, Signal | Hold)])
    assert runs[0] == runs[1]


def test_every_decision_is_counted_and_holds_are_published_at_most_four_times_a_second() -> None:
    made, bench = engine()
    out = run_market(made, bench, 102, 30.0)
    counts = {one.key(): one for one in bench.give(made, SecondPassed(), 31.0) if isinstance(one, SignalCount)}
    assert set(counts) == set(KEYS)
    for key, count in counts.items():
        assert count.buy + count.sell + count.hold == 300
        assert sum(count.hold_reasons.values()) == count.hold
        assert count.hold_reasons["WARMING_UP"] == WARMUP_SLOTS - 1
        holds = [one for one in out if isinstance(one, Hold) and one.key() == key]
        times = [one.event_ns for one in holds]
        assert 60 <= len(holds) <= 120
        assert min(np.diff(times)) >= 250_000_000
    again = [one for one in bench.give(made, SecondPassed(), 32.0) if isinstance(one, SignalCount)]
    assert [one.inference_us for one in again] == [0.0] * len(KEYS)


def test_signals_of_one_side_keep_the_cooldown_and_are_hold_in_between() -> None:
    made, bench = engine(predictor=Scripted(UP), cooldown_s=2.0)
    market = warm(made, bench)
    kinds = []
    for slot in range(WARMUP_SLOTS, WARMUP_SLOTS + 45):
        bench.give(made, feed_state(BTC), slot / 10)
        for out in decide(made, bench, market, slot):
            if isinstance(out, Signal):
                kinds.append(slot)
            else:
                assert isinstance(out, Hold)
                assert out.reason == "COOLDOWN"
    assert kinds == [WARMUP_SLOTS, WARMUP_SLOTS + 20, WARMUP_SLOTS + 40]


def test_the_cooldown_of_one_side_does_not_silence_the_other() -> None:
    made, bench = engine(predictor=Scripted(UP, DOWN, UP, DOWN))
    market = warm(made, bench)
    out = [one for slot in range(100, 104) for one in decide(made, bench, market, slot) if isinstance(one, Signal)]
    assert [one.action for one in out] == [Action.BUY, Action.SELL]


@pytest.mark.parametrize("status", [status for status in FeedStatus if status is not FeedStatus.LIVE])
def test_a_feed_that_is_not_live_holds_at_once_and_the_features_warm_up_again(status: FeedStatus) -> None:
    made, bench = engine(predictor=Scripted(UP))
    market = warm(made, bench)
    (hold,) = bench.give(made, feed_state(BTC, status), 10.4)
    assert isinstance(hold, Hold)
    assert hold.reason == "DATA_STALE"
    assert decide(made, bench, market, 108)[0].reason == "DATA_STALE"  # type: ignore[attr-defined]
    bench.give(made, feed_state(BTC), 10.9)
    reasons = set()
    for slot in range(112, 112 + WARMUP_SLOTS - 5):
        if slot % 10 == 0:
            bench.give(made, feed_state(BTC), slot / 10)
        reasons |= {one.reason for one in decide(made, bench, market, slot) if isinstance(one, Hold)}
    assert reasons == {"WARMING_UP"}
    signals = []
    for slot in range(112 + WARMUP_SLOTS - 5, 112 + WARMUP_SLOTS + 5):
        signals += [one for one in decide(made, bench, market, slot) if isinstance(one, Signal)]
    assert len(signals) == 1


def test_a_silent_feed_is_not_trusted_even_while_ticks_come() -> None:
    made, bench = engine(predictor=Scripted(UP), feed_silence_s=3.0)
    market = warm(made, bench)  # the last word of the feed came at 9.0 s
    for slot in range(100, 135):
        for one in decide(made, bench, market, slot):
            late = slot / 10 - 9.0 > 3.0
            assert isinstance(one, Signal) or one.reason == ("DATA_STALE" if late else "COOLDOWN")  # type: ignore[attr-defined]
    assert made._instruments[BTC].holds["DATA_STALE"] > 10


def test_without_any_word_from_the_feed_nothing_is_decided() -> None:
    made, bench = engine(predictor=Scripted(UP))
    market = Market(1)
    for slot in range(WARMUP_SLOTS + 20):
        decide(made, bench, market, slot)
    assert set(made._instruments[BTC].holds) == {"DATA_STALE"}
    assert not bench.of(Signal)


def test_a_broken_tick_is_a_hold_an_alert_once_a_minute_and_loses_nothing() -> None:
    made, bench = engine(predictor=Scripted(UP))
    market = warm(made, bench)
    slots = made._instruments[BTC].features.slots
    broken = msgspec.structs.replace(ticks(market.step())["BTC"], ask=math.nan)
    for k in range(3):
        bench.give(made, broken, 10.3 + k / 2)
    (alert,) = bench.of(Alert)
    assert "ask nan" in alert.text
    assert made._instruments[BTC].holds["DATA_INVALID"] == 3
    assert made._instruments[BTC].features.slots == slots
    assert any(isinstance(one, Signal) for one in decide(made, bench, market, 115))


def test_inputs_the_models_refuse_are_a_hold() -> None:
    made, bench = engine(predictor=Scripted(BadInput("3 of 16 features are NaN")))
    market = warm(made, bench)
    (alert, hold) = decide(made, bench, market, 103)
    assert isinstance(alert, Alert)
    assert isinstance(hold, Hold)
    assert hold.reason == "DATA_INVALID"


def test_members_that_abstain_are_named_and_too_many_of_them_hold() -> None:
    one_silent, two_silent = (*UP[:3], None), (*UP[:2], None, None)
    scripted = Scripted(one_silent, two_silent)
    scripted.faults = {"tcn": "Fail: no more memory"}
    made, bench = engine(predictor=scripted)
    market = warm(made, bench)
    alert, signal = decide(made, bench, market, 103)
    assert isinstance(alert, Alert)
    assert "the model tcn abstains: Fail: no more memory" in alert.text
    assert isinstance(signal, Signal)
    assert signal.votes[3].abstained == "Fail: no more memory"
    assert signal.votes[3].p_up is None
    (hold,) = decide(made, bench, market, 107)
    assert isinstance(hold, Hold)
    assert hold.reason == "NO_QUORUM"


def test_only_a_fresh_basis_reading_of_the_own_base_reaches_the_features() -> None:
    made, bench = engine()
    market = Market(1)
    known = made._instruments[BTC].features

    def basis_known(slot: int) -> float:
        decide(made, bench, market, slot)
        return float(known._rows[(known.slots - 1) % 64][0, 15])

    assert basis_known(0) == 0.0
    bench.give(made, reading("ETH", Value(value=-3.0, age_s=0.0)), 0.1)
    assert basis_known(1) == 0.0
    bench.give(made, reading("BTC", Value(value=-3.0, age_s=1.0)), 0.2)
    assert basis_known(2) == 1.0
    assert basis_known(21) == 1.0  # 1.9 s later, 2.9 s old
    assert basis_known(24) == 0.0  # older than 3 s
    bench.give(made, reading("BTC", Value(value=-3.0, age_s=0.0)), 2.5)
    assert basis_known(26) == 1.0
    bench.give(made, reading("BTC", Stale(age_s=9.0)), 2.7)
    assert basis_known(27) == 0.0


def test_other_instruments_are_none_of_its_business() -> None:
    made, bench = engine(instruments=[BTC])
    tick = ticks(Market(1).step())
    spot = msgspec.structs.replace(tick["BTC"], venue="binance", symbol="BTC/USDT")
    for other in (spot, tick["ETH"]):
        assert bench.give(made, other, 0.0) == []
    assert bench.give(made, feed_state(KEYS[1], FeedStatus.GAP), 0.1) == []
    assert isinstance(bench.give(made, tick["BTC"], 0.2)[0], Hold)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"instruments": []}, "wanted one or more"),
        ({"instruments": [BTC, BTC]}, "distinct"),
        ({"instruments": ["BTC/USDT"]}, "venue:symbol"),
        ({"cooldown_s": 11.0}, "ai_engine cooldown_s 11.0"),
        ({"quorum": 5}, "ensemble quorum 5"),
        ({"confidence": 0.0}, "ensemble confidence 0.0"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        engine(**settings)


def test_the_vote_follows_the_settings_and_else_the_models_own_calibration() -> None:
    made, _ = engine()
    own = Predictor.load(inherited().directory).manifest.calibration
    assert (made._pool.confidence, made._pool.cost_bps) == (own.confidence, own.cost_bps)
    made, _ = engine(confidence=0.9, cost_bps=3.0, quorum=2, quorum_weight=0.4)
    assert (made._pool.confidence, made._pool.cost_bps, made._pool.quorum) == (0.9, 3.0, 2)
    assert made._pool.quorum_weight == 0.4


def test_it_publishes_only_what_it_declares() -> None:
    made, bench = engine()
    run_market(made, bench, 100, 15.0)
    bench.give(made, SecondPassed(), 16.0)
    assert {type(one) for one in bench.published} <= set(type(made).publishes)
    assert Tick in type(made).subscribes


def test_its_timer_comes_again() -> None:
    made, bench = engine()
    assert [timer[2] for timer in bench._timers] == [SecondPassed()]
    bench.give(made, SecondPassed(), 1.0)
    assert len(bench._timers) == 2


def test_start_works_with_the_import_path_of_the_predictor() -> None:
    made, bench = type(engine()[0])(), Bench()
    start(made, bench, models_dir=None, instruments=[BTC], predictor="models_onnx.predictor:inherited")
    assert made._predictor.names == ("logistic", "mlp", "trees", "tcn")
    assert len(BASES) == len(KEYS)
