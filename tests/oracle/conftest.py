"""The Erlang side for a whole session, and one line at its end: how many scripts were compared, or why none was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.oracle.otp import Otp

ABSENT = "no `erl` on the PATH (Debian: apt-get install erlang-base erlang-src), so nothing is compared with Erlang/OTP"
NO_SOURCE = "no supervisor.erl beside the installation (Debian: erlang-src), so no script turns the clock"


@dataclass
class Tally:
    """What the session compared."""

    version: str = ""
    scripts: int = 0
    events: int = 0
    skipped: list[str] = field(default_factory=list)
    unequal: int = 0


TALLY = Tally()


def missing(why: str) -> None:
    """Skipped by name; in CI nothing of this may be missing."""
    if why not in TALLY.skipped:
        TALLY.skipped.append(why)
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def otp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Otp]:
    erl = shutil.which("erl")
    if erl is None:
        missing(ABSENT)
        return
    side = Otp(erl, tmp_path_factory.mktemp("oracle"))
    TALLY.version = side.version
    yield side
    side.close()


@pytest.fixture(scope="session")
def clock(otp: Otp) -> Otp:
    """The Erlang side, when its clock can be turned."""
    if not otp.turns_clock:
        missing(NO_SOURCE)
    return otp


@pytest.fixture(scope="session")
def tally() -> Tally:
    return TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for why in TALLY.skipped:
        terminalreporter.write_line(f"oracle: SKIPPED: {why}", yellow=True)
    if TALLY.scripts:
        verdict = f"{TALLY.unequal} NOT equal" if TALLY.unequal else "all equal"
        scripts = f"{TALLY.scripts} scripts ({TALLY.events} events)"
        terminalreporter.write_line(f"oracle: {scripts} compared with Erlang/OTP {TALLY.version}, {verdict}")
