"""What the tree does, told as short histories. Every one also runs under the judge in `tree_world`."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from supervisor.events import SENTENCES, Cause, SupervisionKind
from supervisor.spec import Backoff, Budget, InvalidSpec, supervise
from supervisor.tree import Due, Exited, GiveUp, Kill, Order, Ready, Shutdown, Started, Stop, Tree, Verb, Wake
from supervisor.words import CrashRecord, ExitKind, ExitReason, OnExhausted, Restart, State, Strategy
from tests.supervisor.tree_world import ASKED, CRASH, World, leaf, root

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
KILLED = ExitReason(kind=ExitKind.KILLED, signal=9, fingerprint="sigkill")
REFUSED = ExitReason(kind=ExitKind.REFUSED, detail="bad credentials")


def abc(strategy: Strategy = ONE, **b: object) -> World:
    return World(root(strategy, leaf("a"), leaf("b", **b), leaf("c")))


def different(n: int) -> ExitReason:
    return ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint=f"boom {n}")


# -- boot ---


def test_a_child_starts_when_the_one_before_it_is_ready() -> None:
    world = World(root(ONE, leaf("a"), supervise("s", ONE, [leaf("b"), leaf("c")]), leaf("d")))
    world.boot("a")
    assert world.states() == {"a": "ready", "b": "starting", "c": "waiting", "d": "waiting"}
    world.flow("b")
    assert world.states() == {"a": "ready", "b": "ready", "c": "starting", "d": "waiting"}
    assert world.state("s") is State.RUNNING
    world.flow()
    assert set(world.states().values()) == {"ready"}
    assert world.view("root").ready


def test_a_supervisor_on_its_way_down_to_come_back_is_waited_for() -> None:
    failing = supervise("s", ONE, [leaf("x"), leaf("y")], intensity=0, on_exhausted=OnExhausted.ESCALATE)
    world = World(root(ONE, failing, leaf("b"), leaf("c"))).boot("x", "y")
    world.die("x", worked=True)
    world.up("b")
    assert world.states() == {"x": "stopped", "y": "stopping", "b": "ready", "c": "waiting"}
    world.die("y", ASKED)
    assert world.states()["c"] == "starting", "it backs off now, and is not coming for a while"


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_failed_start_holds_nobody_back_and_touches_nobody(strategy: Strategy) -> None:
    world = abc(strategy, backoff=Backoff(initial_s=10)).boot("a")
    world.die("b")
    assert world.view("b").last_exit == ExitReason(kind=ExitKind.START_FAILED, code=1, fingerprint="boom")
    assert world.states() == {"a": "ready", "b": "restarting", "c": "starting"}
    world.flow("a", "c")
    world.wait(11)
    world.flow()
    assert set(world.states().values()) == {"ready"}
    assert world.since(0) == ["start a 1", "start b 1", "start c 1", "start b 2"]


def test_a_start_that_takes_too_long_is_killed_and_counts_as_a_failure() -> None:
    world = abc(start_timeout_s=5.0).boot("a")
    world.wait(4.9)
    assert world.state("b") is State.STARTING
    world.wait(0.2)
    assert world.since(0) == ["start a 1", "start b 1", "kill b 1"]
    world.die("b", KILLED)
    last = world.view("b").last_exit
    assert last is not None
    assert (last.kind, last.signal, last.detail) == (ExitKind.START_TIMEOUT, 9, "not ready within 5 s")
    assert world.states()["b"] == "restarting"
    assert world.view("b").restarts_in_window == 1


def test_where_a_judge_watches_starts_the_timer_is_only_the_last_resort() -> None:
    world = World(root(ONE, leaf("a", start_timeout_s=5.0)), patience=10.0).boot("none")
    world.wait(49.9)
    assert world.state("a") is State.STARTING
    world.wait(0.2)
    assert world.since(0) == ["start a 1", "kill a 1"]


def test_an_early_timer_is_asked_again() -> None:
    world = abc(start_timeout_s=5.0).boot("a")
    assert world.tell(Due("b")) == [Wake("b", world.now + 5.0)]


def test_incarnations_go_on_where_a_former_root_stopped_counting() -> None:
    world = World(root(ONE, leaf("a"), leaf("b")), incarnations={"a": 7, "gone": 3}).boot()
    assert world.since(0) == ["start a 8", "start b 1"]


def test_a_bad_spec_is_refused_with_all_its_faults() -> None:
    spec = root(ONE, leaf("a", shutdown_s=-1.0), leaf("a", start_timeout_s=0.0))
    with pytest.raises(InvalidSpec, match=r"shutdown_s is -1.*already used.*start_timeout_s"):
        Tree(spec, Random(0))
    with pytest.raises(InvalidSpec, match="name of the root is used again"):
        Tree(root(ONE, leaf("root")), Random(0))


# -- restart type x exit kind x strategy ---

ABNORMAL: set[ExitKind] = {kind for kind in ExitKind if kind not in (ExitKind.NORMAL, ExitKind.SHUTDOWN)}
RESTARTED: dict[Restart, set[ExitKind]] = {
    Restart.PERMANENT: set(ExitKind),
    Restart.TRANSIENT: ABNORMAL,
    Restart.TEMPORARY: set(),
}
RECYCLED = {
    ONE: ["start b 2"],
    ALL: ["stop c 1", "stop a 1", "start a 2", "start b 2", "start c 2"],
    REST: ["stop c 1", "start b 2", "start c 2"],
}


@pytest.mark.parametrize(("restart", "kind", "strategy"), list(itertools.product(Restart, ExitKind, Strategy)))
def test_restart_type_and_exit_kind_decide_and_the_strategy_says_who_shares_it(
    restart: Restart, kind: ExitKind, strategy: Strategy
) -> None:
    world = abc(strategy, restart=restart).boot()
    mark = len(world.actions)
    world.die("b", ExitReason(kind=kind), worked=True)
    world.flow()
    if kind not in RESTARTED[restart]:
        assert (world.since(mark), world.state("b")) == ([], State.STOPPED)
        assert world.view("b").restarts_in_window == world.view("root").restarts_in_window == 0
    elif kind is ExitKind.REFUSED:
        assert (world.since(mark), world.state("b")) == ([], State.QUARANTINED)
    else:
        assert (world.since(mark), world.state("b")) == (RECYCLED[strategy], State.READY)
        paid = 0 if kind is ExitKind.KILLED else 1
        assert world.view("b").restarts_in_window == world.view("root").restarts_in_window == paid
    assert world.states()["a"] == world.states()["c"] == "ready"


def test_in_a_group_each_death_is_confirmed_before_the_next_is_told() -> None:
    world = abc(ALL).boot()
    mark = len(world.actions)
    world.die("a", worked=True)
    assert world.since(mark) == ["stop c 1"]
    assert world.said(SupervisionKind.GROUP)[0].detail == "b, c"
    world.die("c", ASKED)
    assert world.since(mark) == ["stop c 1", "stop b 1"]
    world.die("b", ASKED)
    assert world.since(mark)[-1] == "start a 2"
    assert world.states() == {"a": "starting", "b": "waiting", "c": "waiting"}


def test_a_group_waits_for_the_backoff_of_the_one_that_fell() -> None:
    world = abc(REST, backoff=Backoff(initial_s=10)).boot()
    world.die("b")
    world.flow()
    assert world.states() == {"a": "ready", "b": "restarting", "c": "waiting"}
    world.wait(11)
    world.flow()
    assert set(world.states().values()) == {"ready"}


def test_a_temporary_sibling_that_fell_with_the_group_is_not_brought_back() -> None:
    world = World(root(ALL, leaf("a"), leaf("t", restart=Restart.TEMPORARY), leaf("z"))).boot()
    world.crash_and_return("a")
    assert world.states() == {"a": "ready", "t": "stopped", "z": "ready"}
    assert world.view("root").ready, "it ended as it should"


def test_a_group_takes_a_whole_supervisor_down_depth_first() -> None:
    world = World(root(REST, leaf("a"), supervise("s", ONE, [leaf("b"), leaf("c")]), leaf("d"))).boot()
    mark = len(world.actions)
    world.crash_and_return("a")
    assert world.since(mark) == [
        *("stop d 1", "stop c 1", "stop b 1"),
        *("start a 2", "start b 2", "start c 2", "start d 2"),
    ]
    assert (world.state("s"), world.view("s").incarnation) == (State.READY, 2)


def test_a_sibling_that_dies_by_itself_while_the_group_falls_keeps_its_reason_and_costs_nothing() -> None:
    world = abc(ALL).boot()
    world.die("a", worked=True)
    world.die("b", different(1))
    last = world.view("b").last_exit
    assert last is not None
    assert last.fingerprint == "boom 1"
    world.flow()
    assert set(world.states().values()) == {"ready"}
    assert world.view("root").restarts_in_window == 1


# -- backoff ---


def test_the_first_restart_after_useful_work_is_immediate_and_the_next_ones_wait() -> None:
    world = abc().boot()
    world.die("b", worked=True)
    assert world.state("b") is State.STARTING
    world.flow()
    world.die("b", worked=False)
    assert world.state("b") is State.RESTARTING
    assert 0 < (world.view("b").next_retry_at or 0) - world.now <= 0.5


def test_a_safety_child_waits_two_seconds_at_most_and_is_never_parked() -> None:
    spec = leaf("b", safety=True, budget=Budget(intensity=2), backoff=Backoff(initial_s=2, cap_s=2))
    world = World(root(ONE, leaf("a"), spec, intensity=3)).boot()
    for reason in [CRASH] * 9 + [REFUSED] * 4:
        world.die("b", reason)
        assert world.state("b") is State.RESTARTING
        assert (world.view("b").next_retry_at or 0) - world.now <= 2.0
        world.wait(2.1)
        world.flow()
    assert world.states() == {"a": "ready", "b": "ready"}
    assert world.said(SupervisionKind.EXHAUSTED)


# -- parking ---


@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_third_same_end_without_useful_work_parks_and_siblings_never_notice(strategy: Strategy) -> None:
    world = abc(strategy).boot()
    world.crash_and_return("b", worked=False)
    world.crash_and_return("b", worked=False)
    mark = len(world.actions)
    world.die("b")
    assert world.state("b") is State.QUARANTINED
    assert world.since(mark) == []
    parked = world.said(SupervisionKind.QUARANTINED)[0]
    assert parked.cause is Cause.CRASH_LOOP
    assert parked.sentence == (
        "b is quarantined (crash loop): 3 times in a row crashed with exit code 1; `release b` starts it again"
    )


@pytest.mark.parametrize(
    ("name", "ends"),
    {
        "useful work in between": [(CRASH, False, ""), (CRASH, False, ""), (CRASH, True, ""), (CRASH, False, "")],
        "another fingerprint": [(CRASH, False, ""), (CRASH, False, ""), (different(1), False, ""), (CRASH, False, "")],
        "other inputs": [(CRASH, False, "v1"), (CRASH, False, "v1"), (CRASH, False, "v2"), (CRASH, False, "v2")],
        "killed from outside": [(KILLED, False, "")] * 4,
    }.items(),
)
def test_what_is_not_a_crash_loop(name: str, ends: list[tuple[ExitReason, bool, str]]) -> None:
    world = abc().boot()
    for reason, worked, inputs in ends:
        world.crash_and_return("b", reason, worked=worked, inputs=inputs)
    assert world.state("b") is State.READY, name


def test_one_that_is_killed_soon_after_each_of_five_starts_is_parked() -> None:
    world = abc().boot()
    for _ in range(4):
        world.crash_and_return("b", KILLED, worked=False)
    world.die("b", KILLED, worked=False)
    assert world.state("b") is State.QUARANTINED
    assert world.said(SupervisionKind.QUARANTINED)[0].detail.startswith("5 times in a row killed")


def test_a_kill_from_outside_does_not_break_a_crash_loop() -> None:
    world = abc().boot()
    for reason in (CRASH, CRASH, KILLED):
        world.crash_and_return("b", reason, worked=False)
    world.die("b")
    assert world.state("b") is State.QUARANTINED


def test_a_typed_refusal_is_parked_at_once() -> None:
    crash = CrashRecord(
        phase="init", exceptions=("BadKey",), message="no", frame="f", location="l", traceback="", retryable=False
    )
    for reason in (REFUSED, ExitReason(kind=ExitKind.CRASHED, crash=crash)):
        world = abc().boot()
        world.die("b", reason, worked=True)
        assert world.states() == {"a": "ready", "b": "quarantined", "c": "ready"}
        assert world.said(SupervisionKind.QUARANTINED)[0].cause is Cause.REFUSED


def test_later_siblings_come_up_without_a_parked_one() -> None:
    world = World(root(REST, leaf("a"), leaf("b"), leaf("c"))).boot("a")
    world.die("b", REFUSED)
    world.flow()
    assert world.states() == {"a": "ready", "b": "quarantined", "c": "ready"}
    assert (world.state("root"), world.view("root").ready) == (State.READY, False)


def test_a_released_child_starts_with_a_clean_record() -> None:
    world = abc().boot()
    for _ in range(2):
        world.crash_and_return("b", worked=False)
    world.die("b")
    assert world.order_("release", "b").ok
    world.flow()
    world.crash_and_return("b", worked=False)
    world.crash_and_return("b", worked=False)
    assert world.state("b") is State.READY
    assert world.view("b").restarts_in_window == 2


# -- budgets and escalation ---


def test_a_spent_budget_parks_the_child_only_and_the_window_slides() -> None:
    world = abc(budget=Budget(intensity=2, period_s=10)).boot()
    for n in range(2):
        world.crash_and_return("b", different(n))
    world.wait(10.5)
    for n in range(2):
        world.crash_and_return("b", different(n))
    assert world.state("b") is State.READY
    world.die("b", different(3), worked=True)
    assert world.states() == {"a": "ready", "b": "quarantined", "c": "ready"}
    assert world.said(SupervisionKind.QUARANTINED)[0].cause is Cause.BUDGET


def spend(world: World, name: str = "b") -> None:
    """Crash after useful work until no restart is granted any more."""
    for n in range(50):
        if name not in world.processes:
            return
        world.die(name, different(n), worked=True)
        world.flow()
    raise AssertionError("the budget never ended")


def two_floors(child: OnExhausted, floor: OnExhausted, **top: object) -> World:
    b = leaf("b", budget=Budget(intensity=2), on_exhausted=child)
    s = supervise("s", ONE, [leaf("a"), b], on_exhausted=floor, **top)
    return World(supervise("root", ONE, [s, leaf("z")], intensity=1000)).boot()


def test_on_exhausted_quarantine_parks_the_child() -> None:
    world = two_floors(OnExhausted.QUARANTINE, OnExhausted.SHUTDOWN)
    spend(world)
    assert world.states() == {"a": "ready", "b": "quarantined", "z": "ready"}


def test_on_exhausted_halt_asks_for_a_halt_and_parks() -> None:
    world = two_floors(OnExhausted.HALT, OnExhausted.SHUTDOWN)
    spend(world)
    assert world.states() == {"a": "ready", "b": "quarantined", "z": "ready"}
    assert [record.id for record in world.said(SupervisionKind.HALT)] == ["b"]


def test_on_exhausted_escalate_lets_the_supervisor_park_the_subtree() -> None:
    world = two_floors(OnExhausted.ESCALATE, OnExhausted.QUARANTINE)
    spend(world)
    assert world.states() == {"a": "stopped", "b": "stopped", "z": "ready"}
    assert world.state("s") is State.QUARANTINED
    assert [record.id for record in world.said(SupervisionKind.ESCALATED)] == ["b"]
    assert world.order_("release", "s").ok
    world.flow()
    assert world.states() == {"a": "ready", "b": "ready", "z": "ready"}


def test_escalation_that_climbs_recycles_the_subtree_with_backoff() -> None:
    world = two_floors(OnExhausted.ESCALATE, OnExhausted.ESCALATE)
    for n in range(3):
        world.die("b", different(n), worked=True)
        if n < 2:
            world.flow()
    world.flow()
    assert world.state("s") is State.RESTARTING
    last = world.view("s").last_exit
    assert last is not None
    assert last.kind is ExitKind.MAX_RESTARTS
    assert world.view("root").restarts_in_window == 1
    world.wait(1.1)
    world.flow()
    assert world.states() == {"a": "ready", "b": "ready", "z": "ready"}
    assert world.view("s").incarnation == 2


@pytest.mark.parametrize(
    ("restart", "kind", "after"),
    [
        (Restart.PERMANENT, OnExhausted.SHUTDOWN, State.RESTARTING),
        (Restart.TRANSIENT, OnExhausted.SHUTDOWN, State.STOPPED),  # OTP's trap: giving up looks like an orderly end
        (Restart.TRANSIENT, OnExhausted.ESCALATE, State.RESTARTING),
        (Restart.TEMPORARY, OnExhausted.ESCALATE, State.STOPPED),
    ],
)
def test_a_supervisor_that_fails_is_judged_by_its_own_restart_type(
    restart: Restart, kind: OnExhausted, after: State
) -> None:
    world = two_floors(OnExhausted.QUARANTINE, kind, restart=restart, intensity=1)
    for n in range(2):
        world.die("b", different(n), worked=True)
        world.flow()
    assert world.state("s") is after
    assert world.states() == {"a": "stopped", "b": "stopped", "z": "ready"}


def test_a_supervisor_sees_the_common_cause_its_children_do_not() -> None:
    s = supervise("s", ONE, [leaf("a"), leaf("b"), leaf("c")], intensity=2)
    world = World(root(ONE, s, leaf("z"))).boot()
    for name in "ab":
        world.crash_and_return(name)
    world.die("c", worked=True)
    world.flow()
    assert world.state("s") is State.QUARANTINED
    assert world.states() == {"a": "stopped", "b": "stopped", "c": "stopped", "z": "ready"}
    assert world.said(SupervisionKind.QUARANTINED)[0].cause is Cause.INTENSITY


def test_the_root_never_gives_up_by_itself_and_parks_what_fell() -> None:
    world = World(root(ONE, leaf("a"), leaf("b"), intensity=1)).boot()
    world.crash_and_return("a")
    world.die("b", worked=True)
    assert world.states() == {"a": "ready", "b": "quarantined"}
    assert not [action for action in world.actions if isinstance(action, GiveUp)]


def test_a_root_whose_spec_says_shutdown_gives_up_in_order() -> None:
    world = World(root(ONE, leaf("a"), leaf("b"), intensity=1, on_exhausted=OnExhausted.SHUTDOWN)).boot()
    world.crash_and_return("a")
    turn = world.die("b", worked=True)
    assert [type(action) for action in turn if isinstance(action, GiveUp | Stop)] == [GiveUp, Stop]
    world.closing = True
    world.flow()
    assert world.ended == 1


def test_a_subtree_that_holds_a_safety_child_is_never_given_up() -> None:
    s = supervise("s", ONE, [leaf("a"), leaf("b", safety=True, backoff=Backoff(cap_s=2))], intensity=1)
    world = World(root(ONE, s)).boot()
    world.crash_and_return("b")
    world.crash_and_return("b")
    world.die("a", worked=True)
    assert world.states() == {"a": "quarantined", "b": "ready"}


def test_kills_from_outside_after_useful_work_cost_nothing_and_wait_for_nothing() -> None:
    world = abc(budget=Budget(intensity=2)).boot()
    for _ in range(30):
        world.die("b", KILLED, worked=True)
        assert world.state("b") is State.STARTING
        world.flow()
    assert world.view("b").restarts_in_window == 0
    assert world.view("b").restarts_total == 30


# -- convictions and echoes ---


def test_a_convicted_child_is_killed_and_counted_as_hung() -> None:
    world = abc().boot()
    assert Kill("b", 1, "no progress for 9 s, two keys") in world.convict("b")
    assert world.convict("b") == []
    world.die("b", KILLED, worked=True)
    last = world.view("b").last_exit
    assert last is not None
    assert (last.kind, last.detail) == (ExitKind.HUNG, "no progress for 9 s, two keys")
    assert world.view("b").restarts_in_window == 1


def test_a_child_that_hangs_in_its_stop_can_be_convicted_and_stays_stopped() -> None:
    world = abc(shutdown_s=float("inf")).boot()
    world.order_("stop", "b")
    assert Kill("b", 1, "no progress for 9 s, two keys") in world.convict("b")
    world.die("b", KILLED)
    assert world.state("b") is State.STOPPED


def test_every_kind_of_record_has_its_sentence() -> None:
    assert set(SENTENCES) == set(SupervisionKind)


def test_a_child_convicted_while_starting_is_not_convicted_again_by_its_timeout() -> None:
    world = abc(start_timeout_s=5.0).boot("a")
    world.convict("b")
    world.wait(10)
    assert world.since(0)[-2:] == ["start b 1", "kill b 1"]
    world.die("b", KILLED)
    last = world.view("b").last_exit
    assert last is not None
    assert last.kind is ExitKind.HUNG


def test_echoes_of_older_incarnations_change_nothing() -> None:
    world = abc().boot()
    world.die("b", worked=True)
    world.flow()
    for echo in (Exited("b", 1, CRASH, True), Ready("b", 1), Started("b", 1, 5), Exited("nobody", 1, CRASH, True)):
        assert world.tell(echo) == []
    assert world.view("b").incarnation == 2


# -- orders ---


def test_a_stopped_child_stays_stopped_through_the_restart_of_its_group_and_its_supervisor() -> None:
    world = World(root(ONE, supervise("s", ALL, [leaf("a"), leaf("b"), leaf("c")]))).boot()
    world.order_("stop", "b")
    world.flow()
    world.crash_and_return("a")
    assert world.states() == {"a": "ready", "b": "stopped", "c": "ready"}
    world.order_("restart", "s")
    world.flow()
    assert world.states() == {"a": "ready", "b": "stopped", "c": "ready"}
    assert world.order_("start", "b").code == "ok"
    world.flow()
    assert world.states()["b"] == "ready"


def test_an_order_before_boot_is_remembered() -> None:
    world = World(root(ONE, leaf("a"), leaf("b")))
    assert world.order_("stop", "a").code == "stopped"
    world.boot()
    assert world.states() == {"a": "stopped", "b": "ready"}


def test_restart_is_stop_then_confirmed_death_then_start() -> None:
    world = abc().boot()
    mark = len(world.actions)
    assert world.order_("restart", "b").code == "ok"
    assert world.since(mark) == ["stop b 1"]
    assert world.order_("restart", "b").code == "restarting"
    world.flow()
    assert world.since(mark) == ["stop b 1", "start b 2"]
    assert world.view("b").restarts_in_window == 0


def test_stop_of_a_supervisor_stops_its_subtree_in_reverse_and_start_brings_it_back() -> None:
    world = World(root(ONE, leaf("a"), supervise("s", ONE, [leaf("b"), leaf("c")]), leaf("d"))).boot()
    mark = len(world.actions)
    assert world.order_("stop", "s").ok
    world.flow()
    assert world.since(mark) == ["stop c 1", "stop b 1"]
    assert world.order_("start", "b").code == "supervisor_down"
    assert world.order_("start", "s").ok
    world.flow()
    assert world.since(mark) == ["stop c 1", "stop b 1", "start b 2", "start c 2"]


def test_an_ordered_stop_does_not_wait_for_a_slow_sibling() -> None:
    world = abc().boot()
    world.order_("stop", "c")
    world.order_("stop", "a")
    assert world.states() == {"a": "stopping", "b": "ready", "c": "stopping"}


def test_a_slow_ordered_stop_holds_up_nobodys_restart() -> None:
    world = abc().boot()
    world.order_("stop", "c")
    world.die("a", worked=True)
    assert world.states() == {"a": "starting", "b": "ready", "c": "stopping"}


@pytest.mark.parametrize("way", ["crash", "restart", "start"])
def test_a_child_that_comes_back_alone_does_not_wait_for_earlier_siblings(way: str) -> None:
    world = abc().boot()
    if way == "start":
        world.order_("stop", "c")
        world.flow()
    world.die("b", worked=True)
    if way == "crash":
        world.die("c", worked=True)
    else:
        world.order_(way, "c")
        world.flow("c")
    assert world.states()["b"] == "starting"
    assert world.view("c").incarnation == 2


def test_an_ordered_stop_outlives_the_fall_of_the_group() -> None:
    world = abc(ALL).boot()
    world.order_("stop", "c")
    mark = len(world.actions)
    world.die("a", worked=True)
    assert world.since(mark) == [], "b falls with the group, after the death of c"
    world.flow()
    assert world.states() == {"a": "ready", "b": "ready", "c": "stopped"}


def test_an_order_to_a_child_that_falls_with_its_group_keeps_the_order_of_the_fall() -> None:
    world = abc(ALL).boot()
    world.die("a", worked=True)
    mark = len(world.actions)
    assert world.order_("stop", "c").code == "ok"
    assert world.since(mark) == []
    world.flow()
    assert world.states() == {"a": "ready", "b": "ready", "c": "stopped"}


def test_a_stop_while_a_supervisor_fails_upward_keeps_it_down() -> None:
    world = two_floors(OnExhausted.ESCALATE, OnExhausted.ESCALATE)
    for n in range(2):
        world.die("b", different(n), worked=True)
        world.flow()
    world.die("b", different(2), worked=True)
    assert world.state("s") is State.STOPPING
    assert world.order_("stop", "s").text == "s stays down once incarnation 1 is confirmed dead"
    world.flow()
    world.wait(100)
    assert world.state("s") is State.STOPPED
    assert world.view("root").restarts_in_window == 0


def test_a_parked_child_stays_parked_when_its_supervisor_is_restarted() -> None:
    world = World(root(ONE, supervise("s", ONE, [leaf("a"), leaf("b")]))).boot()
    world.die("a", REFUSED)
    world.order_("restart", "s")
    world.flow()
    assert world.states() == {"a": "quarantined", "b": "ready"}


def test_a_subtree_that_is_being_parked_stays_parked_when_its_parent_is_restarted_meanwhile() -> None:
    s = supervise("s", ONE, [leaf("a"), leaf("b")], intensity=0)
    world = World(root(ONE, supervise("top", ONE, [s, leaf("z")]))).boot()
    world.die("b", worked=True)
    world.order_("restart", "top")
    world.flow()
    assert world.state("s") is State.QUARANTINED
    assert world.states() == {"a": "stopped", "b": "stopped", "z": "ready"}


def test_a_new_incarnation_of_a_supervisor_has_new_windows_for_itself_and_its_children() -> None:
    s = supervise("s", ONE, [leaf("a"), leaf("b", budget=Budget(intensity=1))], intensity=2)
    world = World(root(ONE, s)).boot()
    for _ in range(3):
        world.crash_and_return("b")
        world.crash_and_return("a")
        assert (world.view("s").restarts_in_window, world.view("b").restarts_in_window) == (2, 1)
        world.order_("restart", "s")
        world.flow()
        assert (world.view("s").restarts_in_window, world.view("b").restarts_in_window) == (0, 0)
    assert world.states() == {"a": "ready", "b": "ready"}


def test_a_child_stopped_while_starting_did_not_fail_to_start() -> None:
    world = abc().boot("a")
    world.order_("stop", "b")
    world.die("b", CRASH)
    assert world.view("b").last_exit == CRASH


def test_a_restart_is_shown_in_its_window_and_later_no_more() -> None:
    world = abc(budget=Budget(intensity=3, period_s=10.0)).boot()
    world.crash_and_return("b")
    world.tell(Due("nobody"))
    assert world.view("b").restarts_in_window == 1
    world.wait(10.1)
    world.tell(Due("nobody"))
    assert (world.view("b").restarts_in_window, world.view("b").restarts_total) == (0, 1)


def test_a_stop_cancels_a_pending_restart() -> None:
    world = abc().boot()
    world.die("b")
    assert world.order_("stop", "b").ok
    world.wait(100)
    assert world.state("b") is State.STOPPED


def test_a_start_is_possible_while_the_stop_is_still_under_way() -> None:
    world = abc().boot()
    world.order_("stop", "b")
    assert world.order_("start", "b").text == "b starts as soon as incarnation 1 is confirmed dead"
    world.flow()
    assert (world.state("b"), world.view("b").incarnation) == (State.READY, 2)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    world = World(root(ONE, leaf("risk_gate:main"), leaf("ledger")))
    answer = world.order_("stop", "risk_gate:mian")
    assert (answer.ok, answer.code) == (False, "not_found")
    assert answer.text == "there is no risk_gate:mian; did you mean risk_gate:main?"
    assert "known are root, risk_gate:main, ledger" in world.order_("stop", "xyz").text


def test_in_a_large_tree_an_unknown_name_is_answered_briefly_and_at_once() -> None:
    world = World(root(ONE, *(leaf(f"strategy:{n}") for n in range(3000))))
    assert world.order_("stop", "xyz").text.endswith("strategy:28 and 2971 more")
    assert world.order_("stop", "strateyg:77").text.endswith("did you mean strategy:77?")


def test_orders_the_tree_will_not_follow() -> None:
    world = abc().boot()
    assert world.order_("stop", "root").code == "root"
    odd = world.tell(Order("o", "explode", "b"))  # type: ignore[arg-type]
    assert [getattr(action, "code", "") for action in odd] == ["unknown_verb"]
    world.tell(Shutdown("enough"))
    assert world.order_("restart", "b").code == "shutting_down"


ANSWERS = {
    # state of b: start, stop, restart, release
    State.STOPPED: ("ok", "stopped", "ok", "stopped"),
    State.WAITING: ("waiting", "ok", "waiting", "waiting"),
    State.STARTING: ("already_started", "ok", "ok", "running"),
    State.RUNNING: ("already_started", "ok", "ok", "running"),
    State.READY: ("already_started", "ok", "ok", "running"),
    State.STOPPING: ("ok", "stopping", "ok", "stopping"),
    State.RESTARTING: ("restarting", "ok", "ok", "restarting"),
    State.QUARANTINED: ("quarantined", "stopped", "ok", "ok"),
}


@pytest.mark.parametrize(
    ("state", "verb", "code"),
    [(state, verb, code) for state, codes in ANSWERS.items() for verb, code in zip(Verb, codes, strict=True)],
)
def test_each_order_in_each_state_has_its_answer_and_is_followed(state: State, verb: Verb, code: str) -> None:
    world = world_with_b_in(state)
    answer = world.order_(verb, "b")
    assert answer.code == code
    assert answer.ok == (code == "ok" or verb is Verb.STOP)
    world.flow()
    world.wait(0.6)
    world.flow()
    if verb is Verb.STOP:
        assert world.state("b") is State.STOPPED
    elif answer.ok and code == "ok":
        assert world.state("b") is State.READY
    else:  # a refused order changes nothing: what would have happened, happens
        untouched = {State.STOPPED: State.STOPPED, State.STOPPING: State.STOPPED, State.QUARANTINED: State.QUARANTINED}
        assert world.state("b") is untouched.get(state, State.READY)


def world_with_b_in(state: State) -> World:
    if state is State.WAITING:
        world = abc()
        world.boot("nobody")
        return world
    if state in (State.STARTING, State.RUNNING):
        world = abc().boot("a")
        if state is State.RUNNING:
            process = world.processes["b"]
            process.started, process.pid = True, 5
            world.tell(Started("b", 1, 5))
    else:
        world = abc().boot()
    if state in (State.STOPPED, State.STOPPING):
        world.order_("stop", "b")
    if state is State.STOPPED:
        world.flow()
    if state is State.RESTARTING:
        world.die("b")
    if state is State.QUARANTINED:
        world.die("b", REFUSED)
    assert world.state("b") is state
    return world


# -- shutdown ---


def test_shutdown_stops_everything_in_reverse_order_and_then_says_so() -> None:
    world = World(root(ONE, leaf("a"), supervise("s", ONE, [leaf("b"), leaf("c")]), leaf("d"))).boot()
    mark = len(world.actions)
    world.tell(Shutdown("qt down"))
    world.flow()
    assert world.since(mark) == ["stop d 1", "stop c 1", "stop b 1", "stop a 1"]
    assert world.ended == 1


def test_shutdown_in_the_middle_of_a_failing_boot_ends_too() -> None:
    world = abc().boot("a")
    world.die("b")
    world.tell(Shutdown("enough"))
    world.flow()
    assert (world.ended, world.states()) == (1, {"a": "stopped", "b": "stopped", "c": "stopped"})


def test_shutdown_before_boot_ends_at_once() -> None:
    world = abc()
    world.tell(Shutdown("never mind"))
    assert world.ended == 1


def test_after_the_total_deadline_everything_is_killed_in_turn() -> None:
    patient = {"shutdown_s": float("inf")}
    world = World(root(ONE, leaf("a", **patient), leaf("b", **patient))).boot()
    turn = world.tell(Shutdown("enough", within_s=3.0))
    assert Stop("b", 1, 3.0, "enough") in turn
    world.wait(3.5)
    assert world.since(0)[-1] == "kill b 1"
    turn = world.die("b", KILLED)
    assert Stop("a", 1, 0.0, "enough") in turn
    world.flow()
    assert world.ended == 1
