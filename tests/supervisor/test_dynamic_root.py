"""Children that come and go while the server runs: added by name or by spec, watched like all, remembered, removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from supervisor.runtime.memory import SpecStore
from supervisor.spec import Check, ChildSpec, DynamicSpec, ProgramStart
from tests.supervisor.toys import PROJECT, Worker, alive, house, toy

pytestmark = pytest.mark.process


def pool(name: str = "pool", *, most: int = 3, remembers: bool = False) -> DynamicSpec:
    return DynamicSpec(id=name, template=toy("worker", Worker), max_children=most, remembers=remembers)


def qt(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.main", *words, "--home", str(home)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)


def test_a_child_is_added_watched_restarted_and_removed_while_the_server_runs(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker), pool(most=2)) as home:
        home.start("root")
        before = home.ready("a")
        done = qt(tmp_path, "add", "pool", "w1")
        assert done.returncode == 0, done.stderr
        assert home.client.ask("add", supervisor="pool", name="w2")["ok"]
        found = home.ready("w1", "w2")
        assert found["w1"]["path"] == "house/pool/w1"
        assert home.client.ask("add", supervisor="pool", name="w1")["code"] == "already_started"
        assert home.client.ask("add", supervisor="pool", name="w3")["code"] == "max_children"
        assert home.client.ask("add", supervisor="pol", name="w3")["code"] == "not_found"
        assert home.client.ask("add", supervisor="house", name="w3")["ok"] is False
        # it is judged and restarted like any other
        home.until(lambda: home.child("w1")["verdict"] == "HEALTHY", "it is seen to work")
        os.kill(found["w1"]["pid"], signal.SIGKILL)
        home.until(lambda: home.child("w1").get("incarnation") == 2 and home.child("w1")["ready"], "it is back")
        pid = home.child("w1")["pid"]
        done = qt(tmp_path, "remove", "w1")
        assert done.returncode == 0, done.stderr
        home.until(lambda: not home.child("w1"), "it is gone")
        assert not alive(pid)
        assert not (tmp_path / "vitals" / "w1.page").exists()
        assert home.client.ask("add", supervisor="pool", name="w1")["ok"]
        assert home.ready("w1")["w1"]["incarnation"] == 3  # the fence goes on
        assert home.child("a")["pid"] == before["a"]["pid"]


def test_what_a_supervisor_remembers_is_back_after_a_new_root_and_the_rest_is_not(tmp_path: Path) -> None:
    with house(tmp_path, pool("pool", remembers=True), pool("other")) as home:
        root = home.start("root")
        home.until(lambda: home.child("other").get("ready"), "the supervisors are up")
        for above, name in (("pool", "w1"), ("pool", "w2"), ("other", "w3")):
            assert home.client.ask("add", supervisor=above, name=name)["ok"]
        home.ready("w1", "w2", "w3")
        assert home.client.ask("remove", name="w2")["ok"]
        home.until(lambda: not home.child("w2"), "w2 is gone")
        root.kill()
        root.wait()
        home.start("root")
        assert home.ready("w1")["w1"]["incarnation"] == 2
        assert not home.child("w2")
        assert not home.child("w3")


def test_a_whole_spec_may_be_added_and_one_that_cannot_be_is_refused_with_every_fault(tmp_path: Path) -> None:
    with house(tmp_path, DynamicSpec(id="pool")) as home:
        home.start("root")
        home.until(lambda: home.child("pool").get("ready"), "the supervisor is up")
        assert home.client.ask("add", supervisor="pool", name="w1")["ok"] is False  # it has no template
        check = Check(kind="exec", target="true", every_s=0.2)
        program = ChildSpec(id="sleeper", start=ProgramStart(argv=("sleep", "3600")), checks=(check,))
        assert home.client.ask("add", supervisor="pool", spec=msgspec.to_builtins(program))["ok"]
        home.ready("sleeper")
        home.until(lambda: home.client.ask("why", name="sleeper")["ok"], "it can be asked about")
        wrong = msgspec.to_builtins(program) | {"id": "other", "shutdown_s": -1.0}
        refused = home.client.ask("add", supervisor="pool", spec=wrong)
        assert refused["code"] == "invalid_spec"
        assert "shutdown_s" in refused["text"]
        refused = home.client.ask("add", supervisor="pool", spec={"type": "child", "id": "x", "strat": {}})
        assert refused["code"] == "invalid_spec"


def test_a_store_that_cannot_be_read_is_put_aside_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    store = SpecStore(tmp_path, said.append)
    worker = toy("w1", Worker)
    store.remember("pool", "w1", worker)
    store.remember("pool", "w1", worker)
    assert SpecStore(tmp_path, said.append).children == {"pool": (worker,)}
    (tmp_path / "state" / "children.msgpack").write_bytes(b"\xc1 nonsense")
    assert SpecStore(tmp_path, said.append).children == {}
    assert "children.unreadable" in said[0]
    assert (tmp_path / "state" / "children.unreadable").exists()
