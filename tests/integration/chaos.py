"""A ward of thirty toys of every strategy and restart type, four more inside one node, guests, and a hand that hurts.

Picture a poltergeist with a list: it sees the ward only as anybody can (status, records, /proc), does one thing at a
time (kill, stop, make raise, hang, fail to start, end, order, kill the zygote), and writes down what it did. The same
seed plays the same list of wishes; what a wish meets depends on the machine, so the list also says what it met.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from supervisor.actor import Actor
from supervisor.message import Message
from supervisor.runtime.process import state_of
from supervisor.spec import (
    Backoff,
    Budget,
    ChildSpec,
    DynamicSpec,
    ProgramStart,
    SupervisorSpec,
    child,
    make,
    member,
    members,
    node,
    supervise,
    walk,
)
from supervisor.words import OnExhausted, Restart, State, Strategy
from tests.supervisor.toys import Beat, House

ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
HANG_AFTER_S = 2.0
RESTING = {State.READY, State.STOPPED, State.QUARANTINED}
MISSES = ("no process", "gone already", "does not read", "nobody is")
QUICK = Backoff(initial_s=0.02, cap_s=0.2, reset_after_s=2.0)


class Patient(Actor):
    """Beats, calls it useful work, and does what a file of its name says: `raise` or `hang`; a file NAME.start holds
    how many starts are still to fail."""

    def init(self, folder: str) -> None:
        self.wish = Path(folder) / self.ctx.name
        failing = self.wish.with_suffix(".start")
        if failing.exists():
            left = int(failing.read_text())
            if left > 1:
                failing.write_text(str(left - 1))
            else:
                failing.unlink()
            raise ConnectionError("the start fails, as wished")
        self.ctx.after(0.05, Beat())

    def handle(self, message: Message) -> None:
        if self.wish.exists():
            word = self.wish.read_text()
            self.wish.unlink()
            if word == "raise":
                raise ValueError("raised, as wished")
            self.ctx.after(0.0, Beat())  # work that waits: a witness of its own
            time.sleep(3600)
        self.ctx.progress("beat")
        self.ctx.after(0.2, Beat())


def ward(folder: Path) -> SupervisorSpec:
    """Thirty children, 25 nodes and 5 programs: all three strategies, three floors, all restart types. And four actors
    inside one more node, under a supervisor of their own, and a pool whose children come and go."""

    common = {"budget": Budget(intensity=1000), "backoff": QUICK, "shutdown_s": 2.0}

    def alone(name: str, restart: Restart = Restart.PERMANENT, **fields: Any) -> ChildSpec:
        spec = {"restart": restart, "hang_after_s": HANG_AFTER_S, **common, **fields}
        return child(name, f"{__name__}:Patient", spec=spec, folder=str(folder))

    def roommate(name: str) -> ChildSpec:
        return member(name, f"{__name__}:Patient", spec=common, folder=str(folder))

    def program(name: str, restart: Restart) -> ChildSpec:
        """Reads one exit code from its fifo and leaves with it; a shell that forks nobody."""
        os.mkfifo(folder / name)
        start = ProgramStart(argv=("/bin/sh", "-c", f'read code < "{folder / name}"; exit "$code"'))
        return make(ChildSpec, id=name, start=start, restart=restart, **common)

    def some(name: str, strategy: Strategy, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
        return supervise(name, strategy, list(children), **{"intensity": 1000, **fields})

    permanent, transient, temporary = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
    room = [roommate(f"r{n}") for n in range(1, 5)]
    inner = some("inner", ALL, alone("i1"), alone("i2", transient), alone("i3"))
    return some(
        "house",
        ONE,
        some("singles", ONE, *(alone(f"s{n}") for n in range(1, 6)), alone("s6", transient), alone("s7", temporary)),
        some("quartet", ALL, alone("q1"), alone("q2"), alone("q3", transient), alone("q4", temporary)),
        some("chain", REST, alone("c1"), alone("c2"), alone("c3", transient), alone("c4"), alone("c5")),
        some("nest", REST, alone("n1"), inner, alone("n2")),
        node("room", REST, room, spec={"hang_after_s": HANG_AFTER_S, **common}, intensity=1000),
        some("few", ONE, *(alone(f"f{n}", budget=Budget(intensity=2, period_s=5.0)) for n in range(1, 3))),
        some("tight", ONE, alone("t1"), alone("t2"), intensity=3, period_s=5.0, on_exhausted=OnExhausted.ESCALATE),
        some("programs", ONE, program("p1", permanent), program("p2", permanent), program("p3", transient)),
        make(DynamicSpec, id="pool", template=alone("guest"), max_children=6, intensity=1000),
        some("jobs", REST, program("p4", temporary), program("p5", permanent)),
    )


class Poltergeist:
    """One hand, one list. `strike` does the next thing; `settled` waits until the ward is at rest."""

    def __init__(self, home: House, spec: SupervisorSpec, folder: Path, seed: int) -> None:
        self.home, self.folder, self.seed = home, folder, seed
        self.rng = Random(seed)
        self.specs = {leaf.id: leaf for _, leaf in walk(spec)}  # those with a process
        self.inside = {actor.id: leaf.id for leaf in self.specs.values() for _, actor in members(leaf)}  # -> its node
        self.programs = [name for name, leaf in self.specs.items() if isinstance(leaf.start, ProgramStart)]
        self.nodes = [name for name in self.specs if name not in self.programs]
        self.actors = [name for name in (*self.nodes, *self.inside) if name not in self.inside.values()]
        self.guests: list[str] = []  # of the pool, now
        self.seen = {*self.specs, *self.inside}  # everybody who was ever there
        self.done: list[str] = []
        self.ended_on_purpose: set[str] = set()  # told to leave with code 0
        self.kept_down: set[str] = set()  # by the last order
        self.counts: dict[str, int] = {}
        self.met = 0  # deeds that met somebody

    # -- what it does -----------------------------------------------------------------------------------------------

    def strike(self) -> None:
        deeds: dict[Callable[[], str], int] = {
            self._kill: 40,
            self._raise: 20,
            self._fail_to_start: 15,
            self._stop: 12,
            self._leave: 5,
            self._order: 6,
            self._mend: 10,
            self._come: 4,
            self._go: 3,
            self._hang: 1,
            self._kill_a_zygote: 2,
        }
        deed = self.rng.choices(list(deeds), list(deeds.values()))[0]
        what = deed.__name__.strip("_")
        self.counts[what] = self.counts.get(what, 0) + 1
        how = deed()
        self.met += not any(miss in how for miss in MISSES)
        self.done.append(f"{len(self.done) + 1}: {what} {how}")

    def _kill(self) -> str:
        return self._signal(signal.SIGKILL, self._living([*self.specs, *self.guests]))

    def _stop(self) -> str:
        return self._signal(signal.SIGSTOP, self._living([*self.specs, *self.guests]))

    def _raise(self) -> str:
        return self._wish(self._living([*self.actors, *self.guests]), "raise")

    def _hang(self) -> str:
        return self._wish(self._living([*self.actors, *self.guests]), "hang")

    def _fail_to_start(self) -> str:
        name, times = self._living([*self.actors, *self.guests]), self.rng.choice([1, 1, 2, 3])
        fresh = self.folder / f"{name}.new"
        fresh.write_text(str(times))
        fresh.replace(self.folder / f"{name}.start")
        fallen = self._wish(name, "raise") if name in self.inside else self._signal(signal.SIGKILL, name)
        return f"{times} times {fallen}"

    def _leave(self) -> str:
        """A program is told its exit code; one that does not read at the moment is not disturbed."""
        name, code = self._living(self.programs), self.rng.choice([0, 3])
        try:
            fifo = os.open(self.folder / name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return f"{name} (it does not read)"
        with os.fdopen(fifo, "w") as file:
            file.write(f"{code}\n")
        if code == 0:
            self.ended_on_purpose.add(name)
        return f"{name} with code {code}"

    def _order(self) -> str:
        verb, name = (
            self.rng.choice(["restart", "stop", "start", "release"]),
            self.rng.choice([*self.specs, *self.inside]),
        )
        answer = self.home.client.ask(verb, 5.0, name=name)
        if answer["ok"]:
            (self.kept_down.add if verb == "stop" else self.kept_down.discard)(name)
        return f"{verb} {name}: {answer['code']}"

    def _mend(self) -> str:
        """An operator takes pity on one that is down."""
        down = [n for n, e in self.entries().items() if e["state"] in ("stopped", "quarantined")]
        if not down:
            return "nobody is down"
        name = self.rng.choice(down)
        answer = self.home.client.ask("restart", 5.0, name=name)
        if answer["ok"]:
            self.kept_down.discard(name)
        return f"restart {name}: {answer['code']}"

    def _come(self) -> str:
        name = f"w{len(self.seen)}"
        answer = self.home.client.ask("add", 5.0, supervisor="pool", name=name)
        if answer["ok"]:
            self.guests.append(name)
            self.seen.add(name)
        return f"{name}: {answer['code']}"

    def _go(self) -> str:
        if not self.guests:
            return "nobody is a guest"
        name = self.guests.pop(self.rng.randrange(len(self.guests)))
        answer = self.home.client.ask("remove", 5.0, name=name)
        assert answer["ok"], answer
        return f"{name}: {answer['code']}"

    def _living(self, names: list[str]) -> str:
        """One of these, of three drawn rather one that has a process."""
        entries = self.entries()
        drawn = [self.rng.choice(names) for _ in range(3)]
        return next((name for name in drawn if entries.get(name, {}).get("pid")), drawn[0])

    def _kill_a_zygote(self) -> str:
        """Or its spare, or both; or stop the spare, which nobody can see by itself."""
        [zygote] = self.home.status()["server"]["zygotes"]
        deed = self.rng.choice(["pid", "spare", "both", "stop"])
        if deed == "stop":
            return f"stop its spare {_send(zygote['spare'], signal.SIGSTOP)}"
        hit = ("pid", "spare") if deed == "both" else (deed,)
        return ", ".join(f"{which} {_send(zygote[which], signal.SIGKILL)}" for which in hit)

    def _signal(self, number: signal.Signals, name: str) -> str:
        entry = self.home.child(name)
        return f"{name} ({entry.get('state')}) {_send(entry.get('pid') or 0, number)}"

    def _wish(self, name: str, word: str) -> str:
        fresh = self.folder / f"{name}.new"
        fresh.write_text(word)
        fresh.replace(self.folder / name)
        return name

    def give_peace(self) -> None:
        """Take back every wish, send the guests home, and order everybody back who is stopped or parked."""
        while self.guests:
            self._go()
        for name in self.actors:
            for file in (self.folder / name, self.folder / f"{name}.start"):
                file.unlink(missing_ok=True)
        for name in (*self.specs, *self.inside):
            if self.entries()[name]["state"] in (State.STOPPED, State.QUARANTINED):
                answer = self.home.client.ask("restart", 5.0, name=name)
                assert answer["ok"], f"{name}: {answer}"

    # -- what it sees -----------------------------------------------------------------------------------------------

    def entries(self) -> dict[str, dict[str, Any]]:
        return {entry["name"]: entry for entry in self.home.status().get("children", [])}

    def settled(self, within_s: float = 60.0) -> dict[str, dict[str, Any]]:
        """Everybody ready, stopped or parked, no wish left open, and so for longer than one that hangs goes unseen."""

        def look() -> dict[str, dict[str, Any]] | None:
            entries = self.entries()
            at_rest = entries and all(entry["state"] in RESTING for entry in entries.values())
            wished = [n for n in entries if (self.folder / n).exists() and entries[n]["ready"] and n in self.actors]
            stopped = [e for e in entries.values() if e["pid"] and state_of(e["pid"]) in ("T", "")]
            return entries if at_rest and not wished and not stopped else None

        calm_since, deadline = None, time.monotonic() + within_s
        while time.monotonic() < deadline:
            now, entries = time.monotonic(), look()
            calm_since = None if entries is None else calm_since or now
            if entries is not None and calm_since is not None and now - calm_since > HANG_AFTER_S + 0.5:
                return entries
            time.sleep(0.05)
        raise AssertionError(f"the ward did not come to rest within {within_s:g} s\n{self.tell()}")

    def tell(self) -> str:
        """For the one who has to find out."""
        restless = [f"{n}: {e['state']}" for n, e in self.entries().items() if e["state"] not in RESTING]
        last = [f"{record['n']} {record['sentence']}" for record in self.records()][-60:]
        return "\n".join(
            [f"seed {self.seed}; not at rest: {restless}", "last deeds:", *self.done[-25:], "last records:", *last]
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record of supervision since the start, oldest first, from disk: the ring forgets."""
        folder = self.home.home / "logs"
        old = sorted(folder.glob("events.jsonl.*"), key=lambda file: int(file.suffix[1:]), reverse=True)
        for file in (*old, folder / "events.jsonl"):
            for line in file.read_text().splitlines():
                yield json.loads(line)


def _send(pid: int, number: signal.Signals) -> str:
    if not pid:
        return "has no process"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return f"pid {pid}"
    return f"pid {pid} was gone already"
