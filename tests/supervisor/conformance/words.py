"""What all conformance tests say: small trees, ways to end, and one supervisor that follows OTP to the letter.

Each test carries the number and the sentence of one statement about OTP's supervisor (docs/supervision.md has the
table). Most run the pure machine under the judge of `tree_world`, where time is a number and order is a list;
`test_real.py` runs the same bodies over processes and threads.
"""

from __future__ import annotations

from typing import Any

from supervisor.spec import OTP, Backoff, Budget, ChildSpec, SupervisorSpec, supervise
from supervisor.words import ExitKind, ExitReason, OnExhausted, Strategy
from tests.supervisor.tree_world import World, leaf

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
NORMAL = ExitReason(kind=ExitKind.NORMAL, code=0)
SHUTDOWN = ExitReason(kind=ExitKind.SHUTDOWN, code=0)
KILLED = ExitReason(kind=ExitKind.KILLED, signal=9)
REFUSED = ExitReason(kind=ExitKind.REFUSED, detail="bad credentials")
NOW = Backoff(initial_s=0.0, cap_s=0.0)
PATIENT = Budget(intensity=10_000)


def crash(n: int = 0) -> ExitReason:
    """A crash unlike any with another number, so that nothing is parked for repeating itself."""
    return ExitReason(kind=ExitKind.CRASHED, code=1, fingerprint=f"boom {n}")


def kid(name: str, **fields: Any) -> ChildSpec:
    """A child that restarts at once and whose own budget never speaks: what is left is OTP's."""
    return leaf(name, **{"backoff": NOW, "budget": PATIENT, **fields})


def otp(name: str, strategy: Strategy, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    """A supervisor that departs from OTP nowhere: spent means shutdown, and the law has no exceptions."""
    chosen = {"intensity": 1, "period_s": 5.0, "on_exhausted": OnExhausted.SHUTDOWN, "law": OTP, **fields}
    return supervise(name, strategy, list(children), **chosen)


def ours(name: str, strategy: Strategy, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    """A supervisor with the house's defaults."""
    return supervise(name, strategy, list(children), **fields)


def abc(strategy: Strategy = ONE, *, under: Any = otp, b: dict[str, Any] | None = None, **fields: Any) -> World:
    """A booted root over a, b, c."""
    children = [kid("a"), kid("b", **(b or {})), kid("c")]
    return World(under("root", strategy, *children, **{"intensity": 100, **fields})).boot()


def moves(world: World, act: Any) -> list[str]:
    """Starts and stops that an act leads to, with everybody doing as told."""
    mark = len(world.actions)
    act()
    world.flow()
    return world.since(mark)
