"""The vote as a table, and what must hold whatever the members say."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.signals import Action
from actors.rules.ensemble import Pool, Probabilities, Reason, combine

EQUAL = (0.25, 0.25, 0.25, 0.25)
UP: Probabilities = (0.8, 0.15, 0.05)
DOWN: Probabilities = (0.05, 0.15, 0.8)
FLAT: Probabilities = (0.2, 0.6, 0.2)
THIRDS: Probabilities = (1 / 3, 1 / 3, 1 / 3)
WEAK: Probabilities = (0.5, 0.3, 0.2)
NONE = None


def pool(**changes: Any) -> Pool:
    terms: dict[str, Any] = {
        "weights": EQUAL, "confidence": 0.6, "move_up_bps": 25.0, "move_down_bps": 20.0, "cost_bps": 10.0,
    }  # fmt: skip
    return Pool(**{**terms, **changes})


@pytest.mark.parametrize(
    ("answers", "terms", "action", "reason"),
    [
        ([UP] * 4, {}, Action.BUY, ""),
        ([DOWN] * 4, {}, Action.SELL, ""),
        ([UP, UP, UP, NONE], {}, Action.BUY, ""),
        ([NONE, DOWN, DOWN, DOWN], {}, Action.SELL, ""),
        ([UP, UP, NONE, NONE], {}, Action.HOLD, Reason.NO_QUORUM),
        ([NONE] * 4, {}, Action.HOLD, Reason.NO_QUORUM),
        ([UP, UP, UP, NONE], {"weights": (0.1, 0.2, 0.2, 0.5)}, Action.HOLD, Reason.NO_QUORUM),
        ([UP, UP, UP, NONE], {"weights": (0.2, 0.2, 0.2, 0.4)}, Action.BUY, ""),  # exactly 0.6
        ([UP, UP, UP, NONE], {"weights": (2, 2, 2, 4)}, Action.BUY, ""),  # weights are shares of their sum
        ([UP] * 3 + [DOWN], {"weights": (0.0, 0.0, 0.0, 1.0)}, Action.SELL, ""),
        ([UP, UP, UP, NONE], {"weights": (0.0, 0.0, 0.0, 1.0)}, Action.HOLD, Reason.NO_QUORUM),
        ([UP, UP, DOWN, DOWN], {}, Action.HOLD, Reason.TIE),
        ([THIRDS] * 4, {}, Action.HOLD, Reason.TIE),
        ([(0.45, 0.45, 0.1)] * 4, {"confidence": 0.3}, Action.HOLD, Reason.TIE),
        ([(0.1, 0.45, 0.45)] * 4, {"confidence": 0.3}, Action.HOLD, Reason.TIE),
        ([FLAT] * 4, {}, Action.HOLD, Reason.FLAT),
        ([WEAK] * 4, {}, Action.HOLD, Reason.CONFIDENCE),
        ([WEAK] * 4, {"confidence": 0.5, "cost_bps": 5.0}, Action.BUY, ""),
        ([UP] * 4, {"cost_bps": 19.0}, Action.HOLD, Reason.EDGE),  # 0.8 * 25 - 0.05 * 20 = 19, and the spread
        ([UP] * 4, {"cost_bps": 17.9}, Action.BUY, ""),
        ([DOWN] * 4, {"cost_bps": 14.75}, Action.HOLD, Reason.EDGE),  # 0.8 * 20 - 0.05 * 25 = 14.75
        ([DOWN] * 4, {"cost_bps": 13.7}, Action.SELL, ""),
    ],
)
def test_the_first_no_in_fixed_order_is_the_reason_to_hold(
    answers: list[Probabilities | None], terms: dict[str, Any], action: Action, reason: str
) -> None:
    decision = combine(answers, pool(**terms), spread_bps=1.0)
    assert (decision.action, decision.reason) == (action, reason)


def test_agreement_is_the_weight_of_the_voters_whose_own_favourite_is_the_action() -> None:
    decision = combine([UP, UP, UP, FLAT], pool(weights=(0.4, 0.3, 0.2, 0.1)), 0.0)
    assert decision.action is Action.BUY
    assert decision.agreement == pytest.approx(0.9)
    assert decision.edge_bps == pytest.approx(decision.p_up * 25 - decision.p_down * 20 - 10)
    without = combine([UP, UP, NONE, UP], pool(weights=(0.4, 0.3, 0.2, 0.1)), 0.0)
    assert without.agreement == pytest.approx(1.0)


def test_without_quorum_there_is_no_opinion() -> None:
    decision = combine([UP, UP, NONE, NONE], pool(), 0.0)
    assert (decision.p_up, decision.p_flat, decision.p_down) == pytest.approx(THIRDS)
    assert (decision.confidence, decision.agreement, decision.edge_bps) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": ()}, "ensemble weights"),
        ({"weights": (0.5, -0.1, 0.3, 0.3)}, "ensemble weights"),
        ({"weights": (0.0, 0.0, 0.0, 0.0)}, "ensemble weights"),
        ({"weights": (math.nan, 1.0, 1.0, 1.0)}, "ensemble weights"),
        ({"quorum": 0}, "wanted 1 to 4"),
        ({"quorum": 5}, "wanted 1 to 4"),
        ({"confidence": 1.1}, "ensemble confidence 1.1"),
        ({"quorum_weight": 0.0}, "ensemble quorum_weight 0.0"),
        ({"cost_bps": math.nan}, "ensemble cost_bps nan"),
        ({"move_up_bps": -1.0}, "ensemble move_up_bps -1.0"),
    ],
)
def test_terms_no_vote_can_be_held_under_are_refused_by_name(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pool(**changes)


def test_a_number_of_answers_that_is_not_the_number_of_members_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"zip\(\)"):
        combine([UP, UP, UP], pool(), 0.0)


shares = (
    st.tuples(*[st.floats(0.0, 1.0)] * 3)
    .filter(lambda p: sum(p) > 0.01)
    .map(lambda p: (p[0] / sum(p), p[1] / sum(p), p[2] / sum(p)))
)
votes = st.lists(st.one_of(st.none(), shares), min_size=4, max_size=4)
weights = st.tuples(*[st.floats(0.05, 0.6)] * 4)


@given(votes, weights, st.floats(0.34, 0.9), st.floats(0.0, 30.0), st.floats(0.0, 5.0))
def test_an_action_always_has_quorum_confidence_and_edge_and_is_the_favourite(
    answers: list[Probabilities | None], w: Any, confidence: float, cost: float, spread: float
) -> None:
    terms = pool(weights=w, confidence=confidence, cost_bps=cost)
    decision = combine(answers, terms, spread)
    assert decision.p_up + decision.p_flat + decision.p_down == pytest.approx(1.0)
    if decision.action is Action.HOLD:
        assert decision.reason in {"NO_QUORUM", "TIE", "FLAT", "CONFIDENCE", "EDGE"}
        return
    voters = [weight for weight, answer in zip(w, answers, strict=True) if answer is not None]
    assert len(voters) >= 3
    assert sum(voters) >= 0.6 * sum(w) - 1e-6
    assert decision.reason == ""
    assert decision.confidence >= confidence
    assert decision.edge_bps > 0.0
    assert 0.0 <= decision.agreement <= 1.0 + 1e-9
    chosen = decision.p_up if decision.action is Action.BUY else decision.p_down
    assert chosen == decision.confidence == max(decision.p_up, decision.p_flat, decision.p_down)


@given(votes, weights)
def test_mirrored_answers_give_the_mirrored_action(answers: list[Probabilities | None], w: Any) -> None:
    terms = pool(weights=w, move_down_bps=25.0, confidence=0.4, cost_bps=1.0)
    mirrored = [None if one is None else (one[2], one[1], one[0]) for one in answers]
    first, second = combine(answers, terms, 0.5), combine(mirrored, terms, 0.5)
    other = {Action.BUY: Action.SELL, Action.SELL: Action.BUY, Action.HOLD: Action.HOLD}
    assert second.action is other[first.action]
    assert second.reason == first.reason


@given(votes, weights, st.integers(0, 3))
def test_an_abstention_never_turns_a_buy_into_a_sell_of_the_same_voters(
    answers: list[Probabilities | None], w: Any, silent: int
) -> None:
    """What the others say decides: the pool without one member is the pool of the others, weights renewed."""
    muted = [None if k == silent else one for k, one in enumerate(answers)]
    with_zero = combine(muted, pool(weights=w, quorum=1, quorum_weight=1e-6), 0.0)
    others = [one for k, one in enumerate(answers) if k != silent]
    rest = tuple(weight for k, weight in enumerate(w) if k != silent)
    alone = combine(others, pool(weights=rest, quorum=1, quorum_weight=1e-6), 0.0)
    assert with_zero.action is alone.action
    assert with_zero.p_up == pytest.approx(alone.p_up)
