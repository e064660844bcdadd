"""Statements 15-27: child specs and supervisor flags."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from supervisor import plan as plans
from supervisor import spec as specs
from supervisor.plan import Plan
from supervisor.spec import Backoff, Budget, ChildSpec, NodeStart, ProgramStart, SupervisorSpec, actor, make
from supervisor.words import AutoShutdown, Restart, Strategy
from tests.supervisor.conformance.words import ONE, kid, ours

PROGRAM = ProgramStart(argv=("true",))


def faults(**fields: Any) -> list[str]:
    return specs.check(ours("root", ONE, make(ChildSpec, **{"id": "a", "start": PROGRAM, **fields})))


@pytest.mark.parametrize("field", ["id", "start"])
def test_015_id_and_start_are_mandatory_and_each_has_its_own_error(field: str) -> None:
    given = {"id": "a", "start": PROGRAM}
    del given[field]
    with pytest.raises(TypeError, match=f"Missing required argument '{field}'"):
        make(ChildSpec, **given)


def test_016_defaults_are_permanent_not_significant_and_five_seconds() -> None:
    spec = ChildSpec(id="a", start=PROGRAM)
    assert (spec.restart, spec.significant, spec.shutdown_s) == (Restart.PERMANENT, False, 5.0)
    supervisor = SupervisorSpec(id="s")
    assert (supervisor.restart, supervisor.significant) == (Restart.PERMANENT, False)
    assert not hasattr(supervisor, "shutdown_s"), "a supervisor is given all the time its children are"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"start": NodeStart(actors=())}, "start.actors is (); a node hosts at least one actor"),
        ({"start": ProgramStart(argv=())}, "start.argv is (); a program needs a command line"),
        ({"start": NodeStart(actors=(actor("x", "no_colon"),))}, 'it must read "package.module:Class"'),
        ({"shutdown_s": -1.0}, "shutdown_s is -1.0; it must be 0 (brutal kill) or more"),
        ({"start_timeout_s": 0.0}, "start_timeout_s is 0.0; it must be positive and finite"),
        ({"budget": Budget(intensity=-1)}, "intensity must be 0 or more and period_s more than 0"),
        ({"backoff": Backoff(factor=0.5)}, "initial_s and cap_s must be 0 or more, factor 1 or more"),
        ({"safety": True}, "backoff.cap_s is 60.0; a safety child waits at most 2 s"),
    ],
)
def test_017_every_field_is_validated_with_an_error_that_names_it(fields: dict[str, Any], fault: str) -> None:
    [said] = faults(**fields)
    assert said.startswith("root/a: ")
    assert fault in said


@pytest.mark.parametrize("shutdown_s", [0.0, 0.001, 5.0, math.inf])
def test_018_shutdown_is_zero_for_brutal_kill_any_positive_number_or_infinity(shutdown_s: float) -> None:
    assert faults(shutdown_s=shutdown_s) == []
    assert len(faults(shutdown_s=-shutdown_s or -1.0)) == 1
    assert len(faults(shutdown_s=math.nan)) == 1


def test_019_duplicate_ids_are_rejected() -> None:
    assert "already used by root/a" in specs.check(ours("root", ONE, kid("a"), kid("a")))[0]


def test_020_ours_unknown_spec_keys_and_flags_are_refused_with_the_nearest_valid_name() -> None:
    with pytest.raises(specs.InvalidSpec, match="unknown field restrat; did you mean restart"):
        make(ChildSpec, id="a", start=PROGRAM, restrat="permanent")
    with pytest.raises(specs.InvalidSpec, match="unknown field intensty; did you mean intensity"):
        ours("root", ONE, intensty=3)


def test_021_a_permanent_child_cannot_be_significant() -> None:
    assert "a permanent child never ends for good" in faults(significant=True)[0]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"intensity": -1}, "intensity is -1; it must be 0 or more"),
        ({"period_s": 0.0}, "period_s is 0.0; it must be more than 0"),
    ],
)
def test_022_each_flag_has_its_own_error(fields: dict[str, Any], fault: str) -> None:
    assert specs.check(ours("root", ONE, kid("a"), **fields)) == [f"root: {fault}"]


def test_023_ours_flag_defaults_are_one_for_one_ten_in_sixty_seconds_and_never() -> None:
    flags = SupervisorSpec(id="s")
    assert (flags.strategy, flags.intensity, flags.period_s) == (Strategy.ONE_FOR_ONE, 10, 60.0)
    assert flags.auto_shutdown is AutoShutdown.NEVER


def test_026_spec_checking_is_offline_without_side_effects_and_reports_all_errors_at_once() -> None:
    tree = ours("root", ONE, kid("a", shutdown_s=-1.0), kid("a"), kid("b", start_timeout_s=0.0), period_s=0.0)
    assert len(specs.check(tree)) == 4
    assert specs.check(tree) == specs.check(tree)


def test_027_the_complete_normalised_spec_of_every_child_can_be_read_back(tmp_path: Path) -> None:
    tree = ours("root", ONE, ChildSpec(id="a", start=PROGRAM), ours("s", ONE, kid("b", significant=False)))
    plans.save(Plan(tree=tree, zygotes=(), routes={}, home=str(tmp_path), sockets=str(tmp_path)))
    assert plans.load(tmp_path).tree == tree
    assert dict(specs.walk(plans.load(tmp_path).tree))["root/a"].start_timeout_s == 60.0


def test_021_significance_means_nothing_under_auto_shutdown_never_and_is_refused() -> None:
    assert "auto_shutdown of root is never" in faults(significant=True, restart=Restart.TRANSIENT)[0]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"restart": "forever"}, "Invalid enum value 'forever' - at `$.restart`"),
        ({"shutdown_s": "brutal"}, "Expected `float`, got `str` - at `$.shutdown_s`"),
        ({"significant": 3}, "Expected `bool`, got `int` - at `$.significant`"),
        ({"start": 5}, "at `$.start`"),
    ],
)
def test_017_a_value_of_the_wrong_kind_is_refused_with_the_name_of_its_field(
    fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(specs.InvalidSpec) as caught:
        make(ChildSpec, **{"id": "a", "start": PROGRAM, **fields})
    assert error in str(caught.value)
    with pytest.raises(specs.InvalidSpec, match=r"Invalid enum value 'one_for_none' - at `\$.strategy`"):
        ours("root", "one_for_none")  # type: ignore[arg-type]
