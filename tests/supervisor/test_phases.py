"""The phases of an orderly end, as stories of the pure machine. `now` is a number here."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from supervisor import spec as specs
from supervisor.phases import PHASES, Abort, Begin, Done, Due, Failed, Over, Phases, StopTree, Tell, Wake
from supervisor.spec import child, supervise
from supervisor.words import ShutdownPhase, Strategy


def begin(within_s: float = 25.0, **tasks: Any) -> Begin:
    """`stop_intake=("gate",)` … becomes the phases' own names."""
    return Begin(reason="test", within_s=within_s, tasks={name.replace("_", "-"): who for name, who in tasks.items()})


def test_without_participants_the_tree_is_stopped_at_once_with_the_whole_time() -> None:
    assert Phases().handle(begin(), 0.0) == [StopTree(25.0)]


def test_phases_come_in_their_order_and_the_next_waits_for_all_of_the_one_before() -> None:
    phases = Phases()
    told = phases.handle(begin(persist=("ledger",), stop_intake=("gate", "door")), 0.0)
    assert told == [Tell("stop-intake", ("gate", "door"), 2.0), Wake(2.0)]
    assert phases.handle(Done("stop-intake", "gate"), 0.1) == []
    assert phases.current == "stop-intake"
    over, tell, _ = phases.handle(Done("stop-intake", "door"), 0.2)
    assert isinstance(over, Over)
    assert (over.outcome.phase, over.outcome.tasks, over.outcome.took_s, over.outcome.faults) == (
        "stop-intake",
        2,
        0.2,
        (),
    )
    assert isinstance(tell, Tell)
    assert tell.phase == "persist"
    _, stop = phases.handle(Done("persist", "ledger"), 0.5)
    assert stop == StopTree(24.5)
    assert phases.current == "stop-tree"


def test_one_that_is_late_or_fails_is_named_and_the_end_goes_on() -> None:
    phases = Phases()
    phases.handle(begin(stop_intake=("gate", "door"), stop_strategies=("brain",)), 0.0)
    assert phases.handle(Due(), 1.9) == []  # too early: a timer of somebody else
    phases.handle(Failed("stop-intake", "door", "it ended"), 1.95)
    over, tell, _ = phases.handle(Due(), 2.0)
    assert isinstance(over, Over)
    assert over.outcome.faults == ("door: it ended", "gate: not done within 2 s")
    assert isinstance(tell, Tell)
    assert phases.handle(Done("stop-intake", "gate"), 2.1) == []  # too late: nothing
    assert phases.handle(Done("stop-strategies", "nobody"), 2.1) == []
    assert phases.handle(Done("stop-strategies", "brain"), 2.2)[-1] == StopTree(22.8)


def test_a_phase_that_may_not_fail_aborts_the_end_and_another_try_starts_from_the_beginning() -> None:
    phases = Phases()
    asked = begin(stop_intake=("gate",), flatten=("execution",))
    phases.handle(asked, 0.0)
    phases.handle(Done("stop-intake", "gate"), 0.1)
    over, abort = phases.handle(Failed("flatten", "execution", "the venue does not answer"), 1.0)
    assert isinstance(over, Over)
    assert isinstance(abort, Abort)
    assert "execution: the venue does not answer" in abort.why
    assert (phases.current, phases.aborted) == ("", abort.why)
    assert phases.handle(asked, 5.0)[0] == Tell("stop-intake", ("gate",), 2.0)
    assert phases.aborted == ""


def test_who_cannot_be_refused_is_not() -> None:
    phases = Phases()
    phases.handle(Begin(reason="SIGTERM", tasks={"flatten": ("execution",)}, within_s=25.0, abortable=False), 0.0)
    assert phases.handle(Failed("flatten", "execution", "no"), 1.0)[-1] == StopTree(24.0)


def test_asked_again_it_changes_nothing_but_may_become_stricter() -> None:
    phases = Phases()
    asked = begin(flatten=("execution",))
    phases.handle(asked, 0.0)
    assert phases.handle(asked, 1.0) == []
    signal = Begin(reason="SIGTERM", tasks={}, within_s=25.0, abortable=False)
    assert phases.handle(signal, 1.0) == []
    assert phases.handle(Due(), 10.0)[-1] == StopTree(15.0)


def test_force_gives_up_what_is_under_way_and_all_that_would_follow() -> None:
    phases = Phases()
    phases.handle(begin(flatten=("execution",), persist=("ledger",)), 0.0)
    over, stop = phases.handle(Begin(reason="force", tasks={}, within_s=25.0, force=True), 1.0)
    assert isinstance(over, Over)
    assert over.outcome.faults == ("execution: given up by force",)
    assert stop == StopTree(24.0)


TASKS = st.dictionaries(
    st.sampled_from([str(phase.name) for phase in PHASES]),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True),
)


@given(tasks=TASKS, within_s=st.floats(0.1, 60), answers=st.lists(st.sampled_from(["done", "failed", "late"])))
def test_it_always_ends_within_the_deadline_keeps_time_for_the_tree_and_tells_each_phase_once(
    tasks: dict[str, list[str]], within_s: float, answers: list[str]
) -> None:
    phases, now, told = Phases(), 100.0, []
    out = phases.handle(Begin(reason="x", tasks=tasks, within_s=within_s, abortable=False), now)
    kinds = iter(answers)
    while not isinstance(out[-1], StopTree):
        tell, wake = out[-2:]
        assert isinstance(tell, Tell)
        assert isinstance(wake, Wake)
        told.append(tell.phase)
        out = []
        for task in tell.tasks:
            answer = next(kinds, "late")
            if answer != "late":
                word = Done(tell.phase, task) if answer == "done" else Failed(tell.phase, task, "no")
                out = phases.handle(word, now) or out
        if not out:
            now = wake.at
            out = phases.handle(Due(), now)
    order = [str(phase) for phase in ShutdownPhase]
    assert told == sorted(tasks, key=order.index)
    assert out[-1].within_s >= min(10.0, within_s / 2) - 1e-6
    assert now <= 100.0 + within_s


def test_a_phase_nobody_knows_is_refused_with_the_nearest_name() -> None:
    wrong = child("brain", "m:C", spec={"phases": ("stop-strategy",)})
    last = child("gate", "m:C", spec={"phases": ("stop-tree",)})
    faults = specs.check(supervise("root", Strategy.ONE_FOR_ONE, [wrong, last]))
    assert faults[0] == "root/brain: phases is 'stop-strategy'; did you mean stop-strategies?"
    assert "stop-tree" in faults[1]
