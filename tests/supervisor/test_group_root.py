"""A node that supervises its own actors, under a real root: shown below it, ordered through it, replaced as a whole."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from supervisor.spec import Backoff, Canary, ChildSpec, member, node
from supervisor.words import Strategy
from tests.supervisor.test_monitors import downs, watchman
from tests.supervisor.toys import Worker, house, toy

pytestmark = pytest.mark.process
TOYS = "tests.supervisor.group_toys"
FAST = Backoff(initial_s=0.01, cap_s=0.02)


def diarist(home: Path, name: str) -> ChildSpec:
    return member(name, f"{TOYS}:Diarist", spec={"backoff": FAST}, diary=str(home / "diary"))


def tell(home: Path, name: str, order: str) -> None:
    (home / "order").write_text(order)
    (home / "order").replace(home / f"diary.{name}")


def test_actors_inside_are_shown_ordered_remembered_and_never_keep_an_operator_waiting(tmp_path: Path) -> None:
    bad = member("bad", f"{TOYS}:FailsToStart", spec={"backoff": FAST, "required": False})
    pool = node("pool", Strategy.ONE_FOR_ONE, [diarist(tmp_path, "a"), diarist(tmp_path, "b"), bad], intensity=100)
    book = tmp_path / "book"
    watch = watchman(book, "a", "b")
    with house(tmp_path, toy("before", Worker), pool, toy("after", Worker), watch) as home:
        home.start("root")
        home.ready("watchman")
        before = home.ready("before", "pool", "a", "b", "after")
        names = [entry["name"] for entry in home.status()["children"]]
        assert names == ["house", "before", "pool", "a", "b", "bad", "after", "watchman"]
        assert before["a"]["path"] == "house/pool/a"
        assert before["a"]["pid"] == before["pool"]["pid"]
        assert (before["a"]["verdict"], before["a"]["rss_mib"]) == ("HEALTHY", None)

        tell(tmp_path, "a", "raise")
        home.until(lambda: home.child("a")["incarnation"] == 2 and home.child("a")["ready"], "a is back")
        assert home.child("pool")["pid"] == before["pool"]["pid"]
        assert home.child("pool")["incarnation"] == home.child("b")["incarnation"] == 1
        assert home.child("a")["restarts"]["total"] == 1
        [exited] = home.events("a", "exited")
        assert exited["path"] == "house/pool/a"
        assert "ValueError: as told" in exited["sentence"]
        assert (tmp_path / "reports" / "crash-a-1.json").exists()
        why = home.client.ask("why", name="house/pool/a")
        assert why["last_exit"]["kind"] == "crashed"
        assert 'raise ValueError("as told")' in why["last_exit"]["traceback"]

        assert home.client.ask("stop", name="b") == {"ok": True, "code": "ok", "text": home_text("b")}
        home.until(lambda: home.child("b")["state"] == "stopped", "b is down")
        assert home.client.ask("release", name="a")["code"] == "running"
        home.until(lambda: len(downs(book)) == 2, "who watched them hears of both ends, once each")
        assert [(d["name"], d["incarnation"], d["reason"]) for d in downs(book)] == [
            ("a", 1, "crashed"), ("b", 1, "shutdown")
        ]  # fmt: skip

        home.until(lambda: home.child("bad")["state"] == "quarantined", "bad is parked")
        os.kill(before["pool"]["pid"], signal.SIGKILL)
        home.until(lambda: home.child("a")["incarnation"] == 3 and home.child("a")["ready"], "a is back with its node")
        assert home.child("b")["state"] == "stopped"  # an operator's word outlives the node
        assert home.child("bad")["state"] == "quarantined"  # so does a quarantine, and it is not tried again
        assert home.child("bad")["incarnation"] == 3
        assert home.client.ask("release", name="bad")["ok"]
        home.until(lambda: home.child("bad")["incarnation"] > 4, "bad is tried again when a person says so")
        assert home.child("after")["incarnation"] == 1

        os.kill(home.child("pool")["pid"], signal.SIGSTOP)
        asked = time.monotonic()
        answer = home.client.ask("restart", name="a")
        took_s = time.monotonic() - asked
        assert (answer["ok"], answer["code"]) == (False, "no_answer")
        assert "is not known" in answer["text"]
        assert took_s < 1.0  # 0.15 s of the root's; the rest is room for a crowded machine
        os.kill(home.child("pool")["pid"], signal.SIGCONT)
        home.until(lambda: home.child("a")["incarnation"] == 4, "it is done after all, and shown")


def home_text(name: str) -> str:
    return f"{name} is being stopped and stays down until started"


def test_a_hung_actor_inside_is_convicted_by_name_and_its_node_is_replaced(tmp_path: Path) -> None:
    stuck = member("stuck", "tests.supervisor.toys:Stuck", marker=str(tmp_path / "hung"))
    pool = node(
        "pool", Strategy.ONE_FOR_ONE, [diarist(tmp_path, "a"), stuck], spec={"hang_after_s": 1.0}, intensity=100
    )
    with house(tmp_path, pool, toy("b", Worker), toy("c", Worker)) as home:
        home.start("root")
        home.ready("a", "stuck", "b", "c")
        home.until(lambda: home.child("pool").get("incarnation") == 2 and home.child("stuck")["ready"], "replaced", 60)
        [exited] = home.events("pool", "exited")
        assert exited["exit"]["kind"] == "hung"
        assert "stuck" in exited["exit"]["detail"]
        [zombie] = home.events("stuck", "zombie")
        assert "convicted" in zombie["detail"]
        assert "a 1 terminate" in (tmp_path / "diary").read_text()
        assert home.child("a")["incarnation"] == home.child("stuck")["incarnation"] == 2
        assert home.child("b")["incarnation"] == home.child("c")["incarnation"] == 1


def test_one_actor_that_answers_wrongly_is_started_again_alone_and_its_process_lives_on(tmp_path: Path) -> None:
    asked = {"canaries": (Canary(name="ping", expect="lost hears ping", every_s=0.2),), "backoff": FAST}
    lost = member("lost", f"{TOYS}:Forgetful", spec=asked, diary=str(tmp_path / "diary"))
    pool = node("pool", Strategy.ONE_FOR_ONE, [diarist(tmp_path, "a"), lost], spec={"hang_after_s": 1.0}, intensity=100)
    with house(tmp_path, pool, toy("b", Worker)) as home:
        home.start("root")
        before = home.ready("pool", "a", "lost", "b")
        home.until(
            lambda: home.child("lost").get("incarnation") == 2 and home.child("lost")["ready"], "its new life", 60
        )
        home.until(lambda: home.child("pool")["verdict"] == "HEALTHY", "it answers rightly")
        done = [event["done"] for event in home.events("pool", "verdict") if event["done"]]
        assert done == ["its actor lost is restarted, the node goes on"]
        [asked] = home.events("lost", "ordered")
        [stopping] = home.events("lost", "stopping")
        assert "wrong: asked ping it answers 'no idea'" in stopping["sentence"], (asked, stopping)
        now = home.ready("pool", "a", "lost", "b")
        assert now["pool"]["pid"] == before["pool"]["pid"]
        assert now["pool"]["incarnation"] == now["a"]["incarnation"] == now["b"]["incarnation"] == 1
