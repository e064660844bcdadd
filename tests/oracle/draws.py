"""Hypothesis draws trees and scripts. Everything here is legal for both worlds; nothing is steered around a difference
that is not named in `tests/oracle/differences.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from hypothesis import strategies as st

from supervisor.words import AutoShutdown, Restart, Strategy
from tests.oracle.ours import Ours
from tests.oracle.script import (
    Add,
    Admin,
    Both,
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
INTENSITIES = (3, 5, 8, 2, 1, 0)
LEAVES = ("shutdown", "shutdown", "normal", "crash")
VERBS = ("terminate", "restart", "delete")
MEMBERS = ("m1", "m2", "m3")
restarts = st.sampled_from(list(Restart))
NEVER = AutoShutdown.NEVER


@st.composite
def _workers(draw: st.DrawFn) -> Worker:
    """Without a name, and not significant."""
    shutdown, leaves = draw(st.sampled_from((("5000", ""), ("infinity", ""), ("brutal_kill", "never"), ("2", "never"))))
    return Worker("", draw(restarts), shutdown=shutdown, leaves=leaves or draw(st.sampled_from(LEAVES)))


workers = _workers()


@st.composite
def trees(draw: st.DrawFn, *, pools: bool = True) -> Sup:
    names, sups = count(), count(1)

    def significance(auto: AutoShutdown, restart: Restart) -> bool:
        return auto is not NEVER and restart is not Restart.PERMANENT and draw(st.booleans())

    def worker(auto: AutoShutdown) -> Worker:
        plain = draw(workers)
        return replace(plain, id=f"w{next(names)}", significant=significance(auto, plain.restart))

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
    everything = list(units(tree))
    hands = {item.id: item for item in everything if isinstance(item, Worker)}
    sups = [tree.id, *(item.id for item in everything if isinstance(item, Sup))]
    wells = [item.id for item in everything if isinstance(item, Pool)]
    up = parents(tree)
    members = {f"{well}{member}": well for well in wells for member in MEMBERS}
    at_boot: list[Fail] = []
    if hands and draw(st.integers(0, 9)) == 9:
        at_boot = [Fail(draw(st.sampled_from(sorted(hands))), 1, draw(st.sampled_from(MODES)))]
    side = Ours(tree, holds=held)
    side.boot(tuple(at_boot))

    def pick(ids: Iterable[str]) -> str:
        return draw(st.sampled_from(sorted(ids)))

    def admin(ids: Iterable[str]) -> Admin:
        return Admin(draw(st.sampled_from(VERBS)), pick(ids))

    def add() -> Add:
        """A new child, or one that is known: up, down, deleted; with the spec it had, or another restart type."""
        sup = pick(sups)
        known = [id for id, above in up.items() if above == sup and id in hands]
        id = pick([*known, f"{sup}n1", f"{sup}n2"])
        if id not in hands:
            hands[id], up[id] = replace(draw(workers), id=id), sup
        worker = replace(hands[id], restart=draw(restarts), significant=draw(st.sampled_from((False, False, True))))
        return Add(sup, worker)

    def meanwhile(id: str) -> Admin | Exit | Member:
        """The supervisor that is being held must be the one that is told; any other would be told at once."""
        if id in members:
            return Member("remove", members[id], id)
        siblings = [other for other, above in up.items() if above == up[id]]
        others = [other for other in siblings if other in side.live and other != id]
        if draw(st.booleans()) and others:
            return Exit(pick(others), draw(st.sampled_from(HOWS)))
        return admin([id, *siblings])

    kinds = ["exit"] * 4 + ["both"] * 2 * held + ["fail"] * 2 + ["admin"] * 3 + ["add"] * 2
    kinds += ["clock"] * 2 * clock + ["held"] * 4 * held + ["member"] * 4 * bool(wells)
    events: list[Happening] = []
    for _ in range(draw(st.integers(0, 5)) + draw(st.sampled_from((0, 8, 8)))):
        event: Happening
        alive = side.live if draw(st.integers(0, 9)) < 9 else [*hands, *members]
        match draw(st.sampled_from(kinds)):
            case "exit" if alive:
                event = Exit(pick(alive), draw(st.sampled_from(HOWS)))
            case "both" if pairs := [
                (one, other)
                for one in alive
                for other in alive
                if one != other and side.above.get(one) == side.above.get(other, "")
            ]:
                one, other = draw(st.sampled_from(sorted(pairs)))
                event = Both(Exit(one, draw(st.sampled_from(HOWS))), Exit(other, draw(st.sampled_from(HOWS))))
            case "fail" if hands or members:
                event = Fail(pick([*hands, *members]), draw(st.integers(1, 3)), draw(st.sampled_from(MODES)))
            case "clock":
                event = Clock(draw(st.integers(1, 3)))
            case "member":
                id = pick(members)
                event = Member(draw(st.sampled_from(("add", "add", "remove"))), members[id], id)
            case "held" if alive:
                id = pick(alive)
                event = Held(id, draw(st.sampled_from(HOWS)), draw(st.integers(1, 3)), meanwhile(id))
            case "add":
                event = add()
            case _:
                event = admin(up)
        events.append(event)
        side.play(event)
        if side.ended and draw(st.booleans()):
            break  # little happens to the dead
    return Script(tree, tuple(events), tuple(at_boot))
