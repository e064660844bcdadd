"""The one door to ccxt: no localised instance can leave this machine, and its error table is the product's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from actors.venues import account_port, exchange
from actors.venues.exchange import BadVenue
from config.secrets import SecretError
from supervisor.evidence import crash

URL = "http://127.0.0.1:18080"


@pytest.mark.parametrize("product", ["spot", "usdm"])
@pytest.mark.parametrize("build", [exchange.plain, exchange.signed])
def test_after_localisation_no_url_names_another_host(product: str, build: Any) -> None:
    instance = build(product, URL, "key", "secret")
    leaves = exchange.leaves(instance.urls)
    assert len(leaves) > 30
    assert {urlsplit(leaf).netloc for leaf in leaves} == {"127.0.0.1:18080"}
    assert {urlsplit(leaf).scheme for leaf in leaves} <= {"http", "ws"}


def test_without_a_url_the_instance_stays_the_production_one() -> None:
    assert "https://fapi.binance.com/fapi/v1" in exchange.leaves(exchange.plain("usdm", None, "k", "s").urls)


def test_the_old_host_stays_visible_for_the_heuristics_of_ccxt() -> None:
    spot, usdm = exchange.plain("spot", URL, "k", "s").urls, exchange.plain("usdm", URL, "k", "s").urls
    assert spot["api"]["public"] == "http://127.0.0.1:18080/api.binance.com/api/v3"
    assert usdm["api"]["fapiPublic"] == "http://127.0.0.1:18080/fapi.binance.com/fapi/v1"


def test_localising_twice_changes_nothing() -> None:
    instance = exchange.plain("usdm", URL, "k", "s")
    before = exchange.leaves(instance.urls)
    exchange.localise(instance, URL)
    assert exchange.leaves(instance.urls) == before


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1",
        "http://localhost:1",
        "http://127.0.0.1",
        "http://example.org:1",
        "http://127.0.0.1:1/x",
        "",
    ],
)
def test_a_local_venue_is_a_port_on_loopback_and_nothing_else(url: str) -> None:
    with pytest.raises(BadVenue, match=r"must read http://127\.0\.0\.1:PORT"):
        exchange.plain("usdm", url, "k", "s")


def test_an_unknown_product_is_refused_with_the_known_ones_and_its_child_is_parked_at_once() -> None:
    with pytest.raises(BadVenue, match="known are spot, usdm") as caught:
        exchange.plain("options", URL, "k", "s")
    assert not crash.record(caught.value, phase="init", roots=()).retryable


@pytest.mark.parametrize(
    ("product", "code", "name"),
    [("usdm", "-2019", "InsufficientFunds"), ("usdm", "-2022", "InvalidOrder"), ("usdm", "-4164", "InvalidOrder")],
)
def test_a_localised_instance_reads_the_error_codes_of_its_product(product: str, code: str, name: str) -> None:
    instance = exchange.plain(product, URL, "k", "s")
    assert name in {kind.__name__ for kind in instance.exceptions["exact"][code].__mro__}


def test_the_profile_never_repeats_an_order_by_itself() -> None:
    for product in ("spot", "usdm"):
        options = exchange.plain(product, URL, "k", "s").options
        assert options["maxRetriesOnFailure"] == 0
        assert options["fetchCurrencies"] is False
        assert options["fetchMarkets"]["types"] == (["spot"] if product == "spot" else ["linear"])


# --- the guard -------------------------------------------------------------------------------------------------------


class Told:
    """What the guard told, as lists."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.malformed: list[str] = []
        self.closed: list[str] = []

    def guard(self, instance: Any) -> exchange.Guard:
        return exchange.Guard(
            instance,
            seen=lambda _client, message: self.seen.append(message),
            malformed=lambda _client, why: self.malformed.append(why),
            closed=lambda _client, why: self.closed.append(why),
        )


def in_loop(work: Callable[[Any, Told, exchange.Guard], None]) -> Told:
    """Run `work` with a guarded instance inside a loop; ccxt needs one to make a client."""
    told = Told()

    async def inside() -> None:
        instance = exchange.stream("spot", URL)
        try:
            work(instance, told, told.guard(instance))
        finally:
            await exchange.quietly(instance.close(), 5.0)

    asyncio.run(inside())
    return told


@pytest.mark.parametrize(
    "frame", ['{"e":"depthUp', "garbage", "[", '{"e":"trade"}', '{"e":"depthUpdate","s":[]}', "[]"]
)
def test_no_frame_gets_past_the_guard_as_an_exception(frame: str) -> None:
    def work(instance: Any, _told: Told, _guard: exchange.Guard) -> None:
        instance.client("ws://127.0.0.1:18080/stream.binance.com:9443/ws/0").handle_text_or_binary_message(frame)

    told = in_loop(work)
    assert len(told.malformed) + len(told.seen) == 1


def test_a_good_frame_is_shown_after_ccxt_handled_it() -> None:
    def work(instance: Any, _told: Told, _guard: exchange.Guard) -> None:
        instance.client("ws://127.0.0.1:18080/x").handle_text_or_binary_message('{"result":null,"id":1}')

    assert in_loop(work).seen == [{"result": None, "id": 1}]


def test_the_second_line_resets_every_client_when_a_receive_loop_died_all_the_same() -> None:
    def work(instance: Any, _told: Told, guard: exchange.Guard) -> None:
        instance.client("ws://127.0.0.1:18080/x")
        assert not guard.unhandled({"message": "Task was destroyed but it is pending"})
        dead = "Exception in callback Client.receive_loop.<locals>.after_interrupt(<Task finished>)"
        assert guard.unhandled({"message": dead, "exception": ValueError("x")})
        assert instance.clients == {}

    told = in_loop(work)
    assert len(told.malformed) == 1
    assert told.closed == ["NetworkError: receive loop died on a malformed frame"]


def test_an_error_that_met_no_watcher_is_taken_once_and_does_not_poison_the_next_watch() -> None:
    def work(instance: Any, _told: Told, _guard: exchange.Guard) -> None:
        client = instance.client("ws://127.0.0.1:18080/x")
        client.reject(ValueError("old"), "orderbook::BTC/USDT")
        assert str(exchange.rejection(instance, "orderbook::BTC/USDT")) == "old"
        assert exchange.rejection(instance, "orderbook::BTC/USDT") is None

    in_loop(work)


def test_a_live_account_without_keys_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_MAIN_KEY", "QT_MAIN_SECRET", "QT_MAIN_KEY_FILE", "QT_MAIN_SECRET_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SecretError, match="QT_MAIN_KEY is not set"):
        account_port.open(lambda _message: None, account="main", product="usdm", symbols=())
