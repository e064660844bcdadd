"""The verbs against a root that speaks the protocol: what they print, what they refuse, and their exit codes."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.messages.market import Tick
from ops import main
from supervisor.message import SCHEMA, Envelope, Provenance, topic_of
from tests.ops.fake_root import TREE, FakeRoot, child, fake_root, status

Qt = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def root(home: Path) -> Iterator[FakeRoot]:
    with fake_root(home) as fake:
        yield fake


@pytest.fixture
def qt(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Qt:
    """`qt("status")` runs the verb in this process and returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("QT_HOME", str(home))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["qt", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_status_of_a_healthy_server_is_0_and_shows_the_tree_indented(qt: Qt, root: FakeRoot) -> None:
    code, out, _ = qt("status")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "3/3 ready — HEALTHY, sim mode, up 3m20s"
    assert lines[1].split() == ["NAME", "STATE", "VERDICT", "READY", "RESTARTS", "AGE", "MAILBOX", "REASON"]
    assert lines[2].startswith("market ")
    assert lines[3].startswith("  feed:binance ")
    assert "3 (1/5)" in lines[4]
    assert "\x1b" not in out


def test_status_with_a_required_child_down_is_3_and_says_why(qt: Qt, root: FakeRoot) -> None:
    parked = child(
        "root/market/feed:binance",
        state="quarantined",
        verdict="CRASH_LOOP",
        ready=False,
        reason="AttributeError in init (bridge.py:41), 3 starts without useful work",
        next_retry_s=8.0,
    )
    root.answers["status"] = lambda _: status(parked, child("root/watch/gateway"))
    code, out, _ = qt("status")
    assert code == 3
    assert out.splitlines()[0] == "1/2 ready, 1 quarantined — DEGRADED, sim mode, up 3m20s"
    assert "AttributeError in init (bridge.py:41), 3 starts without useful work; retry in 8s" in out


def test_status_json_is_the_servers_own_document(qt: Qt, root: FakeRoot) -> None:
    code, out, _ = qt("status", "-o", "json")
    assert (code, json.loads(out)) == (0, TREE)


@pytest.mark.parametrize(("name", "code"), [("feed:binance", 0), ("market", 0), ("root/market", 0), ("feed:binanc", 4)])
def test_status_of_one_name_is_about_that_child_and_what_is_below_it(
    qt: Qt, root: FakeRoot, name: str, code: int
) -> None:
    found, out, err = qt("status", name)
    assert found == code
    assert "gateway" not in out
    assert code == 0 or err == "qt: no child is called 'feed:binanc'; did you mean feed:binance?\n"


def test_an_optional_child_that_is_down_does_not_change_the_exit_code(qt: Qt, root: FakeRoot) -> None:
    down = child("root/watch/gateway", required=False, ready=False, state="stopped", verdict="STOPPED")
    root.answers["status"] = lambda _: status(child("root/market/feed"), down)
    code, out, _ = qt("status")
    assert (code, out.splitlines()[0]) == (0, "1/2 ready, 1 stopped — DEGRADED, sim mode, up 3m20s")


@pytest.mark.parametrize("words", [("status",), ("why", "feed"), ("stop", "feed"), ("events",), ("tail",)])
def test_without_a_server_every_verb_says_so_in_one_sentence_with_3(qt: Qt, home: Path, words: tuple[str, ...]) -> None:
    code, out, err = qt(*words)
    assert (code, out) == (3, "")
    assert err == f"qt: no server runs in {home}; start one with qt up\n"


def test_a_dead_servers_socket_file_is_no_server(qt: Qt, home: Path) -> None:
    with fake_root(home) as fake:
        pass
    fake.folder.mkdir()
    (fake.folder / "control").touch()
    code, _, err = qt("status")
    shutil.rmtree(fake.folder)
    assert code == 3
    assert "no server runs" in err


def test_a_wedged_root_is_4_within_the_deadline(qt: Qt, root: FakeRoot) -> None:
    root.answers["status"] = lambda _: None
    began = time.monotonic()
    code, _, err = qt("status")
    assert code == 4
    assert "did not answer status within 2 s" in err
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "release"])
def test_an_order_prints_the_acknowledgement(qt: Qt, root: FakeRoot, verb: str) -> None:
    root.answers[verb] = lambda question: {"ok": True, "code": "ok", "text": f"{question['name']}: {verb} acknowledged"}
    assert qt(verb, "feed:binance")[:2] == (0, f"feed:binance: {verb} acknowledged\n")
    assert root.asked[-1] == {"verb": verb, "name": "feed:binance"}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"ok": False, "code": "not_found", "text": "no child feeed; did you mean feed?"}, 4),
        ({"ok": False, "code": "refused", "text": "feed is not quarantined"}, 1),
        ({"schema": 1}, 1),
    ],
)
def test_an_order_that_was_not_acknowledged_was_not_given(
    qt: Qt, root: FakeRoot, answer: dict[str, Any], code: int
) -> None:
    root.answers["release"] = lambda _: answer
    found, out, err = qt("release", "feed")
    assert (found, out) == (code, "")
    assert str(answer.get("text", "did not acknowledge")) in err


def test_wait_returns_when_the_last_required_child_is_ready(qt: Qt, root: FakeRoot) -> None:
    booting = status(child("root/a", ready=False, state="starting", verdict="STARTING"), state="starting")
    root.answers["status"] = lambda _: TREE if len(root.asked) > 3 else booting
    code, out, _ = qt("wait", "--for", "ready", "--timeout", "20s")
    assert (code, len(root.asked)) == (0, 4)
    assert "HEALTHY" in out


def test_wait_names_who_is_missing_at_the_deadline(qt: Qt, root: FakeRoot) -> None:
    slow = child("root/a", ready=False, state="running", verdict="STARTING", reason="reconciling")
    root.answers["status"] = lambda _: status(slow)
    code, _, err = qt("wait", "--timeout", "0.3s")
    assert (code, err) == (3, "qt: not ready after 0.3 s: a is running (reconciling)\n")


def test_wait_for_a_name_that_no_child_has_does_not_wait(qt: Qt, root: FakeRoot) -> None:
    began = time.monotonic()
    code, _, err = qt("wait", "feed:binanc", "--timeout", "20s")
    assert (code, err) == (4, "qt: no child is called 'feed:binanc'; did you mean feed:binance?\n")
    assert time.monotonic() - began < 10
    assert len(root.asked) == 1


def test_down_waits_until_the_lock_is_free(qt: Qt, root: FakeRoot) -> None:
    def end(_: dict[str, Any]) -> dict[str, Any]:
        threading.Timer(0.2, root.close).start()
        return {"ok": True, "code": "ok", "text": "ending"}

    root.answers["down"] = end
    assert qt("down")[:2] == (0, "down, in order\n")
    assert qt("down")[0] == 0


def test_why_prints_evidence_actions_and_the_traceback(qt: Qt, root: FakeRoot) -> None:
    root.answers["why"] = lambda question: {
        "schema": 1,
        "name": question["name"],
        "verdict": {
            "kind": "CHECK_FAULT",
            "cause": "wrong_port",
            "reason": "the HTTP check asks port 8001, the service listens on 8000",
            "evidence_for": ["the process answers its mailbox in 2 ms"],
            "evidence_against": ["GET http://127.0.0.1:8001/ was refused 12 times"],
            "since": 100.0,
            "action": "",
            "withheld": "restart: a red light is not a verdict",
            "next_review": 2.0,
        },
        "last_exit": {"kind": "crashed", "crash": {"exceptions": ["KeyError"], "traceback": "Traceback\n  line 1"}},
    }
    code, out, _ = qt("why", "gateway")
    assert code == 0
    for line in (
        "gateway: CHECK_FAULT (wrong_port)",
        "  - the process answers its mailbox in 2 ms",
        "  - GET http://127.0.0.1:8001/ was refused 12 times",
        "withheld:  restart: a red light is not a verdict",
        "next look: in 2s",
        "  | Traceback",
    ):
        assert line in out.splitlines()


def test_events_follow_asks_only_for_what_came_after(qt: Qt, root: FakeRoot) -> None:
    record = {
        "n": 7,
        "kind": "restarting",
        "id": "feed:binance",
        "at": 1e9,
        "sentence": "feed:binance will be restarted",
    }
    root.answers["events"] = lambda question: {"schema": 1, "events": [record] if question["after"] < 7 else []}
    code, out, _ = qt("events", "--after", "3")
    assert code == 0
    assert out.rstrip().endswith("restarting     feed:binance       feed:binance will be restarted")
    assert root.asked[-1] == {"verb": "events", "after": 3}


def tick(seq: int, symbol: str = "BTC/USDT") -> bytes:
    body = Tick(
        venue="binance", symbol=symbol, bid=1.5, ask=1.6, bid_size=1, ask_size=1, bid_depth=1, ask_depth=1, bought=0,
        sold=0, book_seq=seq,
    )  # fmt: skip
    envelope = Envelope(SCHEMA, "feed:binance", 1, seq, 0, time.time_ns(), Provenance.SYNTHETIC, "t", "", body)
    return topic_of(body).encode() + b"\0" + msgspec.msgpack.encode(envelope)


def test_tail_reads_the_wire_without_our_types_and_notices_gaps(qt: Qt, root: FakeRoot) -> None:
    socket = root.publisher("feed:binance")
    over = threading.Event()

    def speak() -> None:
        seq = 0
        while not over.wait(0.01):
            seq += 1
            if seq % 10 == 0:
                continue  # lost on the way
            socket.send(b"Tick:\0garbage" if seq % 10 == 5 else tick(seq))

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        code, out, err = qt("tail", "Tick", "-n", "30", "-o", "json")
    finally:
        over.set()
        speaker.join()
    documents = [json.loads(line) for line in out.splitlines()]
    assert (code, len(documents)) == (0, 30)
    assert all(d["topic"] == "Tick:binance:BTC/USDT" and d["schema"] == 1 and d["body"][0] == "Tick" for d in documents)
    assert "1 Tick frames were dropped on the way here" in err
    assert "frames could not be read" in err


def test_a_pipe_gets_no_colours_and_nothing_cut(qt: Qt, root: FakeRoot) -> None:
    long = "because " * 60
    root.answers["status"] = lambda _: status(child("root/a", verdict="HUNG", reason=long))
    _, out, _ = qt("status", "-o", "wide")
    assert long.strip() in out
    assert "\x1b" not in out
