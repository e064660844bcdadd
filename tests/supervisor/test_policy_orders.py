"""The table of orders is complete, and a refusal moves nothing."""

from __future__ import annotations

import itertools

import pytest

from supervisor.moves import Verb
from supervisor.policy import orders
from supervisor.words import State


@pytest.mark.parametrize(("verb", "state", "comes_back"), list(itertools.product(Verb, State, (False, True))))
def test_every_verb_has_a_ruling_in_every_state(verb: Verb, state: State, comes_back: bool) -> None:
    ruling = orders.rule(verb, state, comes_back=comes_back)
    assert ruling.text.format(id="x", incarnation=1, pid=2).startswith("x ")
    assert ruling.ok or ruling.move is orders.Move.NOTHING


def test_what_comes_back_by_itself_is_told_so_and_can_still_be_stopped() -> None:
    rulings = {verb: orders.rule(verb, State.STOPPING, comes_back=True) for verb in Verb}
    assert {verb: ruling.code for verb, ruling in rulings.items()} == {
        Verb.START: "restarting",
        Verb.STOP: "ok",
        Verb.RESTART: "restarting",
        Verb.RELEASE: "restarting",
    }
    assert rulings[Verb.STOP].move is orders.Move.STOP
