"""The table of orders is complete, and a refusal moves nothing."""

from __future__ import annotations

import itertools

import pytest

from supervisor.moves import Verb
from supervisor.policy import orders
from supervisor.words import State

VERBS = [*Verb, "remove"]


@pytest.mark.parametrize(("verb", "state", "comes_back"), list(itertools.product(VERBS, State, (False, True))))
def test_every_verb_has_a_ruling_in_every_state(verb: str, state: State, comes_back: bool) -> None:
    ruling = orders.rule(verb, state, comes_back=comes_back)
    assert ruling.text.format(id="x", incarnation=1, pid=2).startswith("x ")
    assert ruling.ok or ruling.move is orders.Move.NOTHING


def test_a_spec_is_deleted_only_when_stopped_as_in_otp_and_a_dynamic_child_whenever_it_can_end() -> None:
    codes = {state: orders.rule("remove", state, comes_back=False).code for state in State}
    assert codes == {
        **dict.fromkeys((State.STARTING, State.RUNNING, State.READY), "running"),
        **dict.fromkeys((State.WAITING, State.RESTARTING), "restarting"),
        **dict.fromkeys((State.STOPPED, State.STOPPING, State.QUARANTINED), "ok"),
        State.ZOMBIE: "zombie",
    }
    assert orders.rule("remove", State.STOPPING, comes_back=True).code == "restarting"
    assert {state for state, ruling in orders.DYNAMIC_REMOVE.items() if not ruling.ok} == {State.ZOMBIE}


def test_what_comes_back_by_itself_is_told_so_and_can_still_be_stopped() -> None:
    rulings = {verb: orders.rule(verb, State.STOPPING, comes_back=True) for verb in Verb}
    assert {verb: ruling.code for verb, ruling in rulings.items()} == {
        Verb.START: "restarting",
        Verb.STOP: "ok",
        Verb.RESTART: "restarting",
        Verb.RELEASE: "restarting",
    }
    assert rulings[Verb.STOP].move is orders.Move.STOP
