"""The gateway: what it counts, what it shows over real HTTP, and that unknown is never ready."""

from __future__ import annotations

import http.client
import json
import math
import socket
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.gateway import Gateway, PortBroken
from actors.messages.account import AccountState, Position
from actors.messages.market import FeedReport
from actors.messages.orders import OrderDenied, OrderFilled, OrderIntent, OrderKind, OrderSubmitted, Side
from actors.messages.signals import SignalCount
from actors.meter import Meter, Slots
from actors.rules import gateway as rules
from actors.rules.orders import Refused
from actors.rules.risk_gate import Code
from actors.venues.http_port import CannotListen, HttpPort, open
from actors.venues.words import PortFailed
from supervisor.message import Message
from supervisor.words import VerdictKind
from tests.ops.fake_root import TREE, FakeRoot, child, fake_root, status

INSTRUMENTS = [("binance", "BTC/USDT"), ("binanceusdm", "BTC/USDT:USDT")]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Room:
    """The little of a context that the gateway uses, and a port that only remembers."""

    def __init__(self, recorded: tuple[Message, ...] = ()) -> None:
        self.recorded = recorded
        self.marks: list[str] = []
        self.opened: dict[str, Any] = {}
        self.closed = False

    def recall(self, *kinds: type[Message]) -> Iterator[Message]:
        return (message for message in self.recorded if isinstance(message, kinds))

    def progress(self, mark: str) -> None:
        self.marks.append(mark)

    def post(self, message: Message) -> None: ...

    def port(self, post: Callable[[Message], None], **settings: Any) -> Room:
        self.opened = settings
        return self

    def close(self) -> None:
        self.closed = True


def gateway(*recorded: Message) -> tuple[Gateway, Room]:
    room = Room(recorded)
    actor = Gateway()
    actor.ctx = room  # type: ignore[assignment]
    actor.init(home="h", http_port=0, instruments=INSTRUMENTS, accounts=["main"], children=["feed"], port=room.port)
    return actor, room


def series(body: bytes) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def of(found: Series, name: str, **labels: str) -> float:
    return found[(name, frozenset(labels.items()))]


SUBMITTED = OrderSubmitted(
    client_order_id="c1",
    intent=OrderIntent(
        intent_id="i1", account="main", strategy="momentum", venue="binanceusdm", symbol="BTC/USDT:USDT",
        side=Side.BUY, kind=OrderKind.MARKET, quantity=Decimal("0.01"),
    ),
)  # fmt: skip
FILLED = OrderFilled(
    client_order_id="c1", account="main", venue="binanceusdm", symbol="BTC/USDT:USDT", trade_id="1", side=Side.BUY,
    quantity=Decimal("0.01"), price=Decimal(64000), fee=Decimal("0.1"), fee_currency="USDT", at_ns=1,
)  # fmt: skip
DENIED = OrderDenied(
    intent_id="i2",
    account="main",
    venue="binanceusdm",
    symbol="BTC/USDT:USDT",
    code="DATA_STALE",
    detail="",
    denied_ns=1,
)


def test_every_series_exists_before_the_first_event() -> None:
    found = series(Meter(Slots(INSTRUMENTS, ["main"]), ["feed"]).exposition(None, None))
    for venue, symbol in INSTRUMENTS:
        assert of(found, "qt_feed_frames_total", venue=venue, symbol=symbol) == 0
        assert of(found, "qt_signals_total", venue=venue, symbol=symbol, action="BUY") == 0
    for name in ("qt_orders_total", "qt_fills_total", "qt_orders_denied_total"):
        assert of(found, name, account="main") == 0
    for code in (*Code, *Refused):  # `increase(qt_denials_total[5m])` does not see a series' first step from nothing
        assert of(found, "qt_denials_total", account="main", code=str(code)) == 0
    assert of(found, "qt_child_up", child="feed") == 0
    assert of(found, "qt_child_restarts_total", child="feed") == 0
    assert sum(of(found, "qt_verdict", unit="feed", verdict=str(kind)) for kind in VerdictKind) == 0
    assert math.isnan(of(found, "qt_equity", account="main"))
    assert all(name.startswith("qt_") for name, _ in found)


def test_what_it_hears_is_what_it_shows() -> None:
    actor, room = gateway()
    actor.handle(
        FeedReport(
            venue="binance", symbol="BTC/USDT", frames_in=10, events_out=7, conflated=3, deltas_applied=6, gaps=1,
            resyncs=2, malformed=4, best_bid=1.0, best_ask=2.0, bids=(), asks=(), book_seq=9,
        )
    )  # fmt: skip
    actor.handle(
        SignalCount(venue="binance", symbol="BTC/USDT", buy=1, sell=2, hold=3, hold_reasons={}, inference_us=250.0)
    )
    position = Position(
        venue="binanceusdm", symbol="BTC/USDT:USDT", quantity=Decimal("-0.1"), entry_price=Decimal(1),
        realised=Decimal(0), fees=Decimal(0),
    )  # fmt: skip
    actor.handle(
        AccountState(
            account="main", version=1, positions=(position,), cash=Decimal(9900), equity=Decimal(9900),
            unrealised=Decimal(0), day_start_equity=Decimal(10000), unknown=(), fills=1, reconciled=True, at_ns=1,
        )
    )  # fmt: skip
    for message in (SUBMITTED, FILLED, DENIED, DENIED):
        actor.handle(message)
    found = series(Meter(actor.slots).exposition(TREE, 0.5))
    at = {"venue": "binance", "symbol": "BTC/USDT"}
    assert [of(found, f"qt_feed_{n}_total", **at) for n in ("frames", "events", "conflated", "gaps")] == [10, 7, 3, 1]
    assert of(found, "qt_signals_total", **at, action="SELL") == 2
    assert of(found, "qt_inference_seconds", **at) == pytest.approx(0.00025)
    assert of(found, "qt_equity", account="main") == 9900
    assert of(found, "qt_day_change_ratio", account="main") == pytest.approx(-0.01)
    assert of(found, "qt_positions", account="main") == 1
    assert of(found, "qt_orders_denied_total", account="main") == 2
    assert of(found, "qt_denials_total", account="main", code="DATA_STALE") == 2
    assert of(found, "qt_child_up", child="feed:binance") == 1
    assert of(found, "qt_child_restarts_total", child="cross_exchange") == 3
    assert of(found, "qt_verdict", unit="gateway", verdict="HEALTHY") == 1
    assert of(found, "qt_status_age_seconds") == 0.5
    assert room.marks[-1] == "OrderDenied"


def test_recorded_counts_survive_a_restart_of_the_gateway() -> None:
    actor, _ = gateway(SUBMITTED, FILLED, SUBMITTED)
    assert (actor.slots.orders[("main",)], actor.slots.fills[("main",)]) == (2, 1)


def test_unknown_equity_is_nan_and_never_the_last_number() -> None:
    actor, _ = gateway()
    known = AccountState(
        account="main", version=1, positions=(), cash=Decimal(1), equity=Decimal(1), unrealised=Decimal(0),
        day_start_equity=Decimal(1), unknown=(), fills=0, reconciled=True, at_ns=1,
    )  # fmt: skip
    actor.handle(known)
    actor.handle(AccountState(**{**{f: getattr(known, f) for f in known.__struct_fields__}, "equity": None}))
    found = series(Meter(actor.slots).exposition(None, None))
    assert math.isnan(of(found, "qt_equity", account="main"))
    assert math.isnan(of(found, "qt_day_change_ratio", account="main"))


def test_labels_are_bounded_and_the_refused_ones_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(INSTRUMENTS, [])
    monkeypatch.setattr("actors.meter.MOST_SERIES", 3)
    for n in range(5):
        slots.add(slots.denials, ("main", f"CODE{n}"))
    slots.add(slots.denials, ("main", "CODE0"))
    assert slots.denials == {("main", "CODE0"): 2, ("main", "CODE1"): 1, ("main", "CODE2"): 1}
    assert slots.dropped_series == 2


def test_a_broken_port_ends_the_gateway() -> None:
    actor, _ = gateway()
    with pytest.raises(PortBroken, match="loop ended"):
        actor.handle(PortFailed(text="loop ended"))


def test_asked_to_stop_it_closes_its_port() -> None:
    actor, room = gateway()
    actor.terminate("shutdown")
    assert room.closed


# ------------------------------------------------------------------ the rules


BROKEN = child("root/a", verdict="CRASH_LOOP", state="quarantined", ready=False, reason="KeyError")
SICK = child("root/b", verdict="CHECK_FAULT", reason="wrong port")


@pytest.mark.parametrize(
    ("given", "age_s", "word", "ready"),
    [
        (None, None, "UNKNOWN", False),
        (TREE, 60.0, "UNKNOWN", False),
        (TREE, 0.5, "HEALTHY", True),
        (status(SICK), 0.5, "DEGRADED", True),
        (status(BROKEN, SICK), 0.5, "DEGRADED", False),
        (status(BROKEN), 0.5, "DOWN", False),
        (status(), 0.5, "DOWN", False),
        (status(child("root/a", ready=False), state="starting"), 0.5, "STARTING", False),
        (status(child("root/a"), state="stopping"), 0.5, "STOPPING", True),
        (status(child("root/a", required=False, ready=False, verdict="STOPPED"), SICK), 0.5, "DEGRADED", True),
        (status(child("root/a", verdict=None)), 0.5, "DEGRADED", True),
    ],
)
def test_health_is_a_table(given: dict[str, Any] | None, age_s: float | None, word: str, ready: bool) -> None:
    health = rules.health(given, age_s)
    assert (health.word, health.ready) == (word, ready)


def test_the_worst_required_child_comes_first() -> None:
    optional = child("root/c", required=False, verdict="HUNG", ready=False)
    assert [trouble.name for trouble in rules.troubles(status(optional, SICK, BROKEN))] == ["a", "b", "c"]


# ------------------------------------------------------------------ the port, over real HTTP


@pytest.fixture
def port(tmp_path: Path) -> Iterator[HttpPort]:
    opened = open(
        lambda _: None, home=str(tmp_path), http_port=0, slots=Slots(INSTRUMENTS, ["main"]), poll_every_s=0.05
    )
    yield opened
    opened.close()


def get(port: HttpPort, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port.port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def eventually(ask: Callable[[], tuple[int, str]], code: int) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        found, body = ask()
        if found == code:
            document: dict[str, Any] = json.loads(body)
            return document
        assert time.monotonic() < deadline, (found, body)
        time.sleep(0.02)


def test_without_a_root_it_is_alive_and_not_ready_and_says_why(port: HttpPort) -> None:
    assert get(port, "/livez")[0] == 200
    assert eventually(lambda: get(port, "/health"), 503)["health"] == "UNKNOWN"
    code, body = get(port, "/readyz")
    assert code == 503
    assert json.loads(body)["reasons"]
    assert get(port, "/status.json")[0] == 503
    assert get(port, "/metrics")[0] == 200


def test_it_is_ready_when_the_tree_is_and_not_when_a_required_child_falls(port: HttpPort, tmp_path: Path) -> None:
    def falls(root: FakeRoot) -> None:
        root.answers["status"] = lambda _: status(BROKEN, SICK)

    with fake_root(tmp_path) as root:
        assert eventually(lambda: get(port, "/readyz"), 200) == {"schema": 1, "ready": True, "reasons": []}
        assert json.loads(get(port, "/status.json")[1])["children"] == TREE["children"]
        assert json.loads(get(port, "/health")[1])["verdicts"] == {"HEALTHY": 3}
        falls(root)
        reasons = eventually(lambda: get(port, "/readyz"), 503)["reasons"]
        assert reasons == ["a is CRASH_LOOP: KeyError", "b is CHECK_FAULT: wrong port"]
        assert of(series(get(port, "/metrics")[1].encode()), "qt_child_up", child="a") == 0


def test_a_silent_root_never_blocks_the_pages(port: HttpPort, tmp_path: Path) -> None:
    with fake_root(tmp_path) as root:
        eventually(lambda: get(port, "/readyz"), 200)
        root.answers["status"] = lambda _: None
        asked = len(root.asked)
        while len(root.asked) == asked:
            time.sleep(0.01)
        slowest = 0.0
        for _ in range(20):
            began = time.monotonic()
            assert get(port, "/livez")[0] == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 0.9, "a page waited for the root"


def test_a_taken_port_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{taken}: .*--http-port"):
            open(lambda _: None, home=str(tmp_path), http_port=taken, slots=Slots([], []))


def test_restarts_false_ones_and_checks_at_fault_are_counted_as_the_root_tells_it() -> None:
    counts = {
        "restarts": [["risk_brain", "livelock", 2]],
        "check_faults": [["risk_brain", "wrong port", 1], ["gone", "wrong port", 4]],
        "false_restarts": 1,
    }
    ill = {**child("risk_brain"), "verdict": "CHECK_FAULT", "cause": "wrong port"}
    told = {**status(ill), "server": {**status(ill)["server"], "counts": counts}}
    found = series(Meter(Slots(INSTRUMENTS, ["main"])).exposition(told, 0.1))
    unit = ("unit", "risk_brain")
    assert found[("qt_restarts_total", frozenset({unit, ("cause", "livelock")}))] == 2
    assert found[("qt_check_fault", frozenset({unit, ("reason", "wrong port")}))] == 1
    assert found[("qt_check_fault", frozenset({("unit", "gone"), ("reason", "wrong port")}))] == 0
    assert found[("qt_false_restarts_total", frozenset())] == 1
