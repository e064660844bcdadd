"""A node that supervises its own actors: the machine of the root, over threads."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.events import Supervision, SupervisionKind
from supervisor.evidence import vitals
from supervisor.moves import ChildView, Kept, Verb
from supervisor.plan import Route
from supervisor.runtime import link
from supervisor.runtime.codec import Decoder
from supervisor.runtime.journal import JournalReader, file_name
from supervisor.spec import Backoff, Budget, ChildSpec, member, node
from supervisor.words import ExitKind, OnExhausted, State, Strategy
from tests.supervisor.harness import Node, endpoint, short_home
from tests.supervisor.toy_actors import Fact, Heard

TOYS = "tests.supervisor.group_toys"
pytestmark = pytest.mark.process
FAST = Backoff(initial_s=0.01, cap_s=0.02)


@pytest.fixture
def home() -> Iterator[Path]:
    path = short_home()
    yield path
    shutil.rmtree(path)


class Pool:
    """A node of diarists `a`, `b` …; whatever it says over the link is remembered."""

    def __init__(
        self,
        home: Path,
        *members: ChildSpec | str,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        incarnation: int = 1,
        kept: dict[str, Kept] | None = None,
        shutdown_s: float = 5.0,
        hears: dict[str, tuple[Route, ...]] | None = None,
        **group: Any,
    ) -> None:
        self.home, self.diary = home, home / "diary"
        leaves = [self.diarist(one) if isinstance(one, str) else one for one in members]
        spec = node("pool", strategy, leaves, **{"intensity": 100, **group}).start
        self.node = Node(
            home,
            "pool",
            group=spec.group,  # type: ignore[union-attr]
            incarnation=incarnation,
            kept=kept,
            hears=hears,
            shutdown_s=shutdown_s,
        )
        self.views: dict[str, ChildView] = {}
        self.records: list[Supervision] = []
        self.others: list[link.FromNode] = []

    def diarist(self, name: str, kind: str = "Diarist", **spec: Any) -> ChildSpec:
        return member(name, f"{TOYS}:{kind}", spec={"backoff": FAST, **spec}, diary=str(self.home / "diary"))

    def hear(self, within_s: float = 0.05) -> None:
        self.node.line.settimeout(within_s)
        try:
            packet = self.node.line.recv(link.LARGEST)
        except TimeoutError:
            return
        if not packet:
            return
        word = link._from_node.decode(packet)
        if isinstance(word, link.Inside):
            self.views.update((view.id, view) for view in word.views)
        elif isinstance(word, link.Happened):
            self.records.append(word.record)
        else:
            self.others.append(word)

    def until(self, look: Callable[[], object], what: str, within_s: float = 10.0) -> None:
        deadline = time.monotonic() + within_s
        while not look():
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}\n{self.lines()}\n{self.records}"
            self.hear()

    def ready(self, *names: str) -> Pool:
        self.until(lambda: all(self.state(name) is State.READY for name in names), f"{names} ready")
        return self

    def state(self, name: str) -> State | None:
        return self.views[name].state if name in self.views else None

    def up(self, name: str, incarnation: int) -> bool:
        return self.state(name) is State.READY and self.views[name].incarnation == incarnation

    def tell(self, name: str, order: str) -> None:
        fresh = self.home / "order"
        fresh.write_text(order)
        fresh.replace(f"{self.diary}.{name}")

    def command(self, verb: Verb, name: str) -> link.Obeyed:
        order_id = f"order-{time.monotonic_ns()}"
        self.node.tell(link.Command(order_id=order_id, verb=verb, name=name))
        self.until(lambda: [w for w in self.others if isinstance(w, link.Obeyed) and w.order_id == order_id], "obeyed")
        return next(w for w in self.others if isinstance(w, link.Obeyed) and w.order_id == order_id)

    def said(self, kind: SupervisionKind) -> list[Supervision]:
        return [record for record in self.records if record.kind is kind]

    def lines(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def word(self, kind: type[link.Word]) -> Any:
        self.until(lambda: [word for word in self.others if isinstance(word, kind)], kind.__name__)
        return next(word for word in self.others if isinstance(word, kind))

    def stop(self) -> int:
        self.node.tell(link.StopNode(reason="test over"))
        return self.node.end()


def test_a_crash_inside_restarts_that_actor_alone_and_the_process_lives_on(home: Path) -> None:
    pool = Pool(home, "a", "b", "c").ready("a", "b", "c")
    pool.word(link.NodeReady)
    pool.node.tell(link.AskCanary(actor="c", name="you", n=1))
    assert pool.word(link.CanaryAnswered).answer == "c hears you"

    pool.tell("b", "raise")
    pool.until(lambda: pool.up("b", 2), "b is back")

    assert pool.views["a"].incarnation == pool.views["c"].incarnation == 1
    assert {view.pid for id, view in pool.views.items() if id != "pool"} == {pool.node.pid}
    [exited] = pool.said(SupervisionKind.EXITED)
    assert exited.exit is not None
    assert exited.exit.crash is not None
    assert (exited.path, exited.exit.kind, exited.exit.crash.exceptions) == (
        "pool/b",
        ExitKind.CRASHED,
        ("ValueError",),
    )
    assert "raise ValueError" in exited.exit.crash.traceback
    assert pool.stop() == 0
    assert [line for line in pool.lines() if "terminate" in line] == [
        "c 1 terminate", "b 2 terminate", "a 1 terminate"
    ]  # fmt: skip


@pytest.mark.parametrize(("order", "name"), [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
def test_not_even_a_system_exit_leaves_its_actor(home: Path, order: str, name: str) -> None:
    pool = Pool(home, "a", "b").ready("a", "b")

    pool.tell("a", order)
    pool.until(lambda: pool.up("a", 2), "a is back")

    assert pool.views["b"].incarnation == 1
    [exited] = pool.said(SupervisionKind.EXITED)
    assert exited.exit is not None
    assert exited.exit.crash is not None
    assert exited.exit.crash.exceptions == (name,)
    assert pool.stop() == 0


@pytest.mark.parametrize(("strategy", "lives"), [(Strategy.ONE_FOR_ALL, (2, 2, 2)), (Strategy.REST_FOR_ONE, (1, 2, 2))])
def test_strategies_hold_inside_a_node(home: Path, strategy: Strategy, lives: tuple[int, int, int]) -> None:
    pool = Pool(home, "a", "b", "c", strategy=strategy).ready("a", "b", "c")
    before = len(pool.lines())

    pool.tell("b", "raise")
    pool.until(lambda: all(pool.up(*pair) for pair in zip("abc", lives, strict=True)), "the group is back")

    expected = ["c 1 terminate"]
    expected += ["a 1 terminate", "a 2 init"] if lives[0] == 2 else []
    assert pool.lines()[before:] == [*expected, "b 2 init", "c 2 init"]
    assert pool.stop() == 0


def test_a_start_that_fails_is_reported_parked_and_touches_no_sibling(home: Path) -> None:
    bad = member("bad", f"{TOYS}:FailsToStart", spec={"backoff": FAST})
    gone = member("gone", f"{TOYS}:NoSuchActor", spec={"backoff": FAST})
    pool = Pool(home, "a", bad, gone, "z").ready("a", "z")
    pool.until(lambda: pool.state("bad") is pool.state("gone") is State.QUARANTINED, "the bad ones are parked")

    pool.word(link.NodeReady)

    first, missing = pool.views["bad"].last_exit, pool.views["gone"].last_exit
    assert first is not None
    assert missing is not None
    assert (first.kind, missing.kind) == (ExitKind.START_FAILED, ExitKind.START_FAILED)
    assert first.crash is not None
    assert missing.crash is not None
    assert (first.crash.phase, missing.crash.phase) == ("init", "import")
    assert pool.views["a"].incarnation == pool.views["z"].incarnation == 1
    assert pool.command(Verb.RELEASE, "bad").ok
    pool.until(lambda: pool.views["bad"].incarnation > 3, "it is tried again")
    assert pool.stop() == 0


def test_a_thread_that_will_not_end_is_a_zombie_fenced_and_costs_the_node(home: Path) -> None:
    pool = Pool(home, "a", member("b", f"{TOYS}:Talker", spec={"shutdown_s": 0.1}, diary=str(home / "diary")), "c")
    pool.ready("a", "b", "c")
    pool.tell("b", "hang")
    pool.until(lambda: "b 1 hangs" in pool.lines(), "b hangs")
    reader = vitals.Reader(home / "vitals" / vitals.file_name("pool"))
    assert next(one for one in reader.read() if one.actor == "b").in_hand_since_ns

    assert pool.command(Verb.RESTART, "b").ok
    pool.until(lambda: pool.state("b") is State.ZOMBIE, "b is shown as a zombie")
    farewell = pool.word(link.Farewell)

    assert farewell.kind is ExitKind.HUNG
    assert "zombie b incarnation 1: its thread did not end within 0.1 s (phase first-work" in farewell.detail
    assert "group_toys.py" in farewell.stacks
    assert pool.node.end() == 1
    assert pool.lines()[-2:] == ["c 1 terminate", "a 1 terminate"]
    assert not [line for line in pool.lines() if line.startswith("b 2")]
    [zombie] = pool.said(SupervisionKind.ZOMBIE)
    assert zombie.id == "b"


def test_a_zombie_that_wakes_up_says_nothing_any_more(home: Path) -> None:
    slow = member("slow", f"{TOYS}:Slow", spec={"shutdown_s": 2.0}, diary=str(home / "diary"))
    pool = Pool(home, slow, member("b", f"{TOYS}:Talker", spec={"shutdown_s": 0.0}, diary=str(home / "diary")))
    pool.ready("slow", "b")
    pool.tell("b", "hang")
    pool.until(lambda: "b 1 hangs" in pool.lines(), "b hangs")

    pool.command(Verb.STOP, "b")
    pool.until(lambda: pool.state("b") is State.ZOMBIE, "b is a zombie")
    Path(f"{pool.diary}.wake").touch()
    pool.until(lambda: "b 1 woke" in pool.lines(), "it wakes up while its sibling still ends")

    assert pool.node.end() == 1
    assert not [line for line in pool.lines() if "caught" in line or "allowed" in line]
    assert JournalReader(home / "journal" / file_name("b")).topics() == {}


def test_a_node_that_is_asked_to_stop_ends_in_time_though_one_inside_will_not(home: Path) -> None:
    pool = Pool(home, "a", "b", "c", shutdown_s=0.3).ready("a", "b", "c")
    pool.tell("b", "hang")
    pool.until(lambda: "b 1 hangs" in pool.lines(), "b hangs")

    asked = time.monotonic()
    code = pool.stop()

    assert code == 1
    assert time.monotonic() - asked < 5.0  # 0.3 s of patience and 0.2 s after it; b alone would have had 5 s
    assert pool.lines()[-2:] == ["c 1 terminate", "a 1 terminate"]


def test_brutal_kill_of_a_thread_that_listens_costs_only_its_farewell(home: Path) -> None:
    pool = Pool(home, "a", member("b", f"{TOYS}:Diarist", spec={"shutdown_s": 0.0}, diary=str(home / "diary")))
    pool.ready("a", "b")

    assert pool.command(Verb.RESTART, "b").ok
    pool.until(lambda: pool.up("b", 2), "b is back")

    assert not [line for line in pool.lines() if "terminate" in line]
    assert pool.views["a"].incarnation == 1
    assert pool.stop() == 0


def test_a_hearer_that_crashes_beside_its_teller_loses_nothing_and_does_nothing_twice(home: Path) -> None:
    told = "tests.supervisor.toy_actors"
    pool = Pool(
        home,
        member("teller", f"{told}:Teller", count=200),
        member("hearer", f"{told}:Hearer", spec={"backoff": FAST}, dies_at=20),
        hears={"hearer": (Route(sender="teller", endpoint=endpoint(home, "pool"), topics=("Fact",)),)},
    )
    reader, decoder = JournalReader(home / "journal" / file_name("hearer")), Decoder((Fact, Heard))

    def heard() -> list[Heard]:
        return [decoder.decode(said.frame).body for said in reader.since("Heard", 0)]

    pool.until(lambda: len(heard()) >= 200, "all is heard")

    assert [h.n for h in heard()] == list(range(1, 201))
    assert [h.life for h in heard()] == [1] * 19 + [2] * 181
    assert pool.stop() == 0


def test_a_start_that_never_ends_costs_the_node_too(home: Path) -> None:
    pool = Pool(home, "a", member("n", f"{TOYS}:NeverReady", spec={"start_timeout_s": 0.1}))

    farewell = pool.word(link.Farewell)

    assert "zombie n incarnation 1" in farewell.detail
    assert "phase init" in farewell.detail
    assert pool.node.end() == 1


@pytest.mark.parametrize("answer", [OnExhausted.ESCALATE, OnExhausted.SHUTDOWN])
def test_a_supervisor_inside_that_gives_up_ends_its_node_as_max_restarts(home: Path, answer: OnExhausted) -> None:
    spent = {"budget": Budget(intensity=1, period_s=60), "on_exhausted": OnExhausted.ESCALATE, "backoff": FAST}
    pool = Pool(home, "z", member("a", f"{TOYS}:Diarist", spec=spent, diary=str(home / "diary")), on_exhausted=answer)
    pool.ready("a")
    pool.tell("a", "raise")
    pool.until(lambda: pool.up("a", 2), "once is allowed")

    pool.tell("a", "raise")
    farewell = pool.word(link.Farewell)

    assert farewell.kind is ExitKind.MAX_RESTARTS
    assert "the last for a: crashed: ValueError: as told" in farewell.detail
    assert pool.node.end() == 1
    assert "z 1 terminate" in pool.lines()


def test_incarnations_go_on_when_the_node_is_replaced_and_what_was_stopped_stays_down(home: Path) -> None:
    pool = Pool(home, "a", "b").ready("a", "b")
    pool.tell("a", "raise")
    pool.until(lambda: pool.up("a", 2), "a is back")
    os.kill(pool.node.pid, 9)
    pool.node.end()

    again = Pool(home, "a", "b", incarnation=2, kept={"b": Kept(State.STOPPED)})
    again.ready("a")

    assert again.views["a"].incarnation == 3
    assert again.state("b") is State.STOPPED
    assert again.command(Verb.START, "b").ok
    again.until(lambda: again.up("b", 2), "b is up")
    assert again.stop() == 0


def test_orders_are_answered_with_the_codes_of_the_one_table(home: Path) -> None:
    pool = Pool(home, "a", "b").ready("a", "b")

    assert pool.command(Verb.START, "a").code == "already_started"
    assert pool.command(Verb.STOP, "nobody").code == "not_found"
    assert pool.command(Verb.STOP, "a").ok
    pool.until(lambda: pool.state("a") is State.STOPPED, "a is down")
    assert pool.command(Verb.RESTART, "a").ok
    pool.until(lambda: pool.up("a", 2), "a is up")
    assert pool.views["b"].incarnation == 1
    assert pool.stop() == 0


def test_a_hundred_and_fifty_light_actors_share_one_process_and_open_nothing(home: Path) -> None:
    names = [f"light-{n}" for n in range(150)]
    pool = Pool(home, *(member(name, f"{TOYS}:Light") for name in names))
    pool.ready(*names)

    assert len(list(Path(f"/proc/{pool.node.pid}/fd").iterdir())) < 40
    assert not list(home.glob("journal/*"))
    assert len(vitals.read(home / "vitals" / vitals.file_name("pool"))) == 151
    assert pool.stop() == 0
