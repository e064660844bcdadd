"""What is gathered of a child besides its dials: questions put to it, what it depends on, what it left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.evidence import holders, vitals
from supervisor.evidence.tables import DependencyVitals
from supervisor.message import Message
from supervisor.moves import ChildView
from supervisor.runtime import link
from supervisor.runtime.leftovers import AFTER_S, Leftovers
from supervisor.runtime.needs import PREFIX, Needs
from supervisor.runtime.questions import Questions
from supervisor.runtime.witness import Rhythm, Seen, Witness
from supervisor.spec import Canary, Check, ChildSpec, Dependency, Promise, child, member, node
from supervisor.verdict import CheckResult, Observer
from supervisor.verdict.evidence import CanarySample, Host
from supervisor.words import CrashRecord, ExitKind, ExitReason, State, Strategy


class Line:
    """Stands where a life stands, and keeps what was said to it."""

    incarnation = 1

    def __init__(self) -> None:
        self.words: list[Any] = []
        self.takes = True

    def said(self, word: link.FromRoot, now: float) -> bool:
        if self.takes:
            self.words.append(word)
        return self.takes


def asked(*canaries: Canary) -> tuple[Questions, Line]:
    questions, line = Questions(), Line()
    questions.know("a", child("a", "m:A", spec={"canaries": canaries}))
    return questions, line


def answer(line: Line, text: str = "", error: str = "") -> link.CanaryAnswered:
    word = line.words[-1]
    return link.CanaryAnswered(actor=word.actor, name=word.name, n=word.n, answer=text, error=error)


def one(questions: Questions) -> CanarySample:
    [sample] = questions.samples("a")
    return sample


def test_a_canary_is_asked_in_its_rhythm_and_never_again_before_it_has_answered() -> None:
    questions, line = asked(Canary(name="sum", expect="4", every_s=10.0, timeout_s=2.0))
    questions.ask(100.0, lambda id: line)  # type: ignore[arg-type,return-value]
    assert [(word.actor, word.name) for word in line.words] == [("a", "sum")]

    questions.ask(109.0, lambda id: line)  # type: ignore[arg-type,return-value]
    assert len(line.words) == 1
    assert list(questions.late(101.0)) == []
    assert list(questions.late(103.0)) == ["a"]
    assert not questions.answered("a", answer(line, "4"), 109.5)
    assert (one(questions).ok, one(questions).answered_at) == (True, 109.5)
    questions.ask(110.0, lambda id: line)  # type: ignore[arg-type,return-value]
    assert len(line.words) == 2


def test_a_question_that_was_lost_is_put_once_more_and_the_silence_counts_from_the_first() -> None:
    questions, line = asked(Canary(name="sum", expect="4", every_s=1.0, timeout_s=2.0))
    for now in (100.0, 103.0, 104.5, 106.0, 109.0):
        questions.ask(now, lambda id: line)  # type: ignore[arg-type,return-value]
    assert len(line.words) == 3  # at 100, 104.5 and 109: its actor may have been started again over it
    assert one(questions).asked_at == 100.0

    lost = link.CanaryAnswered(actor="a", name="sum", n=line.words[0].n, answer="5", error="")
    assert not questions.answered("a", lost, 110.0)  # a late answer is nobody's
    assert not questions.answered("a", answer(line, "4"), 110.0)
    assert one(questions).ok


@pytest.mark.parametrize(("text", "error"), [("5", ""), ("4", "ValueError: no"), ("", "")])
def test_a_wrong_answer_and_an_exception_count_as_failures_in_a_row(text: str, error: str) -> None:
    questions, line = asked(Canary(name="sum", expect="4", every_s=1.0))
    for n in range(1, 4):
        questions.ask(n * 10.0, lambda id: line)  # type: ignore[arg-type,return-value]
        assert questions.answered("a", answer(line, text, error), n * 10.0 + 1)
        assert (one(questions).ok, one(questions).failures) == (False, n)


def test_a_late_answer_to_an_earlier_life_and_a_full_link_are_no_answers() -> None:
    questions, line = asked(Canary(name="sum", expect="4", every_s=1.0))
    line.takes = False
    questions.ask(10.0, lambda id: line)  # type: ignore[arg-type,return-value]
    assert questions.samples("a") == ()
    line.takes = True
    questions.ask(11.0, lambda id: line)  # type: ignore[arg-type,return-value]
    late = answer(line, "5")
    questions.know("a", child("a", "m:A", spec={"canaries": (Canary(name="sum", expect="4"),)}))
    assert not questions.answered("a", late, 12.0)


def test_the_members_of_a_group_are_asked_by_their_names() -> None:
    questions, line = Questions(), Line()
    members = [member(name, "m:A", spec={"canaries": (Canary(name="q", expect="x"),)}) for name in ("b", "c")]
    questions.know("pool", node("pool", Strategy.ONE_FOR_ONE, members))

    questions.ask(100.0, lambda id: line)  # type: ignore[arg-type,return-value]

    assert [word.actor for word in line.words] == ["b", "c"]


def view(id: str, *, ready: bool = True) -> ChildView:
    return ChildView(
        path=f"root/{id}", id=id, kind="worker", state=State.READY if ready else State.RESTARTING, incarnation=1, pid=1,
        since=0.0, restarts_in_window=0, restart_limit=5, restarts_total=0, next_retry_at=None, last_exit=None,
        ready=ready, required=True,
    )  # fmt: skip


def calls(in_a_row: int) -> dict[str, DependencyVitals]:
    return {"venue": DependencyVitals("a", "venue", 3, in_a_row, 5_000_000_000, 6_000_000_000, in_a_row, "upstream")}


def test_a_dependency_is_asked_slowly_while_nobody_complains_and_at_once_when_somebody_does() -> None:
    paces: list[tuple[str, float | None]] = []
    needs = Needs(1.0, lambda id: None)
    needs.pace = lambda key, every_s: paces.append((key, every_s))
    check = Check(kind="tcp", target="127.0.0.1:1", every_s=2.0)
    spec = child("a", "m:A", spec={"depends": (Dependency(name="venue", check=check),)})
    assert needs.know("a", spec) == {PREFIX + "venue": (check,)}
    needs.know("b", child("b", "m:A", spec={"depends": (Dependency(name="venue"),)}))

    needs.calm_pace(PREFIX + "venue")
    needs.told("a", spec, calls(0), died_of_it=False)
    assert paces == [(PREFIX + "venue", 10.0)]
    needs.told("a", spec, calls(2), died_of_it=False)
    assert paces[-1] == (PREFIX + "venue", None)
    [sample] = needs.samples(spec, calls(2), 7.0)
    assert (sample.users, sample.users_failing, sample.failures, sample.error) == (2, 1, 2, "upstream")
    assert (sample.used_ok_at, sample.used_failed_at, sample.probe_ok, sample.owner_up) == (5.0, 6.0, None, None)
    answer = CheckResult(child=PREFIX + "venue", kind="tcp", target="x", ok=False, at=7.0, reason="refused")
    assert set(needs.heard(answer)) == {"a", "b"}
    assert needs.heard(answer) == ()  # nothing new
    [sample] = needs.samples(spec, calls(2), 8.0)
    assert (sample.probe_ok, sample.probe_at, sample.probe_detail) == (False, 7.0, "refused")
    assert needs.samples(spec, calls(2), 70.0)[0].probe_ok is None  # asked too long ago
    needs.told("a", spec, calls(0), died_of_it=False)
    assert paces[-1] == (PREFIX + "venue", 10.0)


def test_one_that_died_of_it_counts_as_failing_and_the_provider_of_ours_is_looked_at() -> None:
    views = {"store": view("store", ready=False)}
    needs = Needs(1.0, views.get)
    spec = child("a", "m:A", spec={"depends": (Dependency(name="db", child="store"),)})
    needs.know("a", spec)

    needs.told("a", spec, {}, died_of_it=True)

    [sample] = needs.samples(spec, {}, 1.0)
    assert (sample.owner, sample.owner_up, sample.users_failing) == ("store", False, 1)


def test_what_nobody_leans_on_any_more_is_forgotten_and_asked_no_more() -> None:
    needs = Needs(1.0, lambda id: None)
    spec = child("a", "m:A", spec={"depends": (Dependency(name="venue"), Dependency(name="db"))})
    needs.know("a", spec)
    needs.know("b", child("b", "m:A", spec={"depends": (Dependency(name="db"),)}))
    needs.told("a", spec, calls(2), died_of_it=False)

    assert needs.forget("a") == (PREFIX + "venue",)
    assert needs.forget("b") == (PREFIX + "db",)
    assert (needs._needs, needs._failing) == ({}, {})


class Book(Message, frozen=True, kw_only=True):
    price: float


@pytest.mark.parametrize(
    ("number", "before", "after", "oom"),
    [
        (signal.SIGKILL, 3, 4, [True, False]),  # one kill of the kernel's explains one death, not the next
        (signal.SIGKILL, 3, 5, [True, True]),
        (signal.SIGKILL, 3, 3, [False, False]),
        (signal.SIGKILL, None, None, [False, False]),  # a kernel that does not tell
        (signal.SIGTERM, 3, 4, [False, False]),
    ],
)
def test_a_kill_is_the_kernels_for_want_of_memory_when_its_count_rose_since_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, before: int | None, after: int | None, oom: list[bool]
) -> None:
    house = House(tmp_path, a=child("a", "m:A"), b=child("b", "m:A"))
    house.witness._host = Host(oom_kills=before)
    monkeypatch.setattr("supervisor.evidence.host.oom_kills", lambda: after)
    for id in ("a", "b"):
        house.witness.ended(id, 1, ExitReason(kind=ExitKind.KILLED, signal=number), worked=True, inputs="")
    assert [house.seen[id].deaths[-1].oom for id in ("a", "b")] == oom


class House:
    """A witness over real pages, without any process."""

    def __init__(self, home: Path, **specs: ChildSpec) -> None:
        self.home = home
        self.seen: dict[str, Seen] = {}
        self.witness = Witness(home, self.seen, view, lambda seen, look: None, 1.0)
        self.pages = {}
        for id, spec in specs.items():
            path = home / "vitals" / vitals.file_name(id)
            self.pages[id] = vitals.Page(path, 1, (id,), {id: spec.promises}, node=id)
            self.seen[id] = Seen(spec=spec, reader=vitals.Reader(path))
            self.witness.know(id, spec)

    def told(self, id: str, now: float) -> Any:
        for seen in self.seen.values():
            seen.actors = seen.reader.read(1)
            self.witness._read_tables(seen)
        return self.witness._promises(self.seen[id], now)[0]


def test_a_promise_is_due_only_while_its_input_comes_and_says_whether_others_see_data(tmp_path: Path) -> None:
    keeps = {"promises": (Promise(topic="Book", at_least_every_s=2.0, when="Raw"),)}
    house = House(tmp_path, a=child("a", "m:A", spec=keeps), b=child("b", "m:A", spec=keeps))
    mine, other = house.pages["a"].slots["a"].promises[0], house.pages["b"].slots["b"].promises[0]
    now = time.monotonic()
    assert (house.told("a", now).due, house.told("a", now).last_at) == (False, None)

    mine.came_in(int(now * 1e9))
    other.produced(Book(price=1.0))
    told = house.told("a", now)
    assert (told.due, told.inputs, told.elsewhere) == (True, 1, True)
    assert house.told("a", now + 60).due is False
    assert house.told("a", now + 60).elsewhere is False
    mine.produced(Book(price=1.0))
    assert (house.told("a", now).inputs, house.told("a", now).elsewhere) == (0, None)


def test_a_rhythm_is_the_median_gap_and_no_fault_is_learned_as_normal() -> None:
    rhythm = Rhythm()

    def look(count: int, at_s: float, good: bool = True) -> float | None:
        from supervisor.evidence.tables import PromiseVitals

        rhythm.learn(PromiseVitals("a", "Book", int(at_s * 1e9), count, 0, 0, 0, 0), good)
        return rhythm.median_s

    for n in range(1, 5):
        median = look(n * 10, n * 20.0)
    assert median == pytest.approx(2.0)
    assert look(41, 180.0, good=False) == pytest.approx(2.0)
    assert look(42, 380.0) == pytest.approx(2.0)


def test_equals_are_compared_by_what_a_message_costs_them(tmp_path: Path) -> None:
    house = House(tmp_path, **{id: child(id, "m:A") for id in ("a", "b", "c")}, z=child("z", "m:Z"))
    now = time.monotonic()
    for id, service_ms in (("a", 10.0), ("b", 1.0), ("c", 1.2), ("z", 500.0)):
        words = house.pages[id].slots[id].words
        words[vitals.TIMED], words[vitals.BUSY] = 100, int(100 * service_ms * 1e6)
        house.seen[id].actors = house.seen[id].reader.read(1)
        house.witness.count(house.seen[id], now)

    peers = house.witness.evidence(view("a"), house.seen["a"], None, Observer(), now).peers
    assert peers is None  # it is down
    found = house.witness._beside("a", house.seen["a"], now)
    assert found is not None
    assert (found.count, round(found.service_s, 4), round(found.median_s, 4)) == (2, 0.01, 0.0011)
    assert house.witness._beside("z", house.seen["z"], now) is None
    house.witness.ended("a", 1, ExitReason(kind=ExitKind.SHUTDOWN, code=0), True, "")
    assert house.witness._beside("a", house.seen["a"], now) is None, "the next life is not as slow as the last one"


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that carries the mark of the first incarnation of `a` and sits on a port."""
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 0))\n"
    code += "print(s.getsockname()[1], flush=True); time.sleep(600)"
    environment = {**os.environ, holders.UNIT: holders.mark(tmp_path, "a", 1)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def crashed(message: str) -> ExitReason:
    record = CrashRecord(phase="init", exceptions=("OSError",), message=message, frame="", location="", traceback="")
    return ExitReason(kind=ExitKind.CRASHED, code=1, crash=record, prior="conflict")


@pytest.mark.process
def test_what_an_earlier_life_left_behind_is_known_by_its_mark_and_named_as_the_holder_of_the_port(
    tmp_path: Path, orphan: subprocess.Popen[str]
) -> None:
    assert orphan.stdout is not None
    port = int(orphan.stdout.readline())
    left = Leftovers(tmp_path)
    assert left.wants(0.0)

    assert left.look(0.0, {"a": 2}, births=False) == {"a"}

    assert left.orphans("a") == (orphan.pid,)
    left.ended("a", crashed(f"[Errno 98] error while attempting to bind on address ('127.0.0.1', {port})"), 1.0, ())
    [holder] = left.holders("a")
    assert (holder.what, holder.pid, holder.ours) == (f"port {port}", orphan.pid, True)
    left.ended("b", crashed("Address already in use"), 1.0, (port,))  # another child: to it this is a stranger
    assert [(one.pid, one.ours) for one in left.holders("b")] == [(orphan.pid, False)]
    orphan.send_signal(signal.SIGKILL)
    orphan.wait()
    assert left.orphans("a") == ()


@pytest.mark.process
def test_the_living_life_is_nobodys_leftover_and_a_search_follows_an_end(
    tmp_path: Path, orphan: subprocess.Popen[str]
) -> None:
    left = Leftovers(tmp_path)
    assert left.look(0.0, {"a": 1}, births=False) == set()
    assert not left.wants(100.0)
    left.ended("a", ExitReason(kind=ExitKind.KILLED, signal=9), 100.0, ())
    assert not left.wants(100.0)
    assert left.wants(100.0 + AFTER_S)


@pytest.mark.process
def test_the_holder_of_a_lock_is_found_by_the_kernels_list(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    code = f"import fcntl, time; f = open({str(path)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
    code += "print(1, flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = holders.find((), (str(path),), tmp_path, "a", 0)
    finally:
        holder.kill()
        holder.communicate()
    assert [(one.pid, one.ours) for one in found] == [(holder.pid, False)]


CRASHES = [
    ("[Errno 98] Address already in use", (), ()),
    ("error while attempting to bind on address ('127.0.0.1', 8080): address already in use", (8080,), ()),
    ("Address already in use (addr='tcp://127.0.0.1:5555')", (5555,), ()),
    ("cannot listen on port 9000", (9000,), ()),
    ("/home/qt/run/feed.lock is held by process 12", (), ("/home/qt/run/feed.lock",)),
    ("feed_main.lock is held by process 12", (), ("feed_main.lock",)),
]


@pytest.mark.parametrize(("message", "ports", "locks"), CRASHES)
def test_ports_and_locks_are_read_from_a_crash(message: str, ports: tuple[int, ...], locks: tuple[str, ...]) -> None:
    record = crashed(message).crash
    assert record is not None
    assert holders.wanted(record) == (ports, locks)


def test_nobody_listens_on_a_free_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert holders.find((free.getsockname()[1],), (), "/nowhere", "a", 0) == ()
