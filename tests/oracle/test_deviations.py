"""Each switch of `supervisor.spec.Law`, against the real Erlang/OTP: off we are equal, on we differ, like this."""

from __future__ import annotations

import msgspec
import pytest

from supervisor.spec import OTP, DynamicSpec, Law, check
from supervisor.words import AutoShutdown, Strategy
from tests.oracle import ours
from tests.oracle.otp import Otp
from tests.oracle.script import Admin, Exit, Fail, Happening, Script, Sup, Worker

ONE, ALL = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL


def pair(strategy: Strategy, *events: Happening, intensity: int = 9, at_boot: tuple[Fail, ...] = ()) -> Script:
    return Script(Sup("root", strategy, (Worker("a"), Worker("b")), intensity), events, at_boot)


CASES: dict[str, tuple[Script, tuple[str, ...], tuple[str, ...]]] = {
    # switch: (script, what happens at its last event or at boot in OTP, and with the switch on)
    "kills_are_free": (
        pair(ONE, Exit("a", "kill"), intensity=0),
        ("gave_up root", "stop b", "down root"),
        ("start a",),
    ),
    "upstream_is_free": (
        pair(ONE, Exit("a", "upstream"), intensity=0),
        ("gave_up root", "stop b", "down root"),
        ("start a",),
    ),
    "boot_carries_on": (
        pair(ONE, at_boot=(Fail("b", 1),)),
        ("up root", "start a", "fail b", "stop a", "down root"),
        ("up root", "start a", "fail b", "start b"),
    ),
    "failed_start_is_alone": (
        pair(ALL, Fail("b", 1), Exit("b", "crash")),
        ("stop a", "start a", "fail b", "stop a", "start a", "start b"),
        ("stop a", "start a", "fail b", "start b"),
    ),
    "parks": (
        pair(ONE, Exit("a", "crash"), Exit("a", "crash"), Exit("a", "crash")),
        ("start a",),
        (),
    ),
    "orders_retry": (
        pair(ONE, Admin("terminate", "a"), Fail("a", 1), Admin("restart", "a")),
        ("fail a",),
        ("fail a", "start a"),
    ),
    "stopped_stays": (
        pair(ALL, Admin("terminate", "a"), Exit("b", "crash")),
        ("start a", "start b"),
        ("start b",),
    ),
}


def test_oracle_every_switch_of_the_law_has_its_case() -> None:
    assert set(CASES) == set(Law.__struct_fields__)
    assert not any(msgspec.structs.asdict(OTP).values())


@pytest.mark.parametrize("switch", CASES)
def test_oracle_a_switch_of_the_law_changes_this_and_off_it_changes_nothing(switch: str, otp: Otp) -> None:
    script, theirs, departed = CASES[switch]
    real = otp.run(script.term())
    assert ours.run(script) == real
    assert real[len(script.events)][1] == theirs
    law = msgspec.structs.replace(OTP, **{switch: True})
    assert ours.run(script, law)[len(script.events)][1] == departed


def test_without_oracle_a_dynamic_supervisor_has_no_automatic_shutdown_which_otp_25_still_allows(otp: Otp) -> None:
    """Statement 25: newer suites refuse it for simple_one_for_one; so do we."""
    ours_says = check(DynamicSpec(id="root", auto_shutdown=AutoShutdown.ANY_SIGNIFICANT))
    assert any("auto_shutdown" in fault for fault in ours_says)
    if otp.version == "25":
        flags = "#{strategy => simple_one_for_one, auto_shutdown => any_significant}"
        boot, _ = otp.run(f"{{script, supervisor, {{root, {flags}, [{{template, #{{}}, shutdown}}]}}, [], []}}.")
        assert boot[0] == "ok"
