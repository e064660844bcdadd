"""What people and crashes have decided outlives the server: stopped stays stopped, quarantined stays quarantined."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from supervisor.events import Cause
from supervisor.moves import Kept, Verb
from supervisor.runtime.freshness import stamp
from supervisor.runtime.memory import Counters, Intent, Parked
from supervisor.spec import Backoff, child
from supervisor.words import State
from tests.supervisor.toys import House, Worker, house, toy

QUICK = {"required": False, "backoff": Backoff(initial_s=0.01)}


def again(home: House) -> None:
    """Another root, as after a crash of the whole server."""
    home.processes[-1].send_signal(signal.SIGKILL)
    home.processes[-1].wait()
    home.start("root")


@pytest.mark.process
def test_a_quarantine_outlives_the_server_and_is_lifted_by_new_code_while_it_runs(tmp_path: Path) -> None:
    code, cure = tmp_path / "code", tmp_path / "cure"
    code.mkdir()
    picky = child("picky", "tests.supervisor.root_toys:Picky", spec=QUICK, cure=str(cure))
    with house(tmp_path, toy("a", Worker), picky, own_roots=(str(code),)) as home:
        home.start("root")
        home.until(lambda: home.child("picky").get("state") == "quarantined", "picky is parked")
        again(home)
        home.ready("a")
        assert home.child("picky")["state"] == "quarantined"
        assert home.child("picky")["incarnation"] == 3  # it was not tried
        [record] = home.events("picky", "quarantined")
        assert "there is no cure" in record["sentence"]
        home.until(lambda: home.child("picky")["verdict"] == "CRASH_LOOP", "the verdict says why")
        zygote = home.status()["server"]["zygotes"][0]["pid"]
        cure.touch()
        (code / "fix.py").write_text("FIXED = True\n")
        assert home.ready("picky")["picky"]["incarnation"] == 4
        assert home.status()["server"]["zygotes"][0]["pid"] != zygote
        assert home.child("a")["incarnation"] == 2  # nobody else was touched


@pytest.mark.process
def test_a_quarantine_is_lifted_at_the_start_when_the_code_has_changed_meanwhile_and_by_an_order(
    tmp_path: Path,
) -> None:
    code, cure = tmp_path / "code", tmp_path / "cure"
    code.mkdir()
    picky = child("picky", "tests.supervisor.root_toys:Picky", spec=QUICK, cure=str(cure))
    with house(tmp_path, picky, own_roots=(str(code),)) as home:
        home.start("root")
        home.until(lambda: home.child("picky").get("state") == "quarantined", "picky is parked")
        (code / "fix.py").write_text("FIXED = False\n")
        again(home)
        home.until(lambda: home.child("picky").get("incarnation") == 6, "it was tried three times more")
        home.until(lambda: home.child("picky").get("state") == "quarantined", "and is parked again")
        again(home)
        home.until(lambda: home.child("picky").get("state") == "quarantined", "still parked")
        cure.touch()
        assert home.client.ask("release", name="picky")["ok"]
        assert home.ready("picky")["picky"]["incarnation"] == 7


@pytest.mark.process
def test_an_order_after_a_model_has_changed_forks_from_new_zygotes(tmp_path: Path) -> None:
    model = tmp_path / "models" / "ensemble.onnx"
    model.parent.mkdir()
    model.write_bytes(b"one")
    with house(tmp_path, toy("a", Worker), watched=(str(model.parent),)) as home:
        home.start("root")
        home.ready("a")
        zygote = home.status()["server"]["zygotes"][0]["pid"]
        assert home.client.ask("restart", name="a")["ok"]
        home.until(lambda: home.child("a").get("incarnation") == 2 and home.child("a")["ready"], "a is back")
        assert home.status()["server"]["zygotes"][0]["pid"] == zygote
        model.write_bytes(b"another")
        assert home.client.ask("restart", name="a")["ok"]
        home.until(lambda: home.child("a").get("incarnation") == 3 and home.child("a")["ready"], "a is back")
        assert home.status()["server"]["zygotes"][0]["pid"] not in (0, zygote)


def test_every_accepted_order_lifts_a_quarantine_and_stopping_outlives_it(tmp_path: Path) -> None:
    parked = Parked(cause=Cause.CRASH_LOOP, why="3 times in a row", inputs="old")
    intent = Intent(tmp_path, pytest.fail)
    intent.quarantined("a", parked)
    intent.quarantined("b", parked)
    assert Intent(tmp_path, pytest.fail).kept() == dict.fromkeys(
        "ab", Kept(State.QUARANTINED, Cause.CRASH_LOOP, "3 times in a row")
    )
    assert Intent(tmp_path, pytest.fail).others_than("old") == {}
    assert Intent(tmp_path, pytest.fail).others_than("new").keys() == {"a", "b"}
    intent.ordered(Verb.STOP, "a")
    intent.lifted("b")
    assert Intent(tmp_path, pytest.fail).kept() == {"a": Kept(State.STOPPED)}
    intent.ordered(Verb.START, "a")
    assert Intent(tmp_path, pytest.fail).kept() == {}


def test_what_an_earlier_version_remembered_is_understood(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "intent.json").write_text('{"schema": 1, "stopped": ["a"]}\n')
    assert Intent(tmp_path, pytest.fail).kept() == {"a": Kept(State.STOPPED)}


def test_a_stamp_sees_a_new_a_changed_and_a_deleted_file_and_no_cache(tmp_path: Path) -> None:
    source = tmp_path / "package" / "a.py"
    source.parent.mkdir()
    seen = {stamp([str(tmp_path)], (".py",))}
    source.write_text("1")
    seen.add(stamp([str(tmp_path)], (".py",)))
    source.write_text("12")
    changed = stamp([str(tmp_path)], (".py",))
    seen.add(changed)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.py").touch()
    (tmp_path / "notes.txt").touch()
    assert stamp([str(tmp_path)], (".py",)) == changed
    assert stamp([str(source)]) != stamp([str(tmp_path / "absent")])
    assert len(seen) == 3


def test_an_intent_that_cannot_be_read_is_put_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "intent.json").write_text('{"stopped": [')
    said: list[str] = []
    assert Intent(tmp_path, said.append).kept() == {}
    assert "intent.unreadable" in said[0]
    assert (tmp_path / "state" / "intent.unreadable").exists()


def test_counters_that_cannot_be_read_are_put_aside_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    Counters(tmp_path, said.append).started("a", 7)
    assert Counters(tmp_path, said.append).values == {"a": 7}
    assert said == []
    (tmp_path / "run" / "incarnations.json").write_text('{"a": 7')
    assert Counters(tmp_path, said.append).values == {}
    assert "incarnations.unreadable" in said[0]
    assert "counted from 1 again" in said[0]
