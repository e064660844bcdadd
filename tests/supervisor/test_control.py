"""The counter of a real root: whatever is asked, in whatever state its children are, an answer comes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from supervisor.runtime.client import Client, Unreachable
from tests.supervisor.toys import Deaf, House, Stuck, Worker, toy, tree

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("home")
    hanging = toy("hanging", Stuck, spec={"hang_after_s": 3600.0}, marker=str(folder / "marker"))
    built = House(folder, tree(toy("a", Worker), hanging, toy("deaf", Deaf, spec={"shutdown_s": 3600.0})))
    built.start("root")
    built.ready("a", "hanging", "deaf")
    built.until((folder / "marker").exists, "the hanging one hangs")
    yield built
    built.close()


class Visitor:
    """A raw DEALER, to ask what the polite client would not."""

    def __init__(self, home: House) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(f"ipc://{home.sockets}/control")

    def ask(self, packed: bytes) -> Any:
        self.socket.send(packed)
        return self.hear()

    def hear(self) -> Any:
        assert self.socket.poll(10_000), "no answer within 10 s"
        return msgpack.unpackb(self.socket.recv())

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.destroy(linger=0)


def test_the_status_has_every_promised_field(home: House) -> None:
    status = home.status()
    json.dumps(status)
    assert status["schema"] == 1
    promised = {"state", "mode", "pid", "uptime_s", "version", "config_digest", "zygotes", "heart_pid", "ess_pid"}
    assert promised <= status["server"].keys()
    assert [entry["path"] for entry in status["children"]] == ["house", "house/a", "house/hanging", "house/deaf"]
    fields = "path name kind state verdict cause reason incarnation pid age_s restarts next_retry_s mailbox rates"
    for entry in status["children"]:
        assert {*fields.split(), "cpu_ratio", "rss_mib", "pss_mib", "ready", "required"} <= entry.keys()
        assert entry["restarts"].keys() == {"window", "limit", "total"}
        assert entry["mailbox"].keys() == {"depth", "oldest_s"}
        assert entry["rates"].keys() == {"in", "out"}


def test_it_answers_at_once_although_one_child_hangs_and_one_will_not_end(home: House) -> None:
    assert home.client.ask("stop", name="deaf")["ok"]
    home.until(lambda: home.child("deaf")["state"] == "stopping", "it is told")
    took = []
    for _ in range(50):
        begun = time.monotonic()
        assert home.client.ask("status", 5.0)["server"]["state"] == "running"
        took.append(time.monotonic() - begun)
    assert sorted(took)[25] < 0.05  # the promise is 50 ms; the median leaves room for a busy machine


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (b"\xc1", "bad_request"),
        (b"", "bad_request"),
        (msgpack.packb([1, 2]), "bad_request"),
        (msgpack.packb({"verb": 7}), "bad_request"),
        (msgpack.packb({"verb": "sttus"}), "unknown_verb"),
        (msgpack.packb({"verb": "why", "name": "hangin"}), "not_found"),
        (msgpack.packb({"verb": "why"}), "not_found"),
        (msgpack.packb({"verb": "restart", "name": "hangin"}), "not_found"),
        (msgpack.packb({"verb": "stop", "name": {"x": [1]}}), "not_found"),
    ],
)
def test_a_bad_question_is_answered_with_a_code_and_a_sentence(home: House, question: bytes, code: str) -> None:
    with Visitor(home) as visitor:
        answer = visitor.ask(question)
    assert answer["ok"] is False
    assert answer["code"] == code
    assert len(answer["text"]) > 10


def test_a_wrong_name_is_answered_with_the_nearest_one(home: House) -> None:
    assert "did you mean hanging?" in home.client.ask("why", name="hangin")["text"]
    assert "hanging" in home.client.ask("restart", name="hangin")["text"]


def test_a_burst_of_questions_is_answered_to_the_last(home: House) -> None:
    with Visitor(home) as visitor:
        for _ in range(500):
            visitor.socket.send(msgpack.packb({"verb": "events", "after": 10**9}))
        assert all(visitor.hear()["events"] == [] for _ in range(500))


def test_events_are_numbered_and_asked_for_from_where_one_stopped(home: House) -> None:
    events = home.client.ask("events", after=0)["events"]
    assert [event["n"] for event in events] == sorted({event["n"] for event in events})
    middle = events[len(events) // 2]["n"]
    later = home.client.ask("events", after=middle)["events"]
    assert later[0]["n"] == middle + 1
    lines = (home.home / "logs" / "events.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["n"] == events[0]["n"]


def test_what_happens_is_published_to_any_plain_client(home: House) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    ear = context.socket(zmq.SUB)
    ear.connect(f"ipc://{home.sockets}/events")
    ear.set(zmq.SUBSCRIBE, b"supervision:")

    def restarted() -> Any:
        assert home.client.ask("restart", name="a")["ok"]
        return ear.poll(300) and ear.recv()  # the first orders may pass before the subscription has arrived

    frame = home.until(restarted, "an event is heard")
    context.destroy(linger=0)
    topic, _, packed = frame.partition(b"\0")
    assert topic == b"supervision:"
    assert {"n", "kind", "id", "path", "incarnation", "at", "sentence", "cause"} <= msgpack.unpackb(packed).keys()


def test_without_a_server_the_client_says_so(tmp_path: Path) -> None:
    client = Client(tmp_path)
    with pytest.raises(Unreachable, match="no server runs"):
        client.ask("status", 0.2)
    client.close()
