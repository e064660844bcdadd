"""The table of docs/supervision.md: all hundred statements, each with a verdict, and each test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.policy import orders
from supervisor.spec import ChildSpec, DynamicSpec, Law, SupervisorSpec
from supervisor.words import OnExhausted

TESTS = Path(__file__).resolve().parents[2]
PAGE = TESTS.parent / "docs" / "supervision.md"
VERDICTS = ("kept", "changed", "n/a")


def rows() -> dict[int, tuple[str, list[str]]]:
    """Number -> (what became of it, names of tests)."""
    found = re.findall(r"^\| (\d+) \| (?:[^|]*) \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    return {int(number): (here, re.findall(r"`(\w+)`", tests)) for number, here, tests in found}


def written() -> set[str]:
    return {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }


def test_the_table_has_all_hundred_statements_and_a_verdict_on_each() -> None:
    table = rows()
    assert list(table) == list(range(1, 101))
    without = [number for number, (here, _) in table.items() if not here.startswith(VERDICTS)]
    assert not without


def test_every_statement_that_applies_names_a_test_and_every_test_it_names_exists() -> None:
    known = written()
    for number, (here, tests) in rows().items():
        assert tests or here.startswith("n/a"), f"{number} applies, and no test shows it"
        for test in tests:
            assert test in known, f"{number} names {test}, which nobody wrote"
            assert f"_{number:03}_" in test, f"{number} is shown by a test of another number: {test}"


def test_every_conformance_test_stands_in_the_table() -> None:
    named = {test for _, tests in rows().values() for test in tests}
    unnamed = {name for name in written() if re.match(r"test(_\d{3})+_", name)} - named
    assert not unnamed


def test_the_page_names_every_field_every_code_and_every_switch() -> None:
    page = PAGE.read_text()
    rulings = [value for value in vars(orders).values() if isinstance(value, orders.Ruling)]
    rulings += [ruling for states in orders.TABLE.values() for ruling in states.values()]
    words = {
        *ChildSpec.__struct_fields__,
        *(set(SupervisorSpec.__struct_fields__) - {"children"}),
        *(set(DynamicSpec.__struct_fields__) - {"children"}),
        *(f"Law.{switch}" for switch in Law.__struct_fields__),
        *(ruling.code for ruling in rulings if ruling.code != "ok"),
        *OnExhausted,
    }
    assert not [word for word in words if f"`{word}`" not in page]
