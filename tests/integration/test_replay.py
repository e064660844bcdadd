"""A recorded market through the whole server: exact books, exact counts, and every injected fault noticed."""

from __future__ import annotations

import gzip
import json
import os
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.house import House, Tail, said

pytestmark = [pytest.mark.process, pytest.mark.data, pytest.mark.timeout(200)]

SET = "binance_ws_20240808"
# The set's README: file, product, last update id of the snapshot, deltas applied, final best bid and ask.
KNOWN = {
    "binance:BTC/USDT": ("spot_btcusdt", 3449, 61685.99, 61686.00),
    "binance:ETH/USDT": ("spot_ethusdt", 3432, 2682.50, 2682.51),
    "binanceusdm:BTC/USDT:USDT": ("usdm_btcusdt", 6547, 61659.7, 61659.8),
    "binanceusdm:ETH/USDT:USDT": ("usdm_ethusdt", 6581, 2681.38, 2681.39),
}
BASIS = {"BTC": -3.88, "ETH": -4.42}
SPEED = os.environ.get("QT_CAMPAIGN_SPEED", "20")  # `make campaign-replay` says 3
WITHIN_S = 345 / float(SPEED) + 80

Data = Callable[[str], Path]


class Fold:
    """A book by Binance's rules and nothing of ours: the recording's snapshot, its deltas, a dict a side."""

    def __init__(self, path: Path) -> None:
        self.frames = 0  # depth and trade
        self.applied = 0
        self.sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
        self.last: int | None = None
        with gzip.open(path) as lines:
            self._fold(lines)

    def _fold(self, lines: Iterable[bytes]) -> None:
        buffered: list[dict[str, Any]] = []
        for line in lines:
            document = json.loads(line.partition(b" ")[2])
            if "lastUpdateId" in document:
                self.last = document["lastUpdateId"]
                self._store(document["bids"], document["asks"])
                for delta in buffered:
                    self._delta(delta)
                continue
            data = document["data"]
            self.frames += data.get("e") in ("depthUpdate", "trade")
            if data.get("e") == "depthUpdate":
                if self.last is None:
                    buffered.append(data)
                else:
                    self._delta(data)

    def _delta(self, delta: dict[str, Any]) -> None:
        first_after_snapshot = self.applied == 0
        assert self.last is not None
        if "pu" in delta:
            if delta["u"] < self.last:
                return
            follows = delta["U"] <= self.last <= delta["u"] if first_after_snapshot else delta["pu"] == self.last
        else:
            if delta["u"] <= self.last:
                return
            follows = delta["U"] <= self.last + 1 if first_after_snapshot else delta["U"] == self.last + 1
        assert follows, (self.last, delta["U"], delta["u"])
        self.applied += 1
        self.last = delta["u"]
        self._store(delta["b"], delta["a"])

    def _store(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for side, levels in zip(self.sides, (bids, asks), strict=True):
            for price, quantity in levels:
                if float(quantity):
                    side[float(price)] = float(quantity)
                else:
                    side.pop(float(price), None)

    def best(self, count: int) -> tuple[list[list[float]], list[list[float]]]:
        bids, asks = self.sides
        return (
            [[p, bids[p]] for p in sorted(bids, reverse=True)[:count]],
            [[p, asks[p]] for p in sorted(asks)[:count]],
        )


@pytest.fixture(scope="module")
def folds(shared_data: Data) -> dict[str, Fold]:
    folder = shared_data(SET)
    return {key: Fold(next(folder.glob(f"{known[0]}_*.gz"))) for key, known in KNOWN.items()}


def replayed(home: Path, *words: str, house_made: Callable[[House], None] = lambda _house: None) -> dict[str, Any]:
    """Run a replay to its own end; its report, with `instruments` by key, and what the house recorded."""
    house = House(home)
    report = home.parent / "report.json"
    try:
        house.start("--mode", "replay", "--report", str(report), *words)
        house_made(house)
        code = house.wait_end(WITHIN_S)
        assert code == 0, house.tell()
        document: dict[str, Any] = json.loads(report.read_text())
        document["by"] = {f"{i['venue']}:{i['symbol']}": i for i in document["instruments"]}
        document["house"] = house
        return document
    finally:
        house.close()


@pytest.fixture(scope="module")
def run(shared_data: Data, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("replay") / "home"
    return replayed(home, "--data", str(shared_data(SET)), "--speed", SPEED)


def test_the_whole_recording_arrives_and_the_server_ends_by_itself_in_order(run: dict[str, Any]) -> None:
    assert run["complete"] is True
    assert run["house"].popen.returncode == 0
    assert set(run["by"]) == set(KNOWN)


@pytest.mark.parametrize("key", KNOWN)
def test_the_final_books_equal_the_recorded_truth_level_by_level(
    run: dict[str, Any], folds: dict[str, Fold], key: str
) -> None:
    _, _, bid, ask = KNOWN[key]
    found = run["by"][key]
    assert (found["best_bid"], found["best_ask"]) == (bid, ask)
    assert (found["bids"], found["asks"]) == folds[key].best(20)
    assert found["book_seq"] == folds[key].last


@pytest.mark.parametrize("key", KNOWN)
def test_every_frame_is_accounted_for(run: dict[str, Any], folds: dict[str, Fold], key: str) -> None:
    found = run["by"][key]
    assert found["gaps"] == found["malformed"] == found["resyncs"] == 0
    assert found["frames_in"] == folds[key].frames
    assert found["frames_in"] == found["events_out"] + found["conflated"]
    assert (folds[key].applied, found["deltas_applied"]) == (KNOWN[key][1], KNOWN[key][1])


@pytest.mark.parametrize("base", BASIS)
def test_the_basis_is_the_known_one(run: dict[str, Any], base: str) -> None:
    found = run["divergence_bps"][base]
    assert abs(found["median_basis_bps"] - BASIS[base]) < 1.0, found
    assert found["samples"] > 500


def test_what_was_decided_stands_in_the_journals(run: dict[str, Any]) -> None:
    house: House = run["house"]
    signals = len(house.journal("ai_engine", "Signal"))
    assert run["signals"]["BUY"] + run["signals"]["SELL"] == signals
    assert len(house.journal("execution:main", "OrderSubmitted")) == run["orders"]
    assert len(house.journal("execution:main", "OrderFilled")) == run["fills"]


# --- faults ----------------------------------------------------------------------------------------------------------


class Ear:
    """Keeps what a crossed book and a denial look like, and every life a book says it leads."""

    def __init__(self) -> None:
        self.crossed: list[dict[str, Any]] = []
        self.statuses: list[tuple[str, str]] = []
        self.gaps: dict[str, int] = {}
        self.spreads: dict[str, list[float]] = {}

    def __call__(self, heard: Any) -> None:
        word = said(heard.body)
        key = f"{word['venue']}:{word['symbol']}"
        match heard.body[0]:
            case "Tick":
                self.spreads.setdefault(key, []).append(word["ask"] - word["bid"])
                if word["bid"] >= word["ask"]:
                    self.crossed.append(word)
            case "FeedReport":
                self.gaps[key] = max(self.gaps.get(key, 0), word["gaps"])
                if word["bids"] and word["asks"] and word["bids"][0][0] >= word["asks"][0][0]:
                    self.crossed.append(word)
            case "FeedState":
                self.statuses.append((key, word["status"]))


@pytest.fixture(scope="module")
def hurt(shared_data: Data, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("hurt") / "home"
    ear = Ear()
    tails: list[Tail] = []
    document = replayed(
        home, "--data", str(shared_data(SET)), "--speed", "20", "--faults", "gap:10,dup:200,garble:50", "--seed", "3",
        house_made=lambda house: tails.append(Tail(house.home, ["Tick:", "FeedReport:", "FeedState:"], ear)),
    )  # fmt: skip
    tails[0].close()
    document["ear"] = ear
    log = home / "venue" / "faults.jsonl"
    document["faults"] = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return document


def test_every_injected_fault_is_noticed(hurt: dict[str, Any]) -> None:
    """A lost or unreadable delta is one gap. A delta that is lost while the book is being fetched anew breaks a chain
    that is broken already, so neighbours may coalesce: never more than there are faults close behind one another.
    """
    assert hurt["injected"] == {"gap": 10, "dup": 200, "garble": 50}
    malformed = sum(i["malformed"] for i in hurt["instruments"])
    assert malformed == 50  # each one seen as what it is
    gaps = sum(i["gaps"] for i in hurt["instruments"])
    assert 60 - _close(hurt["faults"]) <= gaps
    assert sum(i["resyncs"] for i in hurt["instruments"]) >= 1


def _close(faults: list[dict[str, Any]]) -> int:
    """Lost deltas of one book that follow another of the same within 2 s of the recording (0.1 s of ours)."""
    last: dict[tuple[str, str], int] = {}
    close = 0
    for fault in faults:
        if fault["kind"] in ("gap", "garble"):
            key = (fault["product"], fault["symbol"])
            close += fault["event_ns"] - last.get(key, -(10**18)) < 2e9
            last[key] = fault["event_ns"]
    return close


@pytest.mark.parametrize("key", KNOWN)
def test_after_all_faults_the_books_equal_the_true_ones(hurt: dict[str, Any], folds: dict[str, Fold], key: str) -> None:
    found = hurt["by"][key]
    assert (found["best_bid"], found["best_ask"]) == KNOWN[key][2:]
    assert (found["bids"], found["asks"]) == folds[key].best(20)


def test_no_book_was_ever_published_crossed_while_faults_came(hurt: dict[str, Any]) -> None:
    ear: Ear = hurt["ear"]
    assert sum(map(len, ear.spreads.values())) > 1000
    assert ear.crossed == []
    assert {status for _, status in ear.statuses} & {"GAP", "SYNCING"}


# --- a recording with a hole -----------------------------------------------------------------------------------------


@pytest.fixture
def holed(shared_data: Data, tmp_path: Path) -> Path:
    """90 s of spot and USD-M BTC; 50 deltas are missing from the middle of spot."""
    folder = tmp_path / "holed"
    folder.mkdir()
    for name in ("spot_btcusdt", "usdm_btcusdt"):
        source = next(shared_data(SET).glob(f"{name}_*.gz"))
        begin, deltas = 0, 0
        with gzip.open(source) as lines, gzip.open(folder / source.name, "wb", compresslevel=1) as short:
            for line in lines:
                at = int(line.partition(b" ")[0])
                begin = begin or at
                if at - begin > 90e9:
                    break
                deltas += b"@depth" in line[:64]
                if name == "spot_btcusdt" and b"@depth" in line[:64] and 400 <= deltas < 450:
                    continue
                short.write(line)
    return folder


def test_a_recording_with_a_hole_is_said_to_have_one_and_never_shows_a_crossed_book(
    holed: Path, tmp_path: Path
) -> None:
    ear = Ear()
    tails: list[Tail] = []
    document = replayed(
        tmp_path / "home", "--data", str(holed), "--speed", "10",
        house_made=lambda house: tails.append(Tail(house.home, ["Tick:", "FeedReport:", "FeedState:"], ear)),
    )  # fmt: skip
    tails[0].close()
    spot, perpetual = document["by"]["binance:BTC/USDT"], document["by"]["binanceusdm:BTC/USDT:USDT"]
    assert spot["gaps"] >= 1
    lives = [status for key, status in ear.statuses if key == "binance:BTC/USDT"]
    assert "GAP" in lives[lives.index("LIVE") :]
    assert lives[-1] != "LIVE"  # the venue itself has no true book any more: no snapshot joins, and nobody pretends
    assert perpetual["gaps"] == 0
    assert ("binanceusdm:BTC/USDT:USDT", "GAP") not in ear.statuses
    assert statistics.fmean(ear.spreads["binance:BTC/USDT"]) > 0
    assert ear.crossed == []
