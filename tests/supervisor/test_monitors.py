"""Monitors with real kills: exactly one Down per incarnation watched, at once when there is nothing to wait for."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.runtime import watching
from supervisor.spec import ChildSpec, child
from supervisor.system import Demonitor, Down
from tests.supervisor.toys import Doomed, House, Worker, house, toy

pytestmark = pytest.mark.process
TOYS = "tests.supervisor.root_toys"


def watchman(book: Path, *names: str, called: str = "watchman", **how: Any) -> ChildSpec:
    return child(called, f"{TOYS}:Watchman", names=list(names), book=str(book), **how)


def downs(book: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in book.read_text().splitlines()] if book.exists() else []


def kill_and_wait(home: House, name: str) -> None:
    entry = home.ready(name)[name]
    os.kill(entry["pid"], signal.SIGKILL)
    home.until(lambda: home.child(name).get("incarnation") == entry["incarnation"] + 1, f"{name} is back")
    home.ready(name)


def test_one_down_per_incarnation_watched_and_none_for_the_next_one_unless_asked_again(tmp_path: Path) -> None:
    book = tmp_path / "book"
    with house(tmp_path, toy("a", Worker), toy("b", Worker), watchman(book, "a", "b")) as home:
        home.start("root")
        home.ready("a", "b", "watchman")
        kill_and_wait(home, "a")
        kill_and_wait(home, "a")
        assert home.client.ask("stop", name="b")["ok"]
        home.until(lambda: len(downs(book)) >= 2, "both ends are heard of")
        first, second = downs(book)
        assert (first["token"], first["name"], first["incarnation"], first["reason"]) == (1, "a", 1, "killed")
        assert "killed by signal 9" in str(first["sentence"])
        assert (second["token"], second["name"], second["incarnation"], second["reason"]) == (2, "b", 1, "shutdown")


def test_what_is_down_or_unknown_is_answered_at_once(tmp_path: Path) -> None:
    book = tmp_path / "book"
    with house(tmp_path, toy("bad", Doomed, spec={"required": False}), watchman(book, "bad", "nobody")) as home:
        home.start("root")
        home.until(lambda: home.child("bad").get("state") == "quarantined", "bad is parked")
        home.client.ask("restart", name="watchman")
        found = home.until(lambda: [d for d in downs(book) if d["life"] == 2][1:] and downs(book), "both answers")
        bad, nobody = [d for d in found if d["life"] == 2]
        assert (bad["reason"], bad["incarnation"]) == ("noproc", 3)
        assert "quarantined" in str(bad["sentence"])
        assert (nobody["reason"], nobody["incarnation"]) == ("not_found", 0)


def test_a_watcher_that_reads_nothing_for_a_while_gets_each_down_once_and_others_are_not_kept_waiting(
    tmp_path: Path,
) -> None:
    book = tmp_path / "book"
    with house(tmp_path, toy("a", Worker), watchman(book, "a", times=900)) as home:
        home.start("root")
        entries = home.ready("a", "watchman")
        os.kill(entries["watchman"]["pid"], signal.SIGSTOP)
        os.kill(entries["a"]["pid"], signal.SIGKILL)
        home.until(lambda: home.child("a").get("incarnation") == 2, "a is back while its watcher sleeps")
        begun = time.monotonic()
        home.status()
        assert time.monotonic() - begun < 1.0
        os.kill(entries["watchman"]["pid"], signal.SIGCONT)
        home.until(lambda: len(downs(book)) >= 900, "every token is answered")
        kill_and_wait(home, "a")
        assert sorted(int(str(d["token"])) for d in downs(book)) == list(range(1, 901))
        assert {d["life"] for d in downs(book)} == {1}  # the same life all the time: it was slow, not dead


def test_after_demonitor_nothing_comes_and_a_new_life_of_the_watcher_gets_nothing_of_the_old_one(
    tmp_path: Path,
) -> None:
    book, other = tmp_path / "book", tmp_path / "other"
    second = watchman(other, "a", called="second", again=True)
    with house(tmp_path, toy("a", Worker), watchman(book, "a", then_drops=True), second) as home:
        home.start("root")
        home.ready("a", "watchman", "second")
        home.until(lambda: downs(book), "the first one lets go")
        kill_and_wait(home, "second")
        kill_and_wait(home, "a")
        kill_and_wait(home, "a")
        found = home.until(lambda: downs(other)[1:] and downs(other), "the second one hears of both")
        assert downs(book) == [{"dropped": 1}]
        assert all(entry["life"] == 2 for entry in found)


def test_an_actor_that_never_lets_go_is_told_so() -> None:
    mine = watching.Watching("a")
    tokens = [mine.add("feed").token for _ in range(watching.MOST)]
    with pytest.raises(watching.TooManyMonitors, match="1000 of them for feed"):
        mine.add("other")
    assert mine.drop(tokens[0]) == Demonitor(actor="a", token=tokens[0])
    assert mine.drop(tokens[0]) is None
    late = Down(token=tokens[0], name="feed", incarnation=1, reason="killed", sentence="")
    assert not mine.expects(late)
    assert mine.expects(Down(token=tokens[1], name="feed", incarnation=1, reason="killed", sentence=""))
    mine.add("other")
