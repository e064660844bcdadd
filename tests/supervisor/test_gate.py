"""The gate: who waits for a dependency is tried again when it answers, and not on a guess."""

from __future__ import annotations

import pytest

from supervisor.verdict.evidence import Death, DependencySample, Evidence
from supervisor.verdict.gate import opens
from supervisor.words import CrashRecord, ExitKind, ExitReason, State

DIED = Death(at=100.0, fingerprint="refused", prior="upstream", worked=False)


def venue(**fields: object) -> DependencySample:
    return DependencySample(name="venue", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dependencies", "open_"),
    [
        ((venue(probe_ok=True, probe_at=101.0),), True),
        ((venue(probe_ok=True, probe_at=99.0),), False),  # an answer from before the end proves nothing
        ((venue(probe_ok=False, probe_at=101.0),), False),
        ((venue(),), False),  # unknown is never a pass
        ((venue(owner="db", owner_up=True),), True),
        ((venue(owner="db", owner_up=False),), False),
        ((venue(owner="db", owner_up=True, probe_ok=False, probe_at=101.0),), False),
        ((venue(probe_ok=True, probe_at=101.0), venue(probe_ok=False, probe_at=101.0)), False),
        ((), False),
    ],
)
def test_the_gate_opens_only_on_an_answer_given_since_the_end(
    dependencies: tuple[DependencySample, ...], open_: bool
) -> None:
    evidence = Evidence(name="feed", state=State.RESTARTING, deaths=(DIED,), dependencies=dependencies)
    assert bool(opens(evidence)) == open_


def test_an_answer_opens_nothing_for_one_that_ended_over_an_answer_it_could_not_read() -> None:
    crash = CrashRecord(
        phase="steady", exceptions=("JSONDecodeError",), message="", frame="", location="", traceback=""
    )
    evidence = Evidence(
        name="feed",
        state=State.RESTARTING,
        deaths=(DIED,),
        dependencies=(venue(probe_ok=True, probe_at=101.0),),
        last_exit=ExitReason(kind=ExitKind.CRASHED, code=1, crash=crash),
    )
    assert opens(evidence) == ""


@pytest.mark.parametrize("state", [state for state in State if state is not State.RESTARTING])
def test_there_is_no_gate_for_one_that_does_not_wait_to_be_tried_again(state: State) -> None:
    well = (venue(probe_ok=True, probe_at=101.0),)
    assert opens(Evidence(name="feed", state=state, deaths=(DIED,), dependencies=well)) == ""
