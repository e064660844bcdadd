"""Scripts that chance seldom draws: the edges of the law, each by name, side by side with the real Erlang/OTP."""

from __future__ import annotations

import pytest

from supervisor.words import AutoShutdown, Restart, Strategy
from tests.oracle.conftest import Tally
from tests.oracle.otp import Otp
from tests.oracle.script import Add, Admin, Both, Clock, Exit, Fail, Held, Member, Pool, Script, Sup, Worker
from tests.oracle.test_oracle import compare

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
TRANSIENT, TEMPORARY = Restart.TRANSIENT, Restart.TEMPORARY
ANY, EVERY = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
A, B, C = Worker("a"), Worker("b"), Worker("c")


def over(*children: Worker | Sup | Pool, strategy: Strategy = ONE, intensity: int = 5, period_s: int = 3) -> Sup:
    return Sup("root", strategy, children, intensity, period_s)


def ender(restart: Restart, auto: AutoShutdown) -> Sup:
    """A supervisor that ends in order when its significant children have."""
    significant = [Worker(id, TRANSIENT, significant=True) for id in ("x", "y")]
    return Sup("s", ONE, (*significant, Worker("z")), auto_shutdown=auto, restart=restart)


STORIES: dict[str, Script] = {
    "a restart as old as the period still counts, boundary inclusive (56)": Script(
        over(A, intensity=1, period_s=3), (Exit("a", "crash"), Clock(3), Exit("a", "crash"))
    ),
    "a restart one second older does not (55)": Script(
        over(A, intensity=1, period_s=3),
        (Exit("a", "crash"), Clock(4), Exit("a", "crash"), Clock(3), Exit("a", "kill")),
    ),
    "the intensity is shared, and giving up stops the rest in reverse (54, 58)": Script(
        over(A, B, C, intensity=2), (Exit("a", "crash"), Exit("b", "kill"), Exit("a", "normal"))
    ),
    "a transient supervisor that ends by itself stays down (59, 91)": Script(
        over(A, ender(TRANSIENT, ANY), B), (Exit("x", "normal"), Admin("restart", "s"))
    ),
    "a permanent one comes back (95)": Script(over(A, ender(Restart.PERMANENT, ANY), B), (Exit("x", "detail"),)),
    "a temporary one is gone": Script(
        over(A, ender(TEMPORARY, ANY), B), (Exit("y", "shutdown"), Admin("restart", "s"))
    ),
    "only the last significant one (92), and none that was stopped by order (94)": Script(
        over(ender(TRANSIENT, EVERY), B), (Admin("terminate", "x"), Exit("y", "crash"), Exit("y", "normal"))
    ),
    "significance climbs only where the supervisor is significant itself (95)": Script(
        Sup(
            "root",
            ONE,
            (
                Sup("s", ONE, (Worker("x", TEMPORARY, significant=True), A), 1, 5, ANY, TRANSIENT, True),
                Sup("t", ONE, (Worker("y", TEMPORARY, significant=True), B), 1, 5, ANY, TRANSIENT),
            ),
            auto_shutdown=ANY,
        ),
        (Exit("y", "crash"), Exit("x", "kill")),
    ),
    "a group is tried again from the first (44)": Script(
        over(A, B, C, strategy=ALL), (Fail("b", 2), Exit("c", "crash"))
    ),
    "a rest is tried again at the one that failed (45)": Script(
        over(A, B, C, strategy=REST), (Fail("c", 2), Exit("b", "crash"))
    ),
    "an order between two attempts: the later ones of the group are down, and can be started (47, 80)": Script(
        over(A, B, C, strategy=REST), (Held("b", "crash", 1, Admin("restart", "c")),)
    ),
    "or deleted (82)": Script(over(A, B, C, strategy=ALL), (Held("b", "crash", 1, Admin("delete", "c")),)),
    "stopping what tries again cancels the attempt of its whole group (79)": Script(
        over(A, B, C, strategy=ALL, intensity=1),
        (Held("b", "crash", 1, Admin("terminate", "b")), Admin("restart", "c"), Exit("a", "normal")),
    ),
    "a sibling's end takes the place of the attempt": Script(
        over(A, B, C, strategy=ALL, intensity=2), (Held("b", "crash", 1, Exit("a", "kill")), Exit("c", "crash"))
    ),
    "two that died at once are one restart of their group (43, 69)": Script(
        over(A, B, C, strategy=ALL, intensity=1), (Both(Exit("b", "crash"), Exit("c", "kill")), Exit("a", "crash"))
    ),
    "and two restarts where each is alone": Script(
        over(A, B, C, intensity=1), (Both(Exit("b", "crash"), Exit("c", "normal")),)
    ),
    "one that ended for good while its group was being restarted comes back with it": Script(
        Sup("root", ALL, (A, Worker("x", TRANSIENT, significant=True), B), 3, 5, ANY),
        (Both(Exit("b", "crash"), Exit("x", "normal")), Exit("x", "normal")),
    ),
    "a group brings back what was stopped, not what is temporary (33)": Script(
        over(A, Worker("t", TEMPORARY), B, Worker("e", TRANSIENT), strategy=ALL),
        (Admin("terminate", "a"), Exit("e", "normal"), Exit("b", "crash"), Add("root", Worker("t"))),
    ),
    "an added child is last, and gone when its supervisor comes back; a deleted one is there again (41, 60)": Script(
        over(Sup("s", REST, (A, B), 1), C),
        (
            *(Admin("terminate", "a"), Admin("delete", "a"), Add("s", Worker("n")), Exit("b", "crash")),
            *(Exit("n", "crash"), Exit("c", "normal")),
        ),
    ),
    "a known id is refused, up or down, and a failed start forgotten (76, 77)": Script(
        over(A),
        (
            Add("root", A),
            Admin("terminate", "a"),
            Add("root", A),
            Fail("n", 1),
            Add("root", Worker("n")),
            Add("root", Worker("n")),
        ),
    ),
    "a pool forgets what ends for good and brings back what crashes (60, 85)": Script(
        over(Pool("p", Worker("template", TRANSIENT), 2), A),
        (
            *(Member("add", "p", "pm1"), Member("add", "p", "pm2"), Exit("pm1", "normal"), Exit("pm2", "crash")),
            *(Member("remove", "p", "pm1"), Held("pm2", "crash", 1, Member("remove", "p", "pm2"))),
            *(Member("add", "p", "pm3"), Exit("pm3", "kill"), Exit("pm3", "kill"), Exit("pm3", "kill")),
        ),
    ),
    "giving up climbs level by level until somebody can pay (62)": Script(
        over(Sup("s", ONE, (Sup("t", ONE, (A,), 0), B), 0), C, intensity=1), (Exit("a", "crash"), Exit("a", "crash"))
    ),
    "a start that fails below climbs through every start above (3, 4)": Script(
        over(A, Sup("s", ONE, (B, Sup("t", ONE, (C,))))), (), (Fail("c", 1, "throw"),)
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_oracle_story(story: str, otp: Otp, tally: Tally, request: pytest.FixtureRequest) -> None:
    script = STORIES[story]
    compare(script, request.getfixturevalue("clock") if script.turns_clock else otp, tally)
