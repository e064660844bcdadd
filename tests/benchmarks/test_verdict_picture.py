"""The report as a page and as a picture: every figure of it comes from the report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import msgspec

from benchmarks.verdicts import picture, score
from benchmarks.verdicts.baselines import Column
from benchmarks.verdicts.scenario import Deed
from benchmarks.verdicts.score import Rate
from benchmarks.verdicts.story import Outcome
from ops.bench import also, report
from supervisor.words import VerdictKind


def outcome(id: str, *, right: bool) -> Outcome:
    kind = VerdictKind.HUNG
    return Outcome(
        id=id, truth=(kind,), final=str(kind) if right else "BUSY", deed=Deed.RESTART, actions=(Deed.RESTART,),
        deed_right=right, right_s=5.0,
    )  # fmt: skip


def written() -> dict[str, Any]:
    outcomes = [outcome("C01", right=True), outcome("C02", right=False), outcome("F01", right=True)]
    groups = {"C": Rate(count=0, n=2), "F": Rate(count=1, n=1)}
    column = Column(right=Rate(count=1, n=3), false=Rate(count=1, n=3), false_spared=Rate(count=1, n=1), groups=groups)
    told = report(score.score(outcomes), outcomes, [], "idle", 0.1, 1)
    whole: dict[str, Any] = msgspec.to_builtins({**told, **also({"liveness probe (k8s)": column}, None)})
    return whole


def test_the_picture_has_a_cell_for_each_group_and_judge_and_the_sums() -> None:
    drawn = ET.fromstring(picture.svg(written()))
    said = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "this supervisor" in said
    assert "liveness probe" in said
    assert [text for text in said if text and "/" in text] == ["1/2", "0/2", "1/1", "1/1", "2/3", "1/3"]


def test_the_page_names_gates_judges_and_each_run_that_was_not_right() -> None:
    page = "\n".join(picture.markdown(written()))
    assert "| final verdict right | 0.667 | 0.95 | **fails** |" in page
    assert "| liveness probe (k8s) | 33.3% | 1 of 3 | 1 of 1 |" in page
    assert "| HUNG | 2 | 5.00 | 5.00 | 5.00 | 5.00 |" in page
    assert "python -m benchmarks.overhead" in page
    assert "* C02 seed 0 at idle: believed BUSY, true is HUNG" in page
