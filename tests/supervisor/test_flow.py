"""The first broken link of a chain, from counters: table, and what must hold for any of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.plan import ChainLink
from supervisor.runtime import flowing
from supervisor.runtime.flowing import Flowing
from supervisor.verdict.flow import ENOUGH, Broken, Link, Shut, Way, first_broken

W = 10.0


def link(name: str = "a", **fields: Any) -> Link:
    return Link(name=name, window_s=W, **fields)


FEED = link("feed", given=500)
BRAIN = link("brain", taken=500, given=40, progressed=500)
GATE = link("gate", taken=40, is_gate=True, passed=30, refused=10, progressed=40, given=40)


@pytest.mark.parametrize(
    ("chain", "name", "way"),
    [
        ([FEED, BRAIN, GATE], "", None),
        ([link("feed", given=0), link("brain", taken=0, given=0)], "feed", Way.STALLED),
        ([FEED, link("brain", taken=0, given=0)], "brain", Way.STALLED),
        ([FEED, link("brain", taken=500, given=0, progressed=500)], "brain", Way.BLACK_HOLE),
        ([FEED, link("brain", taken=500, given=9, progressed=0)], "brain", Way.HOLLOW),
        ([FEED, link("brain", taken=500, given=0, progressed=500, sends_always=False)], "", None),
        ([FEED, BRAIN, link("gate", is_gate=True, taken=40, passed=0, refused=40)], "gate", Way.REJECT_ALL),
        ([link("gate", is_gate=True, given=3, passed=3, refused=9, let_through=2)], "gate", Way.NEVER_FIRES),
        ([link("gate", is_gate=True, given=3, passed=3, refused=9, let_through=1)], "", None),
        ([link("gate", is_gate=True, given=3, shut_without_cause_s=601.0)], "gate", Way.NEVER_OPENS),
        ([link("gate", is_gate=True, given=3, shut_without_cause_s=599.0)], "", None),
        ([link("feed"), link("brain")], "", None),  # nothing is known, so nothing is said
        ([FEED, link("brain", taken=ENOUGH - 1, given=0)], "", None),  # too few to say anything
    ],
)
def test_the_first_link_that_does_not_pass_on_is_named(chain: list[Link], name: str, way: Way | None) -> None:
    found = first_broken(chain)
    assert (found.name if found else "", found.way if found else None) == (name, way)
    assert found is None or name in found.reason


COUNT = st.none() | st.integers(0, 1000)
LINKS = st.builds(
    Link, name=st.sampled_from("abcdef"), window_s=st.just(W), taken=COUNT, given=COUNT, progressed=COUNT,
    is_gate=st.booleans(), passed=COUNT, refused=COUNT, let_through=st.integers(0, 5),
)  # fmt: skip


@given(st.lists(LINKS, max_size=6), LINKS)
def test_what_comes_behind_the_broken_link_is_never_blamed_instead(chain: list[Link], more: Link) -> None:
    found = first_broken(chain)
    if found is not None:
        assert first_broken([*chain, more]) == found


@given(st.lists(st.sampled_from((FEED, BRAIN, GATE)), max_size=6))
def test_a_chain_in_which_all_pass_on_is_whole(chain: list[Link]) -> None:
    assert first_broken(chain) is None


def test_a_gate_is_shut_without_a_cause_from_its_first_no_while_all_is_well_until_its_next_yes() -> None:
    shut = Shut(since=0.0).after(3, 5, 1.0, well=True)
    assert (shut.refused, shut.without_cause_s(1.0)) == (0, 0.0)  # nobody asked since: silence is no refusal

    shut = shut.after(3, 9, 2.0, well=True)
    assert (shut.refused, shut.without_cause_s(700.0)) == (4, 698.0)
    assert shut.after(3, 9, 3.0, well=False).without_cause_s(700.0) == 0.0  # something it waits for is missing
    assert shut.after(4, 9, 3.0, well=True) == Shut(since=3.0, passed=4, refused_then=9)


def test_a_change_of_what_is_broken_is_told_once_with_its_reason_and_so_is_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links: dict[str, Link | None] = {}
    chain = tuple(ChainLink(child=name) for name in ("feed", "brain"))
    told = Flowing([chain, chain], {}, 1.0, lambda _: 0)  # in two chains, and one trouble
    monkeypatch.setattr(told, "_link", lambda one, *_: links[one.child])

    def look(now: float, feed: Link | None, brain: Link | None) -> list[tuple[str, Way, str]]:
        links.update(feed=feed, brain=brain)
        return [(broken.name, broken.way, over) for broken, over in told.look(now, {})]

    hole = link("brain", taken=500, given=0, progressed=500)
    assert look(100.0, FEED, BRAIN) == []
    assert look(110.0, FEED, hole) == [("brain", Way.BLACK_HOLE, "")]
    assert look(120.0, FEED, link("brain", taken=700, given=0, progressed=700)) == []  # other numbers, the same trouble
    assert look(121.0, FEED, BRAIN) == []  # not time for a round
    assert look(130.0, FEED, BRAIN) == [("brain", Way.BLACK_HOLE, flowing.GOES_ON)]
    assert look(140.0, FEED, hole) == [("brain", Way.BLACK_HOLE, "")]
    assert look(150.0, None, hole) == [("brain", Way.BLACK_HOLE, flowing.NOT_KNOWN)]
    assert look(160.0, FEED, hole) == [("brain", Way.BLACK_HOLE, "")]
    assert look(170.0, link("feed", given=0), hole) == [
        ("feed", Way.STALLED, ""),
        ("brain", Way.BLACK_HOLE, flowing.ANOTHER),
    ]
    assert told.found[0] == Broken("feed", Way.STALLED, "feed, the first of the chain, gave nothing in 10 s")
