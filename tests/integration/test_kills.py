"""Kill -9 everything, one after the other, while money is at risk at a venue that judges from outside the tree.

Promise 1: a crash costs milliseconds and only its own part. Promise 5: nothing acknowledged is lost, nothing is done
twice. One house for the whole file, in the order of the tests: the books are compared at the end of all the killing.
"""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from supervisor.evidence import vitals
from supervisor.runtime.client import Heard
from tests.integration.house import House, Tail, Venue, alive, ask_venue, said, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

NODES_GONE_WITHIN_S = 1.0
ROOT_BACK_WITHIN_S = 10.0
# What a consumer hears of each child that says something of its own accord.
SPEAKS = {
    "ledger": "AccountState",
    "risk_brain": "RiskLimits",
    "ceo_brain": "TradingMode",
    "feed:binance": "Tick",
    "feed:binanceusdm": "Tick",
    "cross_exchange": "CrossReading",
    "ai_engine": "SignalCount",
}
# Below relies on above: these go down with it, and nobody else does.
FOLLOWERS = {
    "risk_gate:main": ("execution:main", "exit_brain:main"),
    "execution:main": ("exit_brain:main",),
    "ai_engine": ("strategy_brain",),
}
CHILDREN = (
    "ledger", "risk_gate:main", "execution:main", "exit_brain:main", "risk_brain", "ceo_brain", "feed:binance",
    "feed:binanceusdm", "cross_exchange", "ai_engine", "strategy_brain", "gateway", "alerts", "recorder",
)  # fmt: skip
ENDS = {"OrderCompleted", "OrderRejected", "OrderCancelled", "OrderExpired"}


class Trading:
    """A house that trades at an outside venue, and everything it says on the bus."""

    def __init__(self, house: House, venue: Venue) -> None:
        self.house, self.venue = house, venue
        self.heard: set[tuple[str, str, int]] = set()  # class, sender, incarnation
        self.account: dict[str, Any] = {}
        self.accounts = 0
        self.tail = Tail(house.home, [""], self._keep)

    def _keep(self, heard: Heard) -> None:
        self.heard.add((heard.body[0], heard.head["sender"], heard.head["incarnation"]))
        if heard.body[0] == "AccountState":
            self.account = said(heard.body)
            self.accounts += 1

    def truth(self) -> dict[str, Any]:
        return ask_venue(self.venue.url, "truth")

    def exposed(self) -> dict[str, Any] | None:
        """The venue's truth when a position stands there with its stop resting beside it."""
        truth = self.truth()
        stops = {o["symbol"] for o in truth["open_orders"] if o["type"] == "STOP_MARKET"}
        return truth if any(p["symbol"] in stops for p in truth["positions"]) else None

    def handled(self, name: str, incarnation: int) -> int:
        """Messages handled by this life of a child, by its own dials."""
        page = vitals.read(self.house.home / "vitals" / vitals.file_name(name))
        return sum(actor.handled for actor in page if actor.incarnation == incarnation)

    def serving(self, name: str, incarnation: int) -> Callable[[], bool]:
        """True once this life of the child does for others what it is there for."""
        if name in SPEAKS:
            return lambda: (SPEAKS[name], name, incarnation) in self.heard
        if name == "gateway":
            return self._answers
        if name == "execution:main":
            return lambda: ("Reconciled", name, incarnation) in self.heard
        before = self.handled(name, incarnation)
        return lambda: self.handled(name, incarnation) > before

    def _answers(self) -> bool:
        url = f"http://127.0.0.1:{self.house.launch()['http_port']}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return b"qt_" in answer.read()
        except OSError:
            return False

    def settled(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """An AccountState said while the venue's fills stood still, and that truth; `None` while they do not agree."""
        truth, count = self.truth(), self.accounts
        until(lambda: self.accounts >= count + 2, "the ledger speaks", 10, self.house.tell)
        account, again = self.account, self.truth()
        return (account, again) if len(truth["fills"]) == len(again["fills"]) == account["fills"] else None


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trading]:
    folder = tmp_path_factory.mktemp("kills")
    venue = Venue(folder / "venue")
    house = House(folder / "home")
    trading: Trading | None = None
    try:
        house.start("--venue-url", venue.url)
        house.wait_ready()
        trading = Trading(house, venue)
        house.until(trading.exposed, "a position with a resting stop", 90)
        yield trading
    finally:
        if trading is not None:
            trading.tail.close()
        try:
            house.close()
        finally:
            venue.close()


def test_a_killed_root_takes_every_node_with_it_even_a_stopped_one_and_is_back_while_the_stop_rests_at_the_venue(
    trading: Trading,
) -> None:
    house = trading.house
    children = house.wait_ready()
    nodes = [c["pid"] for c in children.values()] + list(house.zygotes().values())
    before, root, ess = house.incarnations(), house.held("root"), house.held("ess")
    os.kill(children["cross_exchange"]["pid"], signal.SIGSTOP)

    os.kill(root, signal.SIGKILL)

    house.until(lambda: not any(map(alive, nodes)), "every node is gone", NODES_GONE_WITHIN_S)
    back = house.until(lambda: house.held("root") not in (0, root) and house.held("root"), "a root", ROOT_BACK_WITHIN_S)
    assert back != root
    house.wait_ready()
    assert house.held("ess") == ess
    assert alive(ess)
    after = house.incarnations()
    assert all(after[name] > before[name] for name in before)  # fenced: nobody counts from one again
    for name in CHILDREN:
        house.until(trading.serving(name, house.incarnations()[name]), f"{name} serves again")
    same_books(trading)


@pytest.mark.parametrize("name", CHILDREN)
def test_a_killed_child_is_back_and_serving_and_only_its_followers_shared_its_fate(trading: Trading, name: str) -> None:
    house = trading.house
    house.wait_ready()
    before = house.incarnations()

    pid = house.kill(name)

    child = house.until(
        lambda: (c := house.child(name)) and c["incarnation"] > before[name] and c["ready"] and c, f"{name} is ready"
    )
    assert child["incarnation"] == before[name] + 1
    assert child["pid"] != pid
    house.until(trading.serving(name, child["incarnation"]), f"{name} serves its consumers")
    house.wait_ready()
    moved = {other for other, number in house.incarnations().items() if number != before[other]}
    assert moved == {name, *FOLLOWERS.get(name, ())}


@pytest.mark.parametrize("role", ["core", "model", "venue"])
def test_a_killed_zygote_costs_no_node_and_is_replaced(trading: Trading, role: str) -> None:
    house = trading.house
    house.wait_ready()
    before = {name: (c["pid"], c["incarnation"]) for name, c in house.children().items()}
    old = house.zygotes()[role]

    os.kill(old, signal.SIGKILL)

    house.until(lambda: house.zygotes().get(role) not in (None, 0, old), "a new zygote")
    assert {name: (c["pid"], c["incarnation"]) for name, c in house.children().items()} == before


def test_a_killed_emergency_stop_is_back_and_nobody_else_noticed(trading: Trading) -> None:
    house = trading.house
    before, root = house.incarnations(), house.held("root")
    old = house.kill("ess")
    house.until(lambda: house.held("ess") not in (0, old), "an emergency stop")
    assert (house.held("root"), house.incarnations()) == (root, before)


def test_a_killed_heart_leaves_the_root_at_work_and_another_heart_takes_over(trading: Trading) -> None:
    house = trading.house
    before, root, ess = house.incarnations(), house.held("root"), house.held("ess")
    old = house.kill("heart")
    house.until(lambda: house.held("heart") not in (0, old), "a heart")
    house.wait_ready()
    assert (house.held("root"), house.held("ess"), house.incarnations()) == (root, ess, before)

    house.kill("ess")  # and it is a whole one: it still mends what it adopted
    house.until(lambda: house.held("ess") not in (0, ess), "an emergency stop", 30)


def test_after_all_of_it_books_and_venue_agree_and_nothing_was_done_twice(trading: Trading) -> None:
    house = trading.house
    house.wait_ready()
    same_books(trading)
    truth = trading.truth()
    recorded = house.journal("execution:main")
    fills = [f["trade_id"] for kind, f in recorded if kind == "OrderFilled"]
    assert sorted(fills) == sorted(str(f["trade_id"]) for f in truth["fills"] if f["at_ms"] <= _last_fill(recorded))
    submitted = {o["client_order_id"]: o["intent"] for kind, o in recorded if kind == "OrderSubmitted"}
    for order in {f["client_id"] for f in truth["fills"]}:
        bought = sum(Decimal(f["quantity"]) for f in truth["fills"] if f["client_id"] == order)
        assert order in submitted, f"the venue filled {order}, which stands in no journal"
        assert bought <= Decimal(str(_quantity(submitted[order])))


def same_books(trading: Trading) -> None:
    """Positions, cash, equity and open orders of the house equal the venue's own record."""
    account, truth = trading.house.until(trading.settled, "the ledger knows every fill of the venue", 40)
    held = {f"{p[0]}:{p[1]}": Decimal(p[2]) for p in account["positions"] if Decimal(p[2])}
    assert held == {p["name"]: Decimal(p["quantity"]) for p in truth["positions"]}
    assert Decimal(account["cash"]) == Decimal(truth["wallet"]["USDT"])
    worth = (abs(Decimal(p["quantity"])) * Decimal(truth["marks"][p["name"]]) for p in truth["positions"])
    exposure = sum(worth, Decimal(0))
    assert abs(Decimal(account["equity"]) - Decimal(truth["equity"]["usdm"])) <= exposure / 200 + Decimal("0.01")

    def equal() -> bool:
        resting = {
            o["client_order_id"] for kind, o in trading.house.journal("execution:main") if kind == "OrderSubmitted"
        }
        ended = {o["client_order_id"] for kind, o in trading.house.journal("execution:main") if kind in ENDS}
        at_venue = {o["client_id"] for o in trading.truth()["open_orders"]}
        return resting - ended == at_venue

    trading.house.until(equal, "our open orders are the venue's", 20)


def _last_fill(recorded: list[tuple[str, dict[str, Any]]]) -> int:
    return max((f["at_ns"] // 1_000_000 for kind, f in recorded if kind == "OrderFilled"), default=0)


def _quantity(intent: list[Any]) -> Any:
    from actors.messages.orders import OrderIntent

    return dict(zip(OrderIntent.__struct_fields__, intent[1:] if intent[0] == "OrderIntent" else intent, strict=False))[
        "quantity"
    ]
