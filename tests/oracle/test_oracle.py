"""Real Erlang/OTP supervisors and our Tree, side by side, event for event: the same starts and stops in the same order,
the same answers, the same states, after every event of scripts that Hypothesis draws."""

from __future__ import annotations

import os
from itertools import groupby

from hypothesis import HealthCheck, given, settings

from tests.oracle import ours
from tests.oracle.conftest import Tally
from tests.oracle.draws import scripts
from tests.oracle.otp import Otp, Page
from tests.oracle.script import Pool, Script, units

CAMPAIGN = int(os.environ.get("QT_CAMPAIGN_SCRIPTS", "0"))  # `make campaign-oracle`; else what `make test` can afford


def drawn(share: float) -> settings:
    """This share of the scripts: the same ones in every `make test`, new ones in every campaign."""
    return settings(
        max_examples=max(1, round((CAMPAIGN or 100) * share)),
        derandomize=not CAMPAIGN,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def compare(script: Script, otp: Otp, tally: Tally) -> None:
    mine = [tidy(page, script) for page in ours.run(script)]
    theirs = [tidy(page, script) for page in otp.run(script.term())]
    tally.scripts += 1
    tally.events += len(script.events)
    tally.unequal += mine != theirs
    for name, our, their in zip(["boot", *map(str, script.events), "the end"], mine, theirs, strict=True):
        assert our == their, f"{name}\n  OTP:  {their}\n  ours: {our}\n  in {script.term()}"


def tidy(page: Page, script: Script) -> Page:
    """Children of a pool are stopped in parallel: which of them is dead first means nothing."""
    answer, entries, states = page
    pools = tuple(item.id for item in units(script.tree) if isinstance(item, Pool))

    def pool_of(entry: str) -> str:
        word, id = entry.split()
        return next((pool for pool in pools if word in ("stop", "kill") and id != pool and id.startswith(pool)), "")

    tidied = [entry for pool, run in groupby(entries, pool_of) for entry in (sorted(run) if pool else run)]
    return answer, tuple(tidied), states


@drawn(0.25)
@given(script=scripts())
def test_oracle_exits_failed_starts_and_admin_calls(script: Script, otp: Otp, tally: Tally) -> None:
    compare(script, otp, tally)


@drawn(0.2)
@given(script=scripts(clock=True))
def test_oracle_windows_in_a_time_that_the_script_turns(script: Script, clock: Otp, tally: Tally) -> None:
    compare(script, clock, tally)


@drawn(0.2)
@given(script=scripts(pools=True))
def test_oracle_dynamic_supervisors_among_the_others(script: Script, otp: Otp, tally: Tally) -> None:
    compare(script, otp, tally)


@drawn(0.2)
@given(script=scripts(held=True))
def test_oracle_what_happens_between_two_attempts_of_a_restart(script: Script, otp: Otp, tally: Tally) -> None:
    compare(script, otp, tally)


@drawn(0.15)
@given(script=scripts(clock=True, held=True, pools=True))
def test_oracle_everything_at_once(script: Script, clock: Otp, tally: Tally) -> None:
    compare(script, clock, tally)


@drawn(0.1)
@given(script=scripts(held=True, pools=True))
def test_oracle_the_copy_whose_clock_can_be_turned_is_the_supervisor_itself(script: Script, clock: Otp) -> None:
    pages, copied = clock.run(script.term()), clock.run(script.term("oracle_supervisor"))
    assert [tidy(page, script) for page in copied] == [tidy(page, script) for page in pages]
