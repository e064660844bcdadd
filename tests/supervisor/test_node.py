"""Nodes as real processes: nothing acknowledged is lost, nothing is done twice, and every end has a reason."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.evidence import vitals
from supervisor.plan import Route
from supervisor.runtime import link
from supervisor.runtime.codec import Decoder
from supervisor.runtime.journal import JournalReader, file_name
from supervisor.spec import Dependency
from tests.supervisor.harness import Node, endpoint, short_home
from tests.supervisor.toy_actors import Fact, Heard

TOYS = "tests.supervisor.toy_actors"
pytestmark = pytest.mark.process


@pytest.fixture
def home() -> Iterator[Path]:
    path = short_home()
    yield path
    shutil.rmtree(path)


def hears(home: Path, sender: str) -> tuple[Route, ...]:
    return (Route(sender=sender, endpoint=endpoint(home, sender), topics=("Fact",)),)


def heard(home: Path) -> list[Heard]:
    reader = JournalReader(home / "journal" / file_name("hearer"))
    decoder = Decoder((Fact, Heard))
    return [decoder.decode(said.frame).body for said in reader.since("Heard", 0)]


def wait_until_heard(home: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(heard(home)) < count:
        assert time.monotonic() < deadline, f"only {len(heard(home))} of {count} heard"
        time.sleep(0.01)


def stop(*nodes: Node) -> None:
    for node in nodes:
        node.tell(link.StopNode(reason="test over"))
        assert node.end() == 0


def test_a_node_says_hello_then_ready_and_ends_when_asked(home: Path) -> None:
    node = Node(home, "teller", f"{TOYS}:Teller", count=3)

    node.expect(link.Hello)
    node.expect(link.NodeReady)
    node.tell(link.Ping(n=7))

    assert node.expect(link.Pong) == link.Pong(n=7)
    stop(node)


def test_a_node_that_was_given_up_before_its_birth_never_acts(home: Path) -> None:
    node = Node(home, "teller", f"{TOYS}:Teller", given_up=True, count=3)

    assert node.end() == 1
    assert not (home / "vitals").exists()
    assert not (home / "journal").exists()


def test_every_fact_arrives_once_and_in_order_though_the_hearer_comes_late(home: Path) -> None:
    teller = Node(home, "teller", f"{TOYS}:Teller", count=300, pause_s=0.0)
    teller.expect(link.NodeReady)
    hearer = Node(home, "hearer", f"{TOYS}:Hearer", routes=hears(home, "teller"))

    wait_until_heard(home, 300)

    assert [h.n for h in heard(home)] == list(range(1, 301))
    stop(hearer, teller)


def test_a_hearer_killed_in_the_middle_comes_back_and_does_nothing_twice(home: Path) -> None:
    teller = Node(home, "teller", f"{TOYS}:Teller", count=400)
    first = Node(home, "hearer", f"{TOYS}:Hearer", routes=hears(home, "teller"))
    wait_until_heard(home, 50)

    os.kill(first.pid, signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    second = Node(home, "hearer", f"{TOYS}:Hearer", incarnation=2, routes=hears(home, "teller"))
    wait_until_heard(home, 400)

    assert [h.n for h in heard(home)] == list(range(1, 401))
    assert {h.life for h in heard(home)} == {1, 2}
    stop(second, teller)


def test_a_teller_killed_in_the_middle_goes_on_where_it_stopped(home: Path) -> None:
    first = Node(home, "teller", f"{TOYS}:Teller", count=400)
    hearer = Node(home, "hearer", f"{TOYS}:Hearer", routes=hears(home, "teller"))
    wait_until_heard(home, 50)

    os.kill(first.pid, signal.SIGKILL)
    first.end()
    second = Node(home, "teller", f"{TOYS}:Teller", incarnation=2, count=400)
    wait_until_heard(home, 400)

    assert [h.n for h in heard(home)] == list(range(1, 401))
    stop(hearer, second)


def test_an_exception_in_a_handler_leaves_last_words_and_only_its_own_message_undone(home: Path) -> None:
    teller = Node(home, "teller", f"{TOYS}:Teller", count=20)
    first = Node(home, "hearer", f"{TOYS}:Hearer", routes=hears(home, "teller"), dies_at=10)

    words = first.expect(link.NodeCrashed)

    assert isinstance(words, link.NodeCrashed)
    assert words.record.exceptions[0] == "ValueError"
    assert (words.record.in_hand, words.record.in_hand_id) == ("Fact", "teller:Fact:10")
    assert words.record.location.endswith(".py:" + words.record.location.rpartition(":")[2])
    assert first.end() == 1
    assert [h.n for h in heard(home)] == list(range(1, 10))
    second = Node(home, "hearer", f"{TOYS}:Hearer", incarnation=2, routes=hears(home, "teller"), dies_at=10)
    wait_until_heard(home, 20)
    assert [h.n for h in heard(home)] == list(range(1, 21))
    stop(second, teller)


def test_a_failing_start_says_where(home: Path) -> None:
    node = Node(home, "bridge", f"{TOYS}:BrokenAtStart")

    words = node.expect(link.NodeCrashed)

    assert isinstance(words, link.NodeCrashed)
    assert words.record.phase == "init"
    assert words.record.exceptions[0] == "AttributeError"
    assert words.record.frame.endswith("toy_actors:BrokenAtStart.init")
    assert node.end() == 1


def test_system_exit_in_an_actor_is_a_crash_with_last_words(home: Path) -> None:
    node = Node(home, "quitter", f"{TOYS}:ExitsTheInterpreter")

    words = node.expect(link.NodeCrashed)

    assert isinstance(words, link.NodeCrashed)
    assert words.record.exceptions[0] == "SystemExit"
    assert node.end() == 1


def test_a_hung_actor_does_not_stop_its_node_from_answering_and_the_dials_show_it(home: Path) -> None:
    node = Node(home, "sleeper", f"{TOYS}:Sleeper")
    node.expect(link.NodeReady)
    reader = vitals.Reader(home / "vitals" / vitals.file_name("sleeper"))
    deadline = time.monotonic() + 10
    while not (readings := reader.read(1)) or not readings[0].in_hand_since_ns:
        assert time.monotonic() < deadline
        time.sleep(0.005)

    node.tell(link.Ping(n=1))

    node.expect(link.Pong)
    os.kill(node.pid, signal.SIGKILL)
    node.end()


def test_a_second_node_of_one_name_refuses_to_act(home: Path) -> None:
    first = Node(home, "teller", f"{TOYS}:Teller", count=1)
    first.expect(link.NodeReady)

    second = Node(home, "teller", f"{TOYS}:Teller", incarnation=2, count=1)
    words = second.expect(link.NodeCrashed)

    assert isinstance(words, link.NodeCrashed)
    assert words.record.exceptions[0] == "Held"
    assert second.end() == 1
    stop(first)


def test_a_canary_is_answered_by_its_actor_and_neither_its_error_nor_its_effect_counts(home: Path) -> None:
    node = Node(home, "frank", f"{TOYS}:Frank", depends=(Dependency(name="venue"),))
    node.expect(link.NodeReady)

    def ask(name: str, n: int) -> link.Word:
        node.tell(link.AskCanary(actor="frank", name=name, n=n))
        return node.expect(link.CanaryAnswered)

    def answered(name: str, n: int, answer: str, error: str = "") -> link.Word:
        return link.CanaryAnswered(actor="frank", name=name, n=n, answer=answer, error=error)

    assert ask("sum", 1) == answered("sum", 1, "4")
    assert ask("raises", 2) == answered("raises", 2, "", "ValueError: not today")
    assert ask("effect", 3) == answered("effect", 3, "published")
    assert ask("unknown", 4) == answered("unknown", 4, "", "NotImplementedError: Frank has no canary 'unknown'")
    reader = vitals.Reader(home / "vitals" / vitals.file_name("frank"))
    [dials] = reader.read(1)
    [venue] = reader.dependencies()
    stop(node)
    assert not JournalReader(home / "journal" / file_name("frank")).topics()
    assert (dials.handled, dials.lease_why) == (0, "counts to a million")
    assert (venue.failed, venue.error) == (1, "upstream")
    assert "'nobody', which its spec does not name" in (home / "logs" / "frank.jsonl").read_text()


def test_a_process_that_dies_without_last_words_leaves_the_name_of_the_message_that_was_in_hand(home: Path) -> None:
    teller = Node(home, "teller", f"{TOYS}:Teller", count=3)
    hearer = Node(home, "hearer", f"{TOYS}:Hearer", routes=hears(home, "teller"), exits_at=2)

    assert hearer.end() == 7

    [dials] = vitals.read(home / "vitals" / vitals.file_name("hearer"))
    assert dials.in_hand == "teller:Fact:2"
    stop(teller)
