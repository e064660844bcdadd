"""The emergency stop while money is at risk: flat and locked, deaf to wishes, alive after kill -9, let go by a person.

One house, in the order of the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.latch import read_latch
from actors.messages.control import EssState
from tests.integration.house import PROJECT, House, Tail, ask_venue, environment, qt, said

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


class Risky:
    """A house that trades eagerly, and the last account it told of."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.account: dict[str, Any] = {}
        self.tail = Tail(house.home, ["AccountState:"], self._keep)

    def _keep(self, heard: Any) -> None:
        self.account = said(heard.body)

    def exposed(self) -> bool:
        truth = self.house.venue_truth()
        stops = {order["symbol"] for order in truth["open_orders"] if order["type"] == "STOP_MARKET"}
        return any(position["symbol"] in stops for position in truth["positions"])

    def flat(self) -> bool:
        truth = self.house.venue_truth()
        return not truth["positions"] and not truth["open_orders"]

    def books_are_the_venues(self) -> bool:
        truth, account = self.house.venue_truth(), self.account
        held = {f"{p[0]}:{p[1]}": Decimal(p[2]) for p in account["positions"] if Decimal(p[2])}
        positions = {p["name"]: Decimal(p["quantity"]) for p in truth["positions"]}
        return held == positions and Decimal(account["cash"]) == Decimal(truth["wallet"]["USDT"])


def eager(folder: Path) -> str:
    """The shipped configuration with the pauses between trades taken out."""
    folder.mkdir()
    for file in (PROJECT / "config").glob("*.yaml"):
        shutil.copy(file, folder)
    models = (folder / "models.yaml").read_text()
    assert "cooldown_s: 5.0" in models
    assert "cooldown_s: 20.0" in models
    (folder / "models.yaml").write_text(
        models.replace("cooldown_s: 5.0", "cooldown_s: 1.0").replace("cooldown_s: 20.0", "cooldown_s: 2.0")
    )
    return str(folder)


@pytest.fixture(scope="module")
def risky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Risky]:
    folder = tmp_path_factory.mktemp("ess")
    house = House(folder / "home")
    risky: Risky | None = None
    try:
        house.start("--config", eager(folder / "config"))
        house.wait_ready()
        risky = Risky(house)
        house.until(risky.exposed, "a position with a resting stop", 90)
        yield risky
    finally:
        if risky is not None:
            risky.tail.close()
        house.close()


def test_pulled_it_cancels_flattens_and_locks(risky: Risky) -> None:
    house = risky.house
    assert risky.exposed()
    before = house.incarnations()
    done = qt(house.home, "ess", "trigger", "--reason", "a test pulled it")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LOCKED" in done.stdout
    assert risky.flat()
    latch = read_latch(house.home)
    assert (latch.state, latch.reason) == (EssState.LOCKED, "a test pulled it")
    assert house.incarnations() == before  # it stops risk, not the house
    shown = qt(house.home, "ess", "status")
    assert shown.returncode == 3
    assert "a test pulled it" in shown.stdout
    assert "EMERGENCY STOP LOCKED: a test pulled it" in qt(house.home, "status").stdout


def test_while_it_is_locked_every_entry_is_denied_by_name_and_the_venue_stays_flat(risky: Risky) -> None:
    house = risky.house

    def denied() -> list[dict[str, Any]]:
        return [word for _, word in house.journal("risk_gate:main", "OrderDenied") if word["code"] == "ESS_ACTIVE"]

    house.until(denied, "an entry denied ESS_ACTIVE", 60)
    assert all(not word["reduce_only"] for word in denied())
    assert risky.flat()
    house.until(risky.books_are_the_venues, "the books know what the emergency stop did")


def test_only_a_person_with_a_reason_lets_go_and_then_it_trades_again(risky: Risky) -> None:
    home = risky.house.home
    assert qt(home, "ess", "reset", "--confirm", "RESET").returncode == 64
    assert qt(home, "ess", "reset", "--reason", "all is well").returncode == 64
    assert read_latch(home).state is EssState.LOCKED
    done = qt(home, "ess", "reset", "--reason", "all is well", "--confirm", "RESET")
    assert (done.returncode, read_latch(home).state) == (0, EssState.INACTIVE), done.stderr
    assert qt(home, "ess", "status").returncode == 0
    risky.house.until(risky.exposed, "a new position with a resting stop", 90)


def test_killed_in_the_middle_it_goes_on_where_it_was(risky: Risky) -> None:
    house = risky.house
    assert risky.exposed()
    url = house.launch()["venue_url"]
    ask_venue(url, "park", {"parked": True})  # now it can neither cancel nor see
    argv = [sys.executable, "-m", "ops.main", "ess", "trigger", "--reason", "the venue is away", "--timeout", "90s"]
    pulled = subprocess.Popen(
        argv, env=environment(house.home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        house.until(lambda: read_latch(house.home).state is EssState.CANCELLING, "it is at work")
        old = house.held("ess")
        os.kill(old, signal.SIGKILL)
        house.until(lambda: house.held("ess") not in (0, old), "somebody takes over")
        assert read_latch(house.home).state is EssState.CANCELLING  # nothing is claimed that was not seen
        ask_venue(url, "park", {"parked": False})
        out, _ = pulled.communicate(timeout=90)
    finally:
        pulled.kill()
        pulled.wait()
    assert pulled.returncode == 0, out
    assert risky.flat()
    assert read_latch(house.home).state is EssState.LOCKED
    house.until(lambda: house.status()["server"]["ess_pid"] == house.held("ess") != 0, "the heart has one of its own")
    house.until(risky.books_are_the_venues, "the books know what the emergency stop did", 60)
    reports = sorted((house.home / "reports").glob("ess-*.json"))
    assert len(reports) == 2
    assert json.loads(reports[-1].read_text())["reason"] == "the venue is away"
