"""The run's report: counts over restarts, what a finished recording means, and a file that is never half written."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.messages.account import AccountState
from actors.messages.control import Alert, SecondPassed, StopServer
from actors.messages.market import CrossReading, FeedReport, ReplayFinished, Stale, Unavailable, Value
from actors.messages.orders import OrderDenied, OrderFilled, OrderIntent, OrderKind, OrderSubmitted, Side
from actors.messages.signals import SignalCount
from actors.recorder import QUIET_S, SETTLE_S, FormerWords, Recorder, TimeIsUp, WriteFailed
from actors.rules.report import Tally
from supervisor.message import SCHEMA, Envelope, Message, Provenance
from tests.actors.recorded import RecordedContext, give, start

SPOT = "binance:BTC/USDT"


def report(**changes: Any) -> FeedReport:
    fields: dict[str, Any] = {
        "venue": "binance", "symbol": "BTC/USDT", "frames_in": 10, "events_out": 7, "conflated": 3,
        "deltas_applied": 6, "gaps": 0, "resyncs": 1, "malformed": 0, "best_bid": 100.0, "best_ask": 101.0,
        "bids": ((100.0, 1.0),), "asks": ((101.0, 2.0),), "book_seq": 5,
    }  # fmt: skip
    return FeedReport(**{**fields, **changes})


def finished(frames: int = 10, started_ns: int = 0) -> ReplayFinished:
    return ReplayFinished(frames={SPOT: frames}, first_ns=0, last_ns=60_000_000_000, wall_s=6.0, started_ns=started_ns)


def denied(code: str) -> OrderDenied:
    return OrderDenied(
        intent_id="i", account="main", venue="binanceusdm", symbol="BTC/USDT:USDT", code=code, detail="", denied_ns=1
    )


class WiredContext(RecordedContext):
    """Also has an envelope: when it was sent is set by the test."""

    sent_ns = 1

    def envelope(self) -> Envelope:
        return Envelope(SCHEMA, "sender", 1, 1, 1, self.sent_ns, Provenance.REPLAY, "", "", None)


@pytest.fixture
def ctx() -> WiredContext:
    ctx = WiredContext("recorder")
    ctx.stopped_at = 1_000.0
    return ctx


@pytest.fixture
def recorder(ctx: WiredContext, tmp_path: Path) -> Callable[..., Recorder]:
    def make(**arguments: Any) -> Recorder:
        actor = Recorder()
        start(actor, ctx, home=str(tmp_path), mode="replay", **arguments)
        return actor

    return make


def after(actor: Recorder, ctx: WiredContext, seconds: float) -> None:
    ctx.offset_s += seconds
    give(actor, ctx, SecondPassed())


def stops(ctx: WiredContext) -> list[tuple[str, Message]]:
    return [(to, word) for to, word in ctx.sent if isinstance(word, StopServer)]


def test_the_counts_of_a_restarted_feed_are_added_to_those_of_its_former_life() -> None:
    tally = Tally()
    tally.hear(report(frames_in=10, events_out=7, conflated=3), 1)
    tally.hear(report(frames_in=4, events_out=4, conflated=0), 2)
    tally.hear(report(frames_in=6, events_out=5, conflated=1), 2)

    only = tally.document(1.0)["instruments"][0]

    assert (only["frames_in"], only["events_out"], only["conflated"]) == (16, 12, 4)


def test_a_word_from_a_former_life_does_not_take_counts_back() -> None:
    tally = Tally()
    tally.hear(report(frames_in=4), 2)
    tally.hear(report(frames_in=10), 1)

    assert tally.frames() == 4


def test_the_report_says_what_was_heard() -> None:
    tally = Tally()
    tally.hear(report(), 1)
    tally.hear(
        SignalCount(
            venue="v", symbol="s", buy=1, sell=2, hold=30, hold_reasons={}, inference_us=1.0
        ), 1,
    )  # fmt: skip
    for code in ("DATA_GAP", "DAY_LOSS", "DATA_GAP"):
        tally.hear(denied(code), 1)
    tally.hear(finished(), 1)

    said = tally.document(99.0)

    assert said["schema"] == 1
    assert said["signals"] == {"BUY": 1, "SELL": 2, "HOLD": 30}
    assert said["denials"] == {"DATA_GAP": 2, "DAY_LOSS": 1}
    assert said["x_realtime"] == 10.0
    assert said["messages_per_s"] == pytest.approx(10 / 6, abs=0.1)
    assert said["instruments"][0]["bids"] == ((100.0, 1.0),)
    assert said["complete"] is True


@pytest.mark.parametrize("unknown", [Stale(age_s=3.0), Unavailable(reason="no tick")])
def test_a_reading_that_is_unknown_is_null_and_no_number(unknown: Stale | Unavailable) -> None:
    tally = Tally()
    tally.hear(
        CrossReading(
            base="BTC",
            basis_bps=unknown,
            divergence_bps=unknown,
            median_basis_bps=Value(value=-3.9, age_s=0.0),
            samples=9,
        ),
        1,
    )

    said = tally.document(1.0)["divergence_bps"]["BTC"]

    assert said == {
        "median_basis_bps": -3.9,
        "last_basis_bps": None,
        "last_divergence_bps": None,
        "samples": 9,
    }


def test_an_equity_that_is_unknown_is_null() -> None:
    tally = Tally()
    tally.hear(
        AccountState(
            account="main", version=1, positions=(), cash=Decimal(7), equity=None, unrealised=None,
            day_start_equity=None, unknown=("x",), fills=0, reconciled=True, at_ns=1,
        ), 1,
    )  # fmt: skip

    assert tally.document(1.0)["accounts"]["main"]["equity"] is None


def test_an_instrument_nobody_spoke_of_is_listed_without_a_price() -> None:
    only = Tally((SPOT,)).document(1.0)["instruments"][0]

    assert (only["frames_in"], only["best_bid"]) == (0, None)


def test_the_digest_is_of_the_final_books_in_any_order_of_hearing() -> None:
    one, other = Tally(), Tally()
    eth = report(symbol="ETH/USDT")
    one.hear(report(book_seq=4), 1)
    for word in (eth, report()):
        one.hear(word, 1)
    for word in (report(conflated=4, frames_in=11), eth):
        other.hear(word, 1)
    assert one.digest() == other.digest()

    other.hear(report(bids=((100.0, 1.5),)), 1)
    assert one.digest() != other.digest()


@pytest.mark.parametrize(
    ("word", "complete"),
    [
        (report(), True),
        (report(frames_in=9, events_out=6), False),  # a frame is still on its way
        (report(frames_in=11, events_out=8), False),  # more than were sent
        (report(events_out=6), False),  # a frame is unaccounted for
    ],
)
def test_a_recording_is_complete_when_every_frame_is_in_and_accounted_for(word: FeedReport, complete: bool) -> None:
    tally = Tally()
    tally.hear(word, 1)
    assert not tally.complete(), "the player has not said that it is over"
    tally.hear(finished(), 1)

    assert tally.complete() is complete


def test_when_a_recording_is_complete_the_report_is_written_and_the_server_is_stopped_once(
    recorder: Callable[..., Recorder], ctx: WiredContext, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    actor = recorder(report=str(path))
    give(actor, ctx, report(), finished())
    after(actor, ctx, 1.0)
    assert not stops(ctx), "the last counts of the engine may still be on their way"

    after(actor, ctx, SETTLE_S)
    after(actor, ctx, 1.0)

    assert [to for to, _ in stops(ctx)] == ["root"]
    assert json.loads(path.read_text())["complete"] is True
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "reports"], "nothing half written is left"


def test_a_recording_whose_frames_do_not_all_arrive_is_over_when_nothing_comes_any_more(
    recorder: Callable[..., Recorder], ctx: WiredContext, tmp_path: Path
) -> None:
    actor = recorder()
    give(actor, ctx, report(frames_in=3, events_out=3, conflated=0), finished())
    after(actor, ctx, 1.0)
    after(actor, ctx, QUIET_S - 1)
    give(actor, ctx, report(frames_in=4, events_out=4, conflated=0))
    after(actor, ctx, 1.0)
    after(actor, ctx, QUIET_S - 1)
    assert not stops(ctx), "a frame came meanwhile"

    after(actor, ctx, 2.0)

    assert len(stops(ctx)) == 1
    assert json.loads((tmp_path / "reports" / "report.json").read_text())["complete"] is False


def test_without_the_players_word_a_full_count_ends_nothing(
    recorder: Callable[..., Recorder], ctx: WiredContext
) -> None:
    actor = recorder()
    give(actor, ctx, report())
    after(actor, ctx, 100.0)

    assert not stops(ctx)


def test_the_time_given_by_for_stops_the_server(recorder: Callable[..., Recorder], ctx: WiredContext) -> None:
    actor = recorder(ends=(1_000.0, 30.0))
    ctx.offset_s += 29.0
    assert not isinstance(due(ctx), TimeIsUp)
    ctx.offset_s += 2.0

    give(actor, ctx, *(word for word in (due(ctx), due(ctx)) if word is not None))

    assert len(stops(ctx)) == 1


@pytest.mark.parametrize(("restarted_after_s", "left_s"), [(20.0, 10.0), (29.9, 0.1), (31.0, 0.0)])
def test_a_restarted_recorder_has_only_the_rest_of_the_time_given_by_for(
    recorder: Callable[..., Recorder], ctx: WiredContext, restarted_after_s: float, left_s: float
) -> None:
    ctx.offset_s = restarted_after_s
    actor = recorder(ends=(1_000.0, 30.0))
    ctx.offset_s += left_s + 0.01
    give(actor, ctx, *(word for word in (due(ctx), due(ctx)) if word is not None))

    assert [word.reason for _, word in ctx.sent if isinstance(word, StopServer)] == ["ran for 30 s"]


def due(ctx: WiredContext) -> Message | None:
    return ctx.next(0.0)


def test_a_stop_from_outside_writes_the_newest_counts(
    recorder: Callable[..., Recorder], ctx: WiredContext, tmp_path: Path
) -> None:
    actor = recorder()
    give(actor, ctx, report())

    actor.terminate("asked")
    ctx.release()

    assert json.loads((tmp_path / "reports" / "report.json").read_text())["instruments"][0]["frames_in"] == 10


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(recorder: Callable[..., Recorder], wrong: float) -> None:
    with pytest.raises(ValueError, match="recorder ends"):
        recorder(ends=(1_000.0, wrong))


def test_the_last_known_basis_stays_when_the_recording_is_over_and_its_legs_are_stale() -> None:
    tally = Tally()
    for basis in (Value(value=-3.0, age_s=0.0), Stale(age_s=9.0)):
        tally.hear(
            CrossReading(base="BTC", basis_bps=basis, divergence_bps=basis, median_basis_bps=basis, samples=1), 1
        )
    assert tally.document(1.0)["divergence_bps"]["BTC"]["last_basis_bps"] == -3.0


def submitted(number: int) -> OrderSubmitted:
    intent = OrderIntent(
        intent_id=f"i{number}", account="main", strategy="momentum", venue="binanceusdm", symbol="BTC/USDT:USDT",
        side=Side.BUY, kind=OrderKind.MARKET, quantity=Decimal(1),
    )  # fmt: skip
    return OrderSubmitted(client_order_id=f"c{number}", intent=intent)


def filled(number: int) -> OrderFilled:
    return OrderFilled(
        client_order_id=f"c{number}", account="main", venue="binanceusdm", symbol="BTC/USDT:USDT",
        trade_id=f"t{number}", side=Side.BUY, quantity=Decimal(1), price=Decimal(1), fee=Decimal(0),
        fee_currency="USDT", at_ns=1,
    )  # fmt: skip


def test_a_restarted_recorder_counts_orders_fills_and_denials_from_the_record(tmp_path: Path) -> None:
    history = (submitted(1), filled(1), submitted(2), denied("DAY_LOSS"))
    none_former = FormerWords(started_ns=0, counts={})
    documents = []
    for past, present in ((history, ()), ((), history)):
        actor, ctx = Recorder(), WiredContext("recorder", (none_former, *past))
        start(actor, ctx, home=str(tmp_path), mode="sim")
        give(actor, ctx, *present)
        actor.terminate("asked")
        ctx.release()
        documents.append(json.loads((tmp_path / "reports" / "report.json").read_text()))
    assert (documents[0]["orders"], documents[0]["fills"], documents[0]["denials"]) == (2, 1, {"DAY_LOSS": 1})
    assert documents[0]["digest"] == documents[1]["digest"]


def test_the_digest_changes_with_the_order_of_decisions_and_the_books_digest_does_not() -> None:
    one, other = Tally(), Tally()
    for tally, numbers in ((one, (1, 2)), (other, (2, 1))):
        tally.hear(report(), 1)
        for number in numbers:
            tally.hear(submitted(number), 1)
    assert one.digest() != other.digest()
    assert one.books_digest() == other.books_digest()


@pytest.mark.parametrize(
    ("mode", "of_run_ns", "ends"), [("replay", 7, True), ("replay", 6, False), ("replay", 0, False), ("sim", 7, False)]
)
@pytest.mark.parametrize("recalled", [True, False])
def test_the_end_of_a_recording_ends_the_run_that_played_it_and_no_later_one_whatever_life_this_is(
    tmp_path: Path, mode: str, of_run_ns: int, ends: bool, recalled: bool
) -> None:
    """Incarnations go on over `qt up`: a sim run in a home where a replay had ended stopped after 5 s of silence."""
    end = finished(started_ns=of_run_ns)
    actor, ctx = Recorder(), WiredContext("recorder", (end,) if recalled else ())
    ctx.stopped_at, ctx.incarnation = 1_000.0, 2
    start(actor, ctx, home=str(tmp_path), mode=mode, started_ns=7)
    give(actor, ctx, report(), *(() if recalled else (end,)))
    after(actor, ctx, 1.0)
    after(actor, ctx, SETTLE_S)
    after(actor, ctx, QUIET_S)
    assert bool(stops(ctx)) is ends


def counts(actor: Recorder, ctx: WiredContext, home: Path) -> tuple[int, int, dict[str, int]]:
    actor.terminate("asked")
    ctx.release()
    said = json.loads((home / "reports" / "report.json").read_text())
    return said["orders"], said["fills"], said["denials"]


def test_the_report_counts_the_words_of_this_launch_alone_over_every_restart_of_the_recorder(tmp_path: Path) -> None:
    actor, ctx = Recorder(), WiredContext("recorder", (submitted(1), filled(1), denied("DAY_LOSS")))
    start(actor, ctx, home=str(tmp_path), mode="sim", started_ns=100)
    ctx.sent_ns = 99  # left over: nobody had handled it when the former run ended
    give(actor, ctx, submitted(2))
    ctx.sent_ns = 101
    give(actor, ctx, submitted(3), filled(3))
    assert counts(actor, ctx, tmp_path) == (1, 1, {})

    heard = (*ctx.history, submitted(2), submitted(3), filled(3))
    again, later = Recorder(), WiredContext("recorder", (*ctx.published, *heard))
    later.sent_ns = 102
    start(again, later, home=str(tmp_path), mode="sim", started_ns=100)
    give(again, later, denied("DATA_GAP"))
    assert counts(again, later, tmp_path) == (1, 1, {"DATA_GAP": 1})


def test_an_incomplete_recording_is_an_alert(recorder: Callable[..., Recorder], ctx: WiredContext) -> None:
    actor = recorder()
    give(actor, ctx, report(frames_in=3, events_out=3, conflated=0), finished())
    after(actor, ctx, 1.0)
    after(actor, ctx, QUIET_S)
    assert [alert.subject for alert in ctx.of(Alert)] == ["recorder replay"]


def test_a_report_that_cannot_be_written_is_an_alert_and_not_the_end(
    recorder: Callable[..., Recorder], ctx: WiredContext, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    actor = recorder(report=str(tmp_path / "taken" / "report.json"))
    after(actor, ctx, 5.0)
    word = due(ctx)
    while word is not None and not isinstance(word, WriteFailed):
        word = due(ctx)
    assert word is not None
    (alert,) = give(actor, ctx, word)
    assert isinstance(alert, Alert)
    assert "taken" in alert.text
    assert (tmp_path / "reports" / "report.json").exists()


def test_a_relative_report_is_refused(recorder: Callable[..., Recorder]) -> None:
    with pytest.raises(ValueError, match="is relative"):
        recorder(report="report.json")
