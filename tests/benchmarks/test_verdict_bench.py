"""A slice of the verdict bench over a real root: what only real processes show. The whole is `qt bench verdicts`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.verdicts import runner, score
from benchmarks.verdicts.scenario import catalogue

pytestmark = pytest.mark.process
SHIPPED = Path(runner.__file__).parent / "catalogue"
BROKEN = """
from benchmarks.verdicts.pieces import worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from supervisor.words import VerdictKind

def inject(stage):
    stage.order("stop", "nobody")

SCENARIO = Scenario(
    id="X01", title="", children=(worker("worker"),), inject=inject, lasts_s=20.0,
    truth=Truth(unit="worker", kind=VerdictKind.HEALTHY), action=Deed.NOTHING,
)
"""


@pytest.mark.parametrize("id", ["A02", "B01", "C01"])
def test_a_labelled_fault_is_played_and_judged_rightly(id: str) -> None:
    [scenario], _ = catalogue(SHIPPED, id)
    outcome = runner.play(scenario, SHIPPED, scale=0.2, seed=0, load_="idle")
    assert outcome.void == ""
    assert outcome.final in outcome.truth, outcome
    assert outcome.deed_right, outcome
    assert outcome.false_restarts == ()


def test_a_scene_that_cannot_be_set_up_is_void_not_wrong(tmp_path: Path) -> None:
    (tmp_path / "X01_void.py").write_text(BROKEN)
    [scenario], _ = catalogue(tmp_path)
    outcome = runner.play(scenario, tmp_path, scale=0.1, seed=0, load_="idle")
    assert "stop nobody" in outcome.void
    assert score.score([outcome]).runs == 0


def test_what_carries_the_mark_of_a_stage_is_found(tmp_path: Path) -> None:
    assert runner.marked(tmp_path) == []
