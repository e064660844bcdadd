"""The one door to ccxt: no localised instance can leave this machine, and its error table is the product's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from actors.venues import exchange
from actors.venues.exchange import BadVenue

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


def test_an_unknown_product_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadVenue, match="known are spot, usdm"):
        exchange.plain("options", URL, "k", "s")


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
