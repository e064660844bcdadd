"""Hypothesis draws trees and scripts. Everything here is legal for both worlds; nothing is steered around a difference
that is not named in `tests/oracle/differences.py`."""

from __future__ import annotations

from itertools import count

from hypothesis import strategies as st

from supervisor.words import AutoShutdown, Restart, Strategy
from tests.oracle.ours import Ours
from tests.oracle.script import (
    Admin,
    Clock,
    Exit,
    Fail,
    Happening,
    Held,
    Member,
    Pool,
    Script,
    Sup,
    Worker,
    parents,
    units,
)

MODES = ("error", "throw", "exit", "garbage", "stillborn")
HOWS = ("normal", "shutdown", "detail", "crash", "kill")
INTENSITIES = (3, 1, 2, 4, 6, 0)
LEAVES = ("shutdown", "shutdown", "normal", "crash")
VERBS = ("terminate", "restart", "delete")
MEMBERS = ("m1", "m2", "m3")
restarts = st.sampled_from(list(Restart))
NEVER = AutoShutdown.NEVER


@st.composite
def trees(draw: st.DrawFn, *, pools: bool = True) -> Sup:
    names, sups = count(), count(1)

    def significance(auto: AutoShutdown, restart: Restart) -> bool:
        return auto is not NEVER and restart is not Restart.PERMANENT and draw(st.booleans())

    def worker(auto: AutoShutdown) -> Worker:
        restart = draw(restarts)
        shutdown, leaves = draw(
            st.sampled_from((("5000", ""), ("infinity", ""), ("brutal_kill", "never"), ("2", "never")))
        )
        return Worker(
            f"w{next(names)}",
            restart,
            significance(auto, restart),
            shutdown,
            leaves or draw(st.sampled_from(LEAVES)),
        )

    def sup(depth: int, auto: AutoShutdown) -> Sup:
        id = f"s{next(sups)}" if depth else "root"
        restart = draw(restarts) if depth else Restart.PERMANENT
        mine = draw(st.sampled_from((NEVER, NEVER, *AutoShutdown)))
        children: list[Worker | Sup | Pool] = []
        for _ in range(draw(st.integers(0, 3)) + 1 - (bool(depth) and draw(st.integers(0, 9)) == 9)):
            kind = draw(st.sampled_from(("worker", "worker", "worker", "sup", "pool")))
            if kind == "sup" and depth < 2:
                children.append(sup(depth + 1, mine))
            elif kind == "pool" and pools and depth < 2:
                children.append(pool(mine))
            else:
                children.append(worker(mine))
        return Sup(
            id,
            draw(st.sampled_from(list(Strategy))),
            tuple(children),
            draw(st.sampled_from(INTENSITIES)),
            draw(st.integers(1, 4)),
            mine,
            restart,
            bool(depth) and significance(auto, restart),
        )

    def pool(auto: AutoShutdown) -> Pool:
        restart = draw(restarts)
        template = worker(NEVER)
        return Pool(
            f"p{next(sups)}",
            template,
            draw(st.sampled_from(INTENSITIES)),
            draw(st.integers(1, 4)),
            restart,
            significance(auto, restart),
        )

    return sup(0, NEVER)


@st.composite
def scripts(draw: st.DrawFn, *, clock: bool = False, held: bool = False, pools: bool = False) -> Script:
    """Mostly about what lives at that moment, else the script would soon speak of the dead: so it is played on our own
    side while it is drawn. What is drawn stays a plain script."""
    tree = draw(trees(pools=pools))
    workers = [item.id for item in units(tree) if isinstance(item, Worker)]
    ids = [item.id for item in units(tree)]
    wells = [item.id for item in units(tree) if isinstance(item, Pool)]
    up = parents(tree)
    members = [f"{well}{member}" for well in wells for member in MEMBERS]
    at_boot: list[Fail] = []
    if workers and draw(st.integers(0, 9)) == 9:
        at_boot = [Fail(draw(st.sampled_from(workers)), 1, draw(st.sampled_from(MODES)))]
    held = held and bool(workers)
    side = Ours(tree, holds=held)
    side.boot(tuple(at_boot))
    kinds = (
        ["exit"] * 4
        + ["fail"] * 2
        + ["admin"] * 3
        + ["clock"] * 2 * clock
        + ["held"] * 4 * held
        + ["member"] * 4 * bool(wells)
    )
    events: list[Happening] = []
    for _ in range(draw(st.integers(0, 7)) + draw(st.sampled_from((0, 7)))):
        kind = draw(st.sampled_from(kinds))
        alive = sorted(side.live) * (draw(st.integers(0, 9)) < 9) or workers + members
        siblings: list[str]
        match kind:
            case "exit" if alive:
                event: Happening = Exit(draw(st.sampled_from(alive)), draw(st.sampled_from(HOWS)))
            case "fail" if workers or members:
                event = Fail(
                    draw(st.sampled_from(workers + members)), draw(st.integers(1, 3)), draw(st.sampled_from(MODES))
                )
            case "clock":
                event = Clock(draw(st.integers(1, 3)))
            case "member":
                well = draw(st.sampled_from(wells))
                event = Member(
                    draw(st.sampled_from(("add", "add", "remove"))), well, f"{well}{draw(st.sampled_from(MEMBERS))}"
                )
            case "held" if still := [id for id in alive if id in up]:
                id = draw(st.sampled_from(still))
                # the call goes to the supervisor that is being held; any other would be served at once
                siblings = [other for other in ids if up[other] == up[id]]
                call = Admin(draw(st.sampled_from(VERBS)), draw(st.sampled_from([id, id, *siblings])))
                event = Held(id, draw(st.sampled_from(HOWS)), draw(st.integers(1, 3)), call)
            case _ if ids:
                event = Admin(draw(st.sampled_from(VERBS)), draw(st.sampled_from(ids)))
            case _:
                break
        events.append(event)
        side.play(event)
        if side.ended and draw(st.booleans()):
            break  # little happens to the dead
    return Script(tree, tuple(events), tuple(at_boot))
