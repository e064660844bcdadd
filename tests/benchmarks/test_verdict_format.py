"""The format of a scenario: what is refused, and by which sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.verdicts import runner
from benchmarks.verdicts.scenario import InvalidScenario, catalogue, load

SHIPPED = Path(runner.__file__).parent / "catalogue"

GOOD = """
from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from supervisor.words import VerdictKind

def inject(stage):
    stage.begin()

FIELDS = dict(
    id="X01", title="a title", children=(worker("worker"), *CROWD), inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.HUNG), action=Deed.RESTART, healthy=OTHERS,
)
"""


def write(folder: Path, stem: str, change: str) -> Path:
    path = folder / f"{stem}.py"
    path.write_text(f"{GOOD}FIELDS |= dict({change})\nSCENARIO = Scenario(**FIELDS)\n")
    return path


@pytest.mark.parametrize(
    ("stem", "change", "sentence"),
    [
        ("x01_id_a", "id='hang'", "id is 'hang'; it must be a capital and two digits"),
        ("x02_id_b", "", "the name of its file must begin with it"),
        ("x01_long", "lasts_s=1e9", "lasts_s is 1000000000.0; it must be more than 0 and at most 1800"),
        ("x01_late", "within_s=60.0", "watched only for lasts_s = 30"),
        ("x01_none", "action=()", "action is empty"),
        ("x01_both", "never=(Deed.RESTART,)", "restart is both right (action) and forbidden (never)"),
        ("x01_unit", "truth=Truth(unit='x', kind=VerdictKind.HUNG)", "truth names 'x', which is no child"),
        ("x01_away", "healthy=('nobody',)", "healthy names 'nobody', which is no child"),
        ("x01_self", "healthy=('worker',)", "worker is the unit of the truth and cannot be a healthy bystander"),
        ("x01_twin", "children=(worker('worker'), worker('worker'), *CROWD)", "'worker'; it is already used by"),
        ("x01_word", "colour=1", "TypeError: Unexpected keyword argument 'colour'"),
    ],
)
def test_a_wrong_field_is_refused_by_a_sentence_that_names_the_file(
    tmp_path: Path, stem: str, change: str, sentence: str
) -> None:
    with pytest.raises(InvalidScenario) as refused:
        load(write(tmp_path, stem, change))
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"{stem}.py")


@pytest.mark.parametrize(
    ("stem", "text", "sentence"),
    [
        ("y01_empty", "", "there is no SCENARIO in it"),
        ("y01_other", "SCENARIO = 5", "SCENARIO is a int"),
        ("y01_typo", "x = 1\nx.y.z\n", "y01_typo.py:2: AttributeError"),
        ("y01-dash", "", "the name must be a Python word"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, stem: str, text: str, sentence: str) -> None:
    path = tmp_path / f"{stem}.py"
    path.write_text(text)
    with pytest.raises(InvalidScenario) as refused:
        load(path)
    assert sentence in str(refused.value)


def test_one_broken_file_stops_nobody_else(tmp_path: Path) -> None:
    write(tmp_path, "x01_sound", "")
    (tmp_path / "z01_broken.py").write_text("import no_such_module_at_all\n")
    found, faults = catalogue(tmp_path)
    assert [scenario.id for scenario in found] == ["X01"]
    assert len(faults) == 1
    assert "no_such_module_at_all" in faults[0]


def test_only_some_are_chosen_by_their_ids(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(tmp_path, f"x0{number}_chosen", f"id='X0{number}'")
    assert [one.id for one in catalogue(tmp_path, "X01,x03")[0]] == ["X01", "X03"]
    assert [one.id for one in catalogue(tmp_path, "X*")[0]] == ["X01", "X02", "X03"]
    assert catalogue(tmp_path, "Q07")[1] == ["--only Q07: no scenario has such an id"]


def test_every_shipped_scenario_is_sound() -> None:
    found, faults = catalogue(SHIPPED)
    assert faults == []
    assert len(found) >= 8


def test_the_example_of_the_page_is_sound(tmp_path: Path) -> None:
    page = (SHIPPED.parents[2] / "docs" / "verdicts.md").read_text()
    begin = page.index('    """X01')
    example = "\n".join(line[4:] for line in page[begin : page.index("\nSave it as", begin)].splitlines())
    path = tmp_path / "X01_sleeps_for_ever.py"
    path.write_text(example)
    assert load(path).id == "X01"
