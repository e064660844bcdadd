"""The root over real processes: kill it, kill its nodes, stop them, hang them, and look at what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.spec import ChildSpec, ProgramStart, child
from tests.supervisor.toys import PROJECT, Deaf, Doomed, Ender, Stuck, Worker, alive, house, toy

pytestmark = pytest.mark.process


def test_a_killed_node_is_back_and_its_sibling_never_noticed(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker), toy("b", Worker)) as home:
        home.start("root")
        before = home.ready("a", "b")
        home.until(lambda: home.worked("a"), "a has done useful work")
        os.kill(before["a"]["pid"], signal.SIGKILL)
        home.until(lambda: home.child("a").get("incarnation") == 2 and home.child("a")["ready"], "a is back")
        assert home.child("b")["pid"] == before["b"]["pid"]
        assert home.child("b")["incarnation"] == 1
        [restart] = home.events("a", "restarting")
        assert restart["detail"] == "at once"  # it had worked
        assert home.client.ask("why", name="a")["last_exit"]["sentence"] == "killed by signal 9"


def test_a_killed_root_takes_every_node_with_it_also_the_stopped_one(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker), toy("b", Worker)) as home:
        root = home.start("root")
        entries = home.ready("a", "b")
        pids = [entries["a"]["pid"], entries["b"]["pid"], home.status()["server"]["zygotes"][0]["pid"]]
        os.kill(pids[0], signal.SIGSTOP)
        root.kill()
        root.wait()
        home.until(lambda: not any(alive(pid) for pid in pids), "all nodes are gone", within_s=10)


def test_a_crash_that_repeats_is_parked_with_its_traceback_and_released_by_order(tmp_path: Path) -> None:
    with house(tmp_path, toy("bad", Doomed), toy("good", Worker)) as home:
        home.start("root")
        home.ready("good")
        home.until(lambda: home.child("bad").get("state") == "quarantined", "bad is parked")
        assert home.child("bad")["incarnation"] == 3
        home.until(lambda: home.child("bad")["verdict"] == "CRASH_LOOP", "the verdict says so")
        why = home.client.ask("why", name="bad")
        assert why["last_exit"]["kind"] == "start_failed"
        assert "KeyError" in why["last_exit"]["traceback"]
        report = json.loads((tmp_path / "reports" / "crash-bad-3.json").read_text())
        assert "the same every time" in report["crash"]["traceback"]
        assert home.child("good")["incarnation"] == 1
        assert home.client.ask("release", name="bad")["ok"]
        home.until(lambda: home.child("bad")["incarnation"] >= 4, "it is tried again")


def test_a_stopped_node_is_told_to_continue_and_keeps_its_life(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker)) as home:
        home.start("root")
        pid = home.ready("a")["a"]["pid"]
        home.until(lambda: home.child("a")["verdict"] == "HEALTHY", "a is seen to work")
        os.kill(pid, signal.SIGSTOP)
        home.until(
            lambda: [e for e in home.events("a", "verdict") if e["cause"] == "stopped"], "it is seen to be stopped"
        )
        home.until(lambda: home.child("a")["verdict"] == "HEALTHY", "it works again")
        assert home.child("a")["pid"] == pid
        assert home.child("a")["restarts"]["total"] == 0


def test_a_hung_actor_is_convicted_by_two_witnesses_its_stacks_are_kept_and_it_is_replaced(tmp_path: Path) -> None:
    stuck = toy("a", Stuck, spec={"hang_after_s": 1.0}, marker=str(tmp_path / "hung"))
    with house(tmp_path, stuck, toy("b", Worker), toy("c", Worker)) as home:
        home.start("root")
        home.ready("a", "b", "c")
        home.until(lambda: home.child("a").get("incarnation") == 2 and home.child("a")["ready"], "a is replaced", 60)
        [conviction] = [e for e in home.events("a", "verdict") if e["verdict"] == "HUNG" and "written" in e["action"]]
        assert len(conviction["evidence_for"]) >= 2
        report = json.loads((tmp_path / "reports" / "crash-a-1.json").read_text())
        assert report["kind"] == "hung"
        assert "toys.py" in report["stacks"]
        assert home.child("b")["incarnation"] == home.child("c")["incarnation"] == 1


def test_one_that_dies_in_native_code_leaves_its_python_stacks(tmp_path: Path) -> None:
    with house(tmp_path, child("a", "tests.supervisor.toy_actors:DiesInNativeCode")) as home:
        home.start("root")
        path = tmp_path / "reports" / "crash-a-1.json"
        home.until(path.exists, "the report on its death")
        home.until(lambda: home.events("a", "restarting"), "it is to be started again")
        report = json.loads(path.read_text())
        assert (report["kind"], report["signal"]) == ("crashed", signal.SIGABRT)
        assert report["crash"]["frame"].endswith("toy_actors:handle")
        assert "in handle" in report["crash"]["traceback"]


def test_one_that_will_not_end_is_killed_when_its_patience_is_over(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Deaf, spec={"shutdown_s": 0.5})) as home:
        root = home.start("root")
        pid = home.ready("a")["a"]["pid"]
        answer = home.client.ask("stop", name="a")
        assert answer["ok"]
        assert home.status()["server"]["state"] == "running"  # it answers while a child will not end
        home.until(lambda: home.child("a")["state"] == "stopped", "a is down")
        assert not alive(pid)
        assert home.child("a")["verdict"] == "STOPPED"
        root.terminate()
        assert root.wait(30) == 0


def test_what_an_operator_stopped_stays_stopped_and_incarnations_go_on_after_a_new_root(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker), toy("b", Worker)) as home:
        root = home.start("root")
        home.ready("a", "b")
        assert home.client.ask("stop", name="a")["ok"]
        home.until(lambda: home.child("a")["state"] == "stopped", "a is down")
        root.kill()
        root.wait()
        home.start("root")
        assert home.ready("b")["b"]["incarnation"] == 2
        assert home.child("a")["state"] == "stopped"
        assert home.client.ask("start", name="a")["ok"]
        assert home.ready("a")["a"]["incarnation"] == 2


def test_a_child_may_end_the_server_with_a_code(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Ender)) as home:
        assert home.start("root").wait(30) == 3
        assert json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 3


def test_a_killed_zygote_costs_nobody_anything_and_the_next_restart_still_works(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker)) as home:
        home.start("root")
        pid = home.ready("a")["a"]["pid"]
        zygote = home.status()["server"]["zygotes"][0]["pid"]
        os.kill(zygote, signal.SIGKILL)
        home.until(lambda: home.status()["server"]["zygotes"][0]["pid"] not in (0, zygote), "a new zygote")
        assert home.child("a")["pid"] == pid
        os.kill(pid, signal.SIGKILL)
        home.until(lambda: home.child("a").get("incarnation") == 2 and home.child("a")["ready"], "a is back")


def test_a_program_says_when_it_is_ready_and_ends_with_the_root(tmp_path: Path) -> None:
    script = "import time; from supervisor.runtime import notify; notify.ready(); time.sleep(3600)"
    start = ProgramStart(argv=(sys.executable, "-c", script), speaks=True)
    silent = ProgramStart(argv=("/no/such/program",))
    with house(tmp_path, ChildSpec(id="program", start=start), ChildSpec(id="absent", start=silent)) as home:
        root = home.start("root")
        pid = home.ready("program")["program"]["pid"]
        os.kill(pid, signal.SIGKILL)
        home.until(lambda: home.child("program")["incarnation"] == 2 and home.child("program")["ready"], "it is back")
        home.until(lambda: "127" in home.child("absent")["reason"], "the one that does not exist says so")
        second = home.child("program")["pid"]
        root.kill()
        home.until(lambda: not alive(second), "it ended with the root")


def test_many_orphans_that_a_program_leaves_at_once_are_reaped_together(tmp_path: Path) -> None:
    """One a round had left the others lying: a program that leaves more than that filled the table of processes."""
    done = tmp_path / "done"
    script = f"for n in $(seq 40); do (sleep 0.05 &) ; done; touch {done}; exec sleep 3600"
    with house(tmp_path / "home", ChildSpec(id="program", start=ProgramStart(argv=("sh", "-c", script)))) as home:
        root = home.start("root")
        home.until(done.exists, "the program has left its orphans")
        children = Path(f"/proc/{root.pid}/task/{root.pid}/children")

        def ours() -> bool:
            return all(name_of(pid) != "sleep" or pid == own for pid in map(int, children.read_text().split()))

        def name_of(pid: int) -> str:
            try:
                return Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                return ""

        own = home.ready("program")["program"]["pid"]
        home.until(ours, "the root has reaped them", within_s=20.0)


def test_no_zombie_is_left_behind(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker), toy("b", Worker)) as home:
        root = home.start("root")
        for turn in range(2, 5):
            pid = home.ready("a")["a"]["pid"]
            os.kill(pid, signal.SIGKILL)
            home.until(lambda turn=turn: home.child("a").get("incarnation") == turn, "a is back")  # type: ignore[misc]
        os.kill(home.status()["server"]["zygotes"][0]["pid"], signal.SIGKILL)
        home.until(lambda: not _zombies(root.pid), "no zombies")


def _zombies(parent: int) -> list[int]:
    from supervisor.runtime.process import state_of

    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if state_of(int(pid)) == "Z"]


def test_a_second_root_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker)) as home:
        first = home.start("root")
        home.ready("a")
        assert home.start("root").wait(30) == 75
        assert f"a root already runs in {tmp_path} (pid {first.pid})" in home.output.read_text()


def test_without_a_plan_the_root_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "supervisor.runtime.root", "--home", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 78
    assert "there is no plan to run in" in done.stderr
    assert "supervisor up compiles one" in done.stderr or "qt up compiles one" in done.stderr


def test_the_status_is_also_on_disk_for_the_day_the_root_is_wedged(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker)) as home:
        home.start("root")
        home.ready("a")

        def on_disk() -> dict[str, Any]:
            path = tmp_path / "run" / "status.json"
            written: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"children": []}
            return {c["name"]: c for c in written["children"] if c["ready"] and c["rss_mib"]}

        home.until(lambda: "a" in on_disk(), "the file says that a is ready, and what it weighs")


def test_the_root_loads_no_heavy_library() -> None:
    heavy = ("numpy", "pydantic", "rich", "ccxt", "onnxruntime", "pykka", "aiohttp")
    script = f"import sys, supervisor.runtime.root\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_end_is_judged_although_the_next_life_follows_at_once(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker)) as home:
        home.start("root")
        pid = home.ready("a")["a"]["pid"]
        home.until(lambda: home.child("a")["verdict"] == "HEALTHY", "it works")
        os.kill(pid, signal.SIGXCPU)
        home.until(lambda: home.child("a").get("incarnation") == 2 and home.child("a")["ready"], "the next life")
        [judged] = [event for event in home.events("a", "verdict") if event["verdict"] == "EXHAUSTED"]
        assert judged["cause"] == "cpu"
        assert "killed by signal 24" in judged["sentence"]


def test_a_node_that_is_terminated_from_outside_ends_in_order_and_by_that_signal(tmp_path: Path) -> None:
    with house(tmp_path, toy("a", Worker)) as home:
        home.start("root")
        pid = home.ready("a")["a"]["pid"]
        os.kill(pid, signal.SIGTERM)
        home.until(lambda: home.child("a").get("incarnation") == 2 and home.child("a")["ready"], "the next life")
        why = home.client.ask("why", name="a")
        assert (why["last_exit"]["kind"], why["last_exit"]["sentence"]) == ("killed", "killed by signal 15")
