"""The emergency stop: the rule as tables, the latch as a file, and the program against a real venue through kill -9."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import ess
from actors.ess import EssRefused, read_latch, reset, run_foreground, trigger
from actors.latch import path_of, watch, write_latch
from actors.messages.control import EssState
from actors.rules.ess import FLAT_APART_S, Sight, next_step
from actors.venues.words import LatchSeen
from tests.actors.recorded import RecordedContext
from tests.actors.venue import Venue, venue

CLEAR = Sight(venue="v")
ORDERS = Sight(venue="v", orders=("BTC/USDT:USDT",))
HELD = Sight(venue="v", positions=(("BTC/USDT:USDT", Decimal("0.5")),))
BOTH = Sight(venue="v", orders=("BTC/USDT:USDT",), positions=(("BTC/USDT:USDT", Decimal("0.5")),))
AWAY = Sight(venue="v", problem="ExchangeNotAvailable")


@pytest.mark.parametrize(
    ("state", "sight", "becomes", "cancels", "flattens"),
    [
        (EssState.INACTIVE, BOTH, EssState.INACTIVE, False, False),
        (EssState.TRIGGERED, BOTH, EssState.CANCELLING, False, False),  # the latch first
        (EssState.CANCELLING, BOTH, EssState.CANCELLING, True, False),  # orders before positions
        (EssState.CANCELLING, ORDERS, EssState.CANCELLING, True, False),
        (EssState.CANCELLING, HELD, EssState.FLATTENING, False, True),
        (EssState.CANCELLING, CLEAR, EssState.FLATTENING, False, False),
        (EssState.CANCELLING, AWAY, EssState.CANCELLING, False, False),
        (EssState.FLATTENING, HELD, EssState.FLATTENING, False, True),
        (EssState.FLATTENING, ORDERS, EssState.CANCELLING, True, False),
        (EssState.FLATTENING, AWAY, EssState.FLATTENING, False, False),
        (EssState.FLATTENING, CLEAR, EssState.FLATTENING, False, False),  # flat once is not flat
        (EssState.LOCKED, CLEAR, EssState.LOCKED, False, False),
        (EssState.LOCKED, HELD, EssState.FLATTENING, False, True),  # an order that was in flight at the trigger
        (EssState.LOCKED, ORDERS, EssState.CANCELLING, True, False),
        (EssState.LOCKED, AWAY, EssState.LOCKED, False, False),
    ],
)
def test_each_state_and_sight_has_one_step(
    state: EssState, sight: Sight, becomes: EssState, cancels: bool, flattens: bool
) -> None:
    step = next_step(state, (sight,), None, 0, 100.0)
    assert (step.state, bool(step.cancel), bool(step.flatten)) == (becomes, cancels, flattens)


def test_locked_needs_two_flat_sights_apart() -> None:
    first = next_step(EssState.FLATTENING, (CLEAR,), None, 0, 100.0)
    early = next_step(EssState.FLATTENING, (CLEAR,), first.flat_at, 0, 100.0 + FLAT_APART_S / 2)
    late = next_step(EssState.FLATTENING, (CLEAR,), early.flat_at, 0, 100.0 + FLAT_APART_S)
    assert (first.state, early.state, late.state) == (EssState.FLATTENING, EssState.FLATTENING, EssState.LOCKED)


@given(
    st.sampled_from([EssState.TRIGGERED, EssState.CANCELLING, EssState.FLATTENING]),
    st.lists(st.sampled_from([CLEAR, ORDERS, HELD, BOTH, AWAY]), min_size=1, max_size=4),
    st.integers(0, 1000),
)
def test_it_never_locks_while_any_venue_is_unseen_or_not_clear(
    state: EssState, sights: list[Sight], failures: int
) -> None:
    step = next_step(state, tuple(sights), 0.0, failures, 1e6)
    assert step.state is not EssState.INACTIVE
    assert step.wait_s <= 5.0
    if any(sight.problem or sight.orders or sight.positions for sight in sights):
        assert step.state is not EssState.LOCKED


def test_without_any_venue_nothing_is_ever_verified() -> None:
    assert next_step(EssState.FLATTENING, (), 0.0, 0, 1e6).state is EssState.CANCELLING


# --- the latch -------------------------------------------------------------------------------------------------------


def test_the_first_trigger_counts_and_survives_as_a_file(tmp_path: Path) -> None:
    assert read_latch(tmp_path).state is EssState.INACTIVE
    trigger(tmp_path, "alice", "day loss")
    second = trigger(tmp_path, "bob", "another reason")
    assert (second.state, second.who, second.reason) == (EssState.TRIGGERED, "alice", "day loss")
    assert read_latch(tmp_path) == second
    assert path_of(tmp_path).stat().st_mode & 0o077 == 0


def test_a_second_trigger_waits_for_nobody(tmp_path: Path) -> None:
    """An emergency stop that was stopped while it wrote the latch holds the mutex."""
    trigger(tmp_path, "alice", "day loss")
    with (tmp_path / "state" / "ess.mutex").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        again = threading.Thread(target=trigger, args=(tmp_path, "bob", "another reason"), daemon=True)
        again.start()
        again.join(10.0)
        assert not again.is_alive()


@pytest.mark.parametrize("content", [b"", b"{", b'{"state":"HAPPY"}', b"\xff\xfe", b"[]"])
def test_a_latch_that_cannot_be_read_is_triggered(tmp_path: Path, content: bytes) -> None:
    path_of(tmp_path).parent.mkdir()
    path_of(tmp_path).write_bytes(content)
    latch = read_latch(tmp_path)
    assert latch.state is EssState.TRIGGERED
    assert "cannot be read" in latch.reason


def test_only_a_locked_stop_is_reset_and_only_by_somebody_with_a_reason(tmp_path: Path) -> None:
    trigger(tmp_path, "alice", "drill")
    with pytest.raises(EssRefused, match="is TRIGGERED"):
        reset(tmp_path, "alice", "changed my mind")
    locked = ess.Latch(state=EssState.LOCKED, reason="drill", who="alice")
    write_latch(tmp_path, locked)
    for who, reason in (("", "why"), ("alice", " ")):
        with pytest.raises(EssRefused, match="names who"):
            reset(tmp_path, who, reason)
    assert reset(tmp_path, "alice", "root cause 17").state is EssState.INACTIVE
    assert "root cause 17" in read_latch(tmp_path).reason


def test_the_executor_sees_the_latch_change_by_itself(tmp_path: Path) -> None:
    ctx = RecordedContext()
    port = watch(ctx.post, home=tmp_path)
    assert port.now.state is EssState.INACTIVE
    trigger(tmp_path, "alice", "drill")
    seen = ctx.next(10.0)
    port.close()
    assert isinstance(seen, LatchSeen)
    assert seen.state is EssState.TRIGGERED


# --- the program against a venue -------------------------------------------------------------------------------------


class Account:
    """A trader with one position, one resting order and one stop at a simulated venue."""

    def __init__(self, served: Venue) -> None:
        from actors.venues import exchange

        self.exchange = exchange.plain("usdm", served.url, "sim-key", "sim-secret")
        self.exchange.load_markets()
        price = served.price("usdm", "BTCUSDT")
        symbol = "BTC/USDT:USDT"
        self.exchange.create_order(symbol, "market", "buy", "0.500")
        self.exchange.create_order(symbol, "limit", "buy", "0.100", f"{price * 0.9:.1f}")
        stop = {"triggerPrice": f"{price * 0.8:.1f}", "reduceOnly": True}
        self.exchange.create_order(symbol, "market", "sell", "0.500", None, stop)
        assert self.open() == (2, Decimal("0.5"))

    def open(self) -> tuple[int, Decimal]:
        orders = self.exchange.fetch_open_orders() + self.exchange.fetch_open_orders(
            None, None, None, {"trigger": True}
        )
        held = [Decimal(str(row["info"]["positionAmt"])) for row in self.exchange.fetch_positions()]
        return len(orders), sum(held, Decimal(0))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Venue]:
    with venue(tmp_path / "venue") as running:
        yield running


def settings(home: Path, url: str) -> None:
    entry = {"id": "binanceusdm", "product": "usdm", "url": url, "key": "sim-key", "secret": "sim-secret"}
    (home / "run").mkdir(parents=True, exist_ok=True)
    (home / "run" / "ess_settings.json").write_text(json.dumps({"venues": [entry]}))


def until(question: Callable[[], Any], what: str, deadline_s: float = 30.0) -> None:
    end = time.monotonic() + deadline_s
    while not question():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)


def program(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "actors.ess", "--home", str(home)], start_new_session=True)


@pytest.mark.process
def test_a_trigger_cancels_everything_flattens_and_locks_through_kill_9_at_every_step(
    tmp_path: Path, served: Venue
) -> None:
    home = tmp_path / "home"
    settings(home, served.url)
    account = Account(served)
    killed: list[str] = []
    running = program(home)
    try:
        trigger(home, "test", "drill")
        end = time.monotonic() + 60
        while (latch := read_latch(home)).state is not EssState.LOCKED:
            assert time.monotonic() < end, f"stuck at {latch}"
            if latch.state not in killed and latch.state is not EssState.TRIGGERED:
                killed.append(latch.state)
                os.kill(running.pid, signal.SIGKILL)
                running.wait(10)
                running = program(home)
            time.sleep(0.005)
        assert EssState.FLATTENING in killed
        assert account.open() == (0, Decimal(0))
        assert read_latch(home).reason == "drill"
        assert list((home / "reports").glob("ess-*.json"))
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait(10)


@pytest.mark.process
def test_the_foreground_does_the_work_when_nobody_holds_the_lock_and_a_late_fill_is_flattened_again(
    tmp_path: Path, served: Venue
) -> None:
    home = tmp_path / "home"
    settings(home, served.url)
    account = Account(served)
    trigger(home, "test", "drill")
    assert run_foreground(home, timeout_s=60).state is EssState.LOCKED
    assert account.open() == (0, Decimal(0))
    account.exchange.create_order("BTC/USDT:USDT", "market", "buy", "0.100")  # it was in flight at the trigger
    running = program(home)
    try:
        until(lambda: account.open() == (0, Decimal(0)), "the late fill is flattened")
        until(lambda: read_latch(home).state is EssState.LOCKED, "locked again")
    finally:
        running.terminate()
        assert running.wait(10) == 0


@pytest.mark.process
def test_an_unreachable_venue_is_asked_for_ever_and_a_second_program_steps_back(tmp_path: Path, served: Venue) -> None:
    home = tmp_path / "home"
    account = Account(served)
    (home / "run").mkdir(parents=True)
    running = program(home)
    try:
        until(lambda: (home / "run" / "ess.lock").exists() and (home / "run" / "ess.lock").read_text().strip(), "lock")
        assert int((home / "run" / "ess.lock").read_text()) == running.pid
        assert program(home).wait(20) == 75
        trigger(home, "test", "drill")
        until(lambda: "ess_settings.json does not exist" in read_latch(home).note, "it says what it misses")
        settings(home, served.url)
        until(lambda: read_latch(home).state is EssState.LOCKED, "locked once the venue can be reached")
        assert account.open() == (0, Decimal(0))
    finally:
        running.terminate()
        assert running.wait(10) == 0


def holds(home: Path, pid: int) -> Callable[[], bool]:
    path = home / "run" / "ess.lock"
    return lambda: path.exists() and path.read_text().strip() == str(pid)


@pytest.mark.process
def test_an_emergency_stop_that_was_stopped_is_asked_to_go_on_and_does_the_work(
    tmp_path: Path, served: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    settings(home, served.url)
    account = Account(served)
    running = program(home)
    try:
        until(holds(home, running.pid), "lock")
        os.kill(running.pid, signal.SIGSTOP)
        trigger(home, "test", "drill")
        assert run_foreground(home, timeout_s=60).state is EssState.LOCKED
        assert account.open() == (0, Decimal(0))
        assert running.poll() is None, "it needed no ending"
        assert "asked to go on (SIGCONT)" in capsys.readouterr().out
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait(10)


HANGS = """
import sys, time
from pathlib import Path
from supervisor.runtime.locks import Lock
held = Lock(Path(sys.argv[1]) / "run" / "ess.lock")
time.sleep(600)
"""


@pytest.mark.process
def test_an_emergency_stop_that_hangs_is_ended_and_the_foreground_does_its_work(
    tmp_path: Path, served: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    """It held the lock, so the foreground only watched until its time was over, and nothing was flattened."""
    home = tmp_path / "home"
    settings(home, served.url)
    account = Account(served)
    hanging = subprocess.Popen([sys.executable, "-c", HANGS, str(home)], start_new_session=True)
    try:
        until(holds(home, hanging.pid), "lock")
        trigger(home, "test", "drill")
        began = time.monotonic()
        assert run_foreground(home, timeout_s=60).state is EssState.LOCKED
        assert time.monotonic() - began > 2 * ess.STUCK_S
        assert account.open() == (0, Decimal(0))
        assert hanging.wait(10) == -signal.SIGKILL
        said = capsys.readouterr().out
        steps = ("asked to go on (SIGCONT)", "ended (SIGKILL)", "working here, in the foreground")
        assert [said.count(step) for step in steps] == [1, 1, 1]
    finally:
        hanging.kill()
        hanging.wait(10)


@pytest.mark.process
def test_an_emergency_stop_that_waits_for_a_venue_it_cannot_reach_is_alive_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    running = program(home)
    try:
        until(holds(home, running.pid), "lock")
        trigger(home, "test", "drill")
        assert run_foreground(home, timeout_s=4 * ess.STUCK_S).state is not EssState.LOCKED
        assert holds(home, running.pid)()
        assert capsys.readouterr().out == ""
    finally:
        running.terminate()
        assert running.wait(10) == 0


def test_two_accounts_at_one_venue_are_both_stopped(tmp_path: Path) -> None:
    class Seen:
        def __init__(self, entry: dict[str, Any]) -> None:
            self.venue, self.key, self.held = entry["id"], entry["key"], Decimal(1)

        def look(self) -> Sight:
            held = ((("BTC/USDT:USDT", self.held),)) if self.held else ()
            return Sight(venue=self.venue, positions=held)

        def flatten(self, positions: tuple[tuple[str, Decimal], ...]) -> str:
            self.held -= positions[0][1]
            return ""

        def warm(self) -> None: ...

    made: list[Seen] = []

    def opened(entry: dict[str, Any], beat: Callable[[], None]) -> Seen:
        made.append(Seen(entry))
        return made[-1]

    (tmp_path / "run").mkdir()
    entries = [{"id": "binanceusdm", "key": "a"}, {"id": "binanceusdm", "key": "b"}]
    (tmp_path / "run" / "ess_settings.json").write_text(json.dumps({"venues": entries}))
    trigger(tmp_path, "test", "drill")
    assert run_foreground(tmp_path, timeout_s=30, venue=opened).state is EssState.LOCKED
    assert [(seen.key, seen.held) for seen in made] == [("a", Decimal(0)), ("b", Decimal(0))]


def test_the_emergency_stop_carries_no_library_it_does_not_need() -> None:
    heavy = ("numpy", "pydantic", "rich", "onnxruntime", "pykka", "zmq")
    script = f"import sys, actors.ess\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
