"""The live view: what the board makes of frames, and that trouble and age are visible at every width."""

from __future__ import annotations

import io
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from actors.latch import Latch, write_latch
from actors.messages.account import AccountState, Position
from actors.messages.control import EssState
from actors.messages.market import CrossReading, FeedState, FeedStatus, Stale, Tick, Unavailable, Value
from actors.messages.orders import OrderDenied
from actors.messages.signals import Action, Hold, Signal
from config.launch import Launch
from config.settings import Settings
from ops.board import Board, reading
from ops.live import page, show
from ops.status import emergency
from ops.status import show as status_text
from supervisor.message import SCHEMA, Envelope, Message, Provenance, topic_of
from supervisor.runtime.client import Client, decode
from tests.ops.fake_root import child, fake_root, status

LAUNCH = Launch(settings=Settings(), home="/h", http_port=8000)
TICK = Tick(
    venue="binanceusdm", symbol="BTC/USDT:USDT", bid=64000.1, ask=64000.2, bid_size=1, ask_size=1, bid_depth=1,
    ask_depth=1, bought=0, sold=0, book_seq=1,
)  # fmt: skip
LIVE = FeedState(venue="binanceusdm", symbol="BTC/USDT:USDT", status=FeedStatus.LIVE, reason="", since_ns=0, age_s=0.0)
STATE = AccountState(
    account="main", version=1, cash=Decimal(10000), equity=Decimal("10012.5"), unrealised=Decimal(0),
    day_start_equity=Decimal(10000), unknown=(), fills=2, reconciled=True, at_ns=1,
    positions=(
        Position(
            venue="binanceusdm", symbol="BTC/USDT:USDT", quantity=Decimal("-0.015"), entry_price=Decimal("64010.5"),
            realised=Decimal("1.25"), fees=Decimal(0),
        ),
    ),
)  # fmt: skip
SIGNAL = Signal(
    signal_id="s", venue="binanceusdm", symbol="BTC/USDT:USDT", action=Action.SELL, p_up=0.2, p_flat=0.2, p_down=0.6,
    confidence=0.6, agreement=0.75, votes=(), reason="three of four", bid=1, ask=2, volatility=0.1, event_ns=1,
)  # fmt: skip
DENIED = OrderDenied(
    intent_id="i", account="main", venue="v", symbol="ETH/USDT:USDT", code="DATA_STALE", detail="4.1 s", denied_ns=1
)
SICK = child(
    "root/market/feed:binance",
    verdict="CRASH_LOOP",
    state="quarantined",
    ready=False,
    reason="KeyError in init",
)
CALM = child("root/watch/gateway")


def wire(message: Message) -> Any:
    """As it arrives: encoded by us, decoded by plain msgpack."""
    envelope = Envelope(SCHEMA, "x", 1, 1, 0, 0, Provenance.SYNTHETIC, "", "", message)
    heard = decode(topic_of(message).encode() + b"\0" + msgspec.msgpack.encode(envelope))
    assert heard is not None
    return heard


def board(*messages: Message, at: float = 100.0) -> Board:
    made = Board()
    for message in messages:
        made.absorb(wire(message), at)
    return made


def screen(
    made: Board,
    tree: dict[str, Any] | None,
    *,
    now: float = 100.5,
    width: int = 100,
    age_s: float = 0.2,
    height: int = 100,
) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False, no_color=True)
    console.print(page(tree, age_s, made, LAUNCH, now, width, height))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    return str(text)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_everything_a_person_needs_is_on_the_screen(width: int) -> None:
    made = board(TICK, LIVE, STATE, SIGNAL, DENIED)
    text = screen(made, status(SICK, CALM), width=width)
    for part in (
        "1/2 ready, 1 quarantined — DEGRADED",
        "http://127.0.0.1:8000",
        "CRASH_LOOP",
        "KeyError",
        "64,000.10",
        "LIVE",
        "equity 10,012.50",
        "day +12.50 (+0.125%)",
        "SELL 60%",
        "-0.015",
        "+0.16",  # 10.35 below the entry, short 0.015
        "three of four",
        "denied ETH/USDT:USDT: DATA_STALE 4.1 s",
    ):
        assert part in text, part


def test_on_a_low_screen_the_groups_go_first_and_trouble_stays() -> None:
    tree = status(child("root/a_group", kind="supervisor"), SICK, CALM)
    assert "a_group" in screen(board(STATE), tree)
    low = screen(board(STATE), tree, height=12)
    assert "a_group" not in low
    assert "! feed:binance is CRASH_LOOP: KeyError in init" in low


def test_an_emergency_stop_is_on_every_screen(tmp_path: Path) -> None:
    assert emergency(tmp_path) == ""
    write_latch(tmp_path, Latch(state=EssState.LOCKED, reason="day loss 1.2 %"))
    said = emergency(tmp_path)
    assert said == "EMERGENCY STOP LOCKED: day loss 1.2 %"
    console = Console(width=100, file=io.StringIO())
    console.print(page(status(CALM), 0.1, board(STATE), LAUNCH, 1.0, 100, 40, said))
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert said in status_text(status(CALM), "table", colour=False, width=None, stopped=said)


def test_a_quote_without_news_shows_its_age_and_a_silent_root_is_said() -> None:
    text = screen(board(TICK, LIVE), status(CALM), now=160.0, age_s=60.0)
    assert "1m00s" in text
    assert "STALE 1m00s: the root does not answer" in text


def test_an_orderly_end_is_no_trouble() -> None:
    stopped = child("root/a", ready=False, state="stopped", verdict="STOPPED", reason="stopped, as asked")
    text = screen(board(), status(stopped, state="stopping"))
    assert "STOPPING" in text
    assert "as asked" not in text


def test_a_position_without_a_mark_has_an_unknown_gain() -> None:
    made = board(STATE)
    assert [made.open_gain(row) for row in made.positions()] == [None]


def test_unknown_equity_says_which_mark_is_missing() -> None:
    fields = {name: getattr(STATE, name) for name in STATE.__struct_fields__}
    unknown = AccountState(**{**fields, "equity": None, "unknown": ("binanceusdm:ETH/USDT:USDT",)})
    assert "equity unknown (binanceusdm:ETH/USDT:USDT)" in screen(board(unknown), status(CALM))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(value=-3.88, age_s=0.1), "-3.9 bps"),
        (Stale(age_s=4.0), "stale 4.0s"),
        (Unavailable(reason="no spot book"), "none: no spot book"),
    ],
)
def test_a_reading_is_three_valued_on_the_screen_too(value: Any, text: str) -> None:
    made = board(
        CrossReading(base="BTC", basis_bps=value, divergence_bps=value, median_basis_bps=value, samples=1), TICK, LIVE
    )
    assert made.basis == {"BTC": text}
    assert text in screen(made, status(CALM), width=160)


def test_a_hold_replaces_the_opinion_but_is_no_signal() -> None:
    hold = Hold(venue="binanceusdm", symbol="BTC/USDT:USDT", reason="NO_QUORUM", p_up=0, p_flat=1, p_down=0, event_ns=1)
    made = board(SIGNAL, hold)
    assert made.quotes[("binanceusdm", "BTC/USDT:USDT")].opinion == "HOLD NO_QUORUM"
    assert len(made.signals) == 1


def test_frames_of_nobody_change_nothing() -> None:
    made = board(TICK)
    before = repr(made)
    made.absorb(wire(TICK)._replace(body=["Unheard", 1, 2]), 1.0)
    made.absorb(wire(TICK)._replace(body=[]), 1.0)
    assert repr(made) == before
    assert reading([], "bps") == "?"


def test_the_view_hears_and_asks_and_leaves_nothing_open(tmp_path: Path) -> None:
    with fake_root(tmp_path) as root:
        socket = root.publisher("feed:binanceusdm")
        client = Client(tmp_path)
        view = show(client, tmp_path, LAUNCH)
        deadline = time.monotonic() + 30
        next(view)
        while not any(question["verb"] == "status" for question in root.asked):
            socket.send(b"Tick:binanceusdm:\0nonsense")
            next(view)
            assert time.monotonic() < deadline
        view.close()
        client.close()


def test_colours_on_a_terminal_mark_what_is_not_calm() -> None:
    text = status_text(status(SICK, CALM), "table", colour=True, width=200)
    assert "\x1b[31mCRASH_LOOP\x1b[0m" in text
    assert "\x1b[32mHEALTHY" in text
