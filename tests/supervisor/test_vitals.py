"""The vitals page: written by an actor, read by anybody, one life at a time."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from supervisor.evidence import tables, vitals
from supervisor.message import Message
from supervisor.spec import Dependency, Promise


def test_a_reader_sees_what_the_writer_wrote_last(tmp_path: Path) -> None:
    page = vitals.Page(tmp_path / "n.page", 3, ("risk_gate:main", "ledger"))
    page.slots["ledger"].words[vitals.HANDLED] = 42

    gate, ledger = vitals.read(tmp_path / "n.page")

    assert (gate.actor, gate.handled) == ("risk_gate:main", 0)
    assert (ledger.actor, ledger.handled, ledger.incarnation, ledger.pid) == ("ledger", 42, 3, os.getpid())


def test_the_dials_of_a_previous_life_do_not_shine_through(tmp_path: Path) -> None:
    first = vitals.Page(tmp_path / "n.page", 1, ("a",))
    first.slots["a"].words[vitals.HANDLED] = 7
    reader = vitals.Reader(tmp_path / "n.page")
    assert reader.read(1)[0].handled == 7

    vitals.Page(tmp_path / "n.page", 2, ("a",))

    assert reader.read(2)[0].handled == 0
    assert reader.read(1) == []


def test_no_page_reads_as_nothing(tmp_path: Path) -> None:
    assert vitals.read(tmp_path / "none.page") == []


def test_a_file_that_is_no_page_reads_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "n.page").write_bytes(b"\1" * 3000)

    assert vitals.read(tmp_path / "n.page") == []


def test_too_many_actors_are_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1025 actors"):
        vitals.Page(tmp_path / "n.page", 1, tuple(str(n) for n in range(1025)))


class Book(Message, frozen=True, kw_only=True):
    price: float


def test_a_promise_shows_when_it_was_last_kept_and_when_its_content_changed(tmp_path: Path) -> None:
    told = (
        Promise(topic="Book", at_least_every_s=2.0, changing=True),
        Promise(topic="Book", at_least_every_s=9, key="B"),
    )
    page = vitals.Page(tmp_path / "n.page", 1, ("feed",), {"feed": told}, node="feed")
    book, of_key = page.slots["feed"].promises
    reader = vitals.Reader(tmp_path / "n.page")
    reader.read()
    assert [one.count for one in reader.promises()] == [0, 0]

    book.produced(Book(price=1.0))
    first = reader.promises()[0]
    book.produced(Book(price=1.0))
    same = reader.promises()[0]
    book.produced(Book(price=2.0))
    moved = reader.promises()[0]

    assert (first.what, first.actor, first.count) == ("Book", "feed", 1)
    assert first.at_ns == first.changed_at_ns > 0
    assert same.count == 2
    assert same.changed_at_ns == first.changed_at_ns < same.at_ns
    assert moved.changed_at_ns == moved.at_ns > same.at_ns
    assert not of_key.covers("Book", "A")
    assert of_key.covers("Book", "B")
    assert reader.promises()[1].what == "Book B"


def test_what_a_node_promises_any_of_its_actors_may_keep_what_an_actor_promises_only_itself(tmp_path: Path) -> None:
    told = {"node": (Promise(topic="A", at_least_every_s=1),), "b": (Promise(topic="B", at_least_every_s=1),)}

    page = vitals.Page(tmp_path / "n.page", 1, ("node", "a", "b"), told, node="node")

    assert [len(page.slots[name].promises) for name in ("node", "a", "b")] == [1, 1, 2]
    reader = vitals.Reader(tmp_path / "n.page")
    reader.read()
    assert [one.actor for one in reader.promises()] == ["node", "b"]


ENDED = [
    (None, (1, 0, 0, "", "")),
    (ConnectionRefusedError("no"), (0, 1, 1, "upstream", "refused")),
    ("401 unauthorized", (0, 1, 1, "credential", "credential")),
    (ssl.SSLCertVerificationError(1, "certificate has expired"), (0, 1, 1, "upstream", "tls")),
    (RuntimeError("what is this"), (0, 1, 1, "unknown", "down")),
]


@pytest.mark.parametrize(("error", "shown"), ENDED)
def test_how_a_real_call_ended_is_shown_with_whose_fault_it_looks_like_and_what_was_done(
    tmp_path: Path, error: BaseException | str | None, shown: tuple[int, int, int, str, str]
) -> None:
    page = vitals.Page(tmp_path / "n.page", 1, ("feed",), {}, {"feed": (Dependency(name="venue"),)}, "feed")
    page.slots["feed"].calls["venue"].ended(error)

    reader = vitals.Reader(tmp_path / "n.page")
    reader.read()
    found = reader.dependencies()[0]

    assert (found.ok, found.failed, found.in_a_row, found.error, found.cause) == shown
    page.slots["feed"].calls["venue"].ended(None)
    assert reader.dependencies()[0].in_a_row == 0


def test_a_lease_says_until_when_and_why_and_ends_with_the_life(tmp_path: Path) -> None:
    slot = vitals.Page(tmp_path / "n.page", 1, ("a",)).slots["a"]

    slot.lease(77, "fits the model: überlang" + "." * 90)

    reading = vitals.read(tmp_path / "n.page")[0]
    assert reading.lease_until_ns == 77
    assert reading.lease_why.startswith("fits the model: überlang..")
    slot.begin(2)
    assert vitals.read(tmp_path / "n.page")[0].lease_until_ns == 0


def glanced(tmp_path: Path, **told: object) -> tuple[vitals.Slot, vitals.Reader]:
    page = vitals.Page(tmp_path / "n.page", 1, ("a",), node="a", **told)  # type: ignore[arg-type]
    slot = page.slots["a"]
    slot.words[vitals.STARTED] = slot.words[vitals.READY] = 1
    reader = vitals.Reader(tmp_path / "n.page")
    reader.read()
    return slot, reader


def test_a_loop_that_stands_still_for_two_glances_is_no_calm_sight_and_the_last_turning_one_is_kept(
    tmp_path: Path,
) -> None:
    slot, reader = glanced(tmp_path)
    for turn in (1, 2, 3):
        slot.words[vitals.LOOPS] = turn
        assert reader.calm(1, turn * 0.5)
    assert reader.calm(1, 2.0)

    assert not reader.calm(1, 2.5)

    at, actors = reader.baseline()
    assert (at, actors[0].loops) == (1.5, 3)


def test_old_work_an_overdue_promise_a_failed_call_and_a_message_given_again_and_again_are_no_calm_sight(
    tmp_path: Path,
) -> None:
    promises = {"a": (Promise(topic="T", at_least_every_s=1.0),)}
    slot, reader = glanced(tmp_path, promises=promises, depends={"a": (Dependency(name="venue"),)})

    def calm(at: float) -> bool:
        slot.words[vitals.LOOPS] += 1
        return reader.calm(1, at)

    slot.promises[0].words[tables.P_AT] = int(9.5e9)
    assert calm(10.0)
    slot.words[vitals.IN_HAND_SINCE] = int(9e9)
    assert not calm(10.2)
    slot.words[vitals.IN_HAND_SINCE] = 0
    assert calm(10.3)
    slot.calls["venue"].ended("refused")
    assert not calm(10.35)
    assert calm(10.4)
    slot.words[vitals.REPEATS] = 50
    assert not calm(10.42)
    slot.words[vitals.REPEATS] = 0
    assert not calm(10.6)  # the promise is overdue


def test_an_input_that_stopped_coming_obliges_to_nothing(tmp_path: Path) -> None:
    slot, _ = glanced(tmp_path, promises={"a": (Promise(topic="T", at_least_every_s=1.0, when="I"),)})
    kept = slot.promises[0]
    assert tables.overdue(kept.words, int(100e9)) is False  # nothing came in, so nothing need come out

    kept.came_in(int(100e9))

    assert tables.overdue(kept.words, int(100.5e9)) is True  # in, and never out
    assert tables.overdue(kept.words, int(300e9)) is False
