"""One set of words for a tree at work, spoken by three runtimes: the bare machine, processes, threads in a node.

A *scene* is one supervisor with its toys; all scenes of a module stand in one tree, so that one root serves them all.
Toys are called `scene.letter`. A *story* is what supervision said of a scene: "start b 2", "stop c 1", "kill", "down".
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from supervisor.events import SupervisionKind
from supervisor.spec import Backoff, Budget, ChildSpec, SupervisorSpec, child, member, node, supervise
from supervisor.words import State, Strategy
from tests.supervisor.conformance import toys
from tests.supervisor.toys import House
from tests.supervisor.tree_world import World

WORDS = {"starting": "start", "stopping": "stop", "killing": "kill", "exited": "down", "stopped": "down"}
WITHIN_S = 20.0
ANSWER_S = 10.0  # on a crowded machine


class Scene:
    """A supervisor to be: strategy, and what stands in it in start order."""

    def __init__(self, strategy: Strategy, **cast: tuple[type[toys.Obedient], dict[str, Any], dict[str, Any]]) -> None:
        self.strategy, self.cast = strategy, cast


def toy(kind: type[toys.Obedient] = toys.Obedient, *, spec: dict[str, Any] | None = None, **arguments: Any) -> Any:
    return kind, spec or {}, arguments


def plant(scenes: dict[str, Scene], folder: Path) -> SupervisorSpec:
    """All scenes in one tree; those whose name begins with "t" are played inside one node each, the others by a process
    per toy. Restarts are immediate and unlimited: what is shown is order, not budget."""
    ample: dict[str, Any] = {"intensity": 1000}

    def room(name: str, scene: Scene) -> SupervisorSpec | ChildSpec:
        players = []
        for letter, (kind, spec, arguments) in scene.cast.items():
            fields = {"backoff": Backoff(initial_s=0.0), "budget": Budget(intensity=1000), **spec}
            path, make = f"{toys.__name__}:{kind.__name__}", member if name.startswith("t") else child
            players.append(make(f"{name}.{letter}", path, spec=fields, folder=str(folder), **arguments))
        if name.startswith("t"):
            return node(name, scene.strategy, players, spec={"budget": Budget(intensity=1000)}, **ample)
        return supervise(name, scene.strategy, list(players), **ample)

    return supervise("stage", Strategy.ONE_FOR_ONE, [room(*named) for named in scenes.items()], **ample)


class Runtime(Protocol):
    """What a test may do. Letters are toys of the scene in hand."""

    scene: str

    def crash(self, letter: str) -> None:
        """An exception that nobody catches."""

    def order(self, verb: str, letter: str = "") -> dict[str, Any]:
        """An operator's order for a toy, or for the supervisor of the scene; what it got for an answer."""

    def state(self, letter: str) -> str: ...

    def life(self, letter: str) -> int:
        """Its incarnation."""

    def story(self, *ending: str) -> list[str]:
        """What was said of the scene since the last story, once it ends with `ending` (or by now)."""

    def ready(self, *letters: str) -> None:
        """Wait until these are."""


class OnMachine:
    """The pure machine under the judge of tree_world: everybody does as told at once."""

    def __init__(self, scenes: dict[str, Scene], folder: Path, scene: str) -> None:
        self.scene = scene
        self.world = World(plant(scenes, folder)).boot()
        self._told = len(self.world.records)

    def crash(self, letter: str) -> None:
        self.world.die(f"{self.scene}.{letter}", worked=True)
        self.world.flow()

    def order(self, verb: str, letter: str = "") -> dict[str, Any]:
        answer = self.world.order_(verb, f"{self.scene}.{letter}" if letter else self.scene)
        self.world.flow()
        return {"ok": answer.ok, "code": answer.code}

    def state(self, letter: str) -> str:
        return self.world.state(f"{self.scene}.{letter}")

    def life(self, letter: str) -> int:
        return self.world.view(f"{self.scene}.{letter}").incarnation

    def story(self, *ending: str) -> list[str]:
        told, self._told = self._told, len(self.world.records)
        return _story(self.scene, ((r.kind, r.id, r.incarnation) for r in self.world.records[told:]))

    def ready(self, *letters: str) -> None:
        assert all(self.state(letter) == State.READY for letter in letters)


class OnRoot:
    """A real root over processes; over the toys' own, or over one node that supervises them as threads."""

    def __init__(self, home: House, folder: Path, scene: str) -> None:
        self.home, self.folder, self.scene = home, folder, scene
        self._told = self._newest()

    def crash(self, letter: str) -> None:
        wish(self.folder, f"{self.scene}.{letter}", "as told")

    def order(self, verb: str, letter: str = "") -> dict[str, Any]:
        return self.home.client.ask(verb, ANSWER_S, name=f"{self.scene}.{letter}" if letter else self.scene)

    def state(self, letter: str) -> str:
        return str(self.entry(letter)["state"])

    def life(self, letter: str) -> int:
        return int(self.entry(letter)["incarnation"])

    def pid(self, letter: str) -> int:
        return self.entry(letter)["pid"] or 0

    def entry(self, letter: str) -> dict[str, Any]:
        return self.home.child(f"{self.scene}.{letter}")

    def story(self, *ending: str) -> list[str]:
        def told() -> list[str]:
            records = self.home.client.ask("events", ANSWER_S, after=self._told)["events"]
            return _story(self.scene, ((r["kind"], r["id"], r["incarnation"]) for r in records))

        if ending:
            self.until(lambda: told()[-len(ending) :] == list(ending), f"a story that ends with {ending}", told)
        found, self._told = told(), self._newest()
        return found

    def ready(self, *letters: str) -> None:
        self.home.ready(*(f"{self.scene}.{letter}" for letter in letters))

    def path(self, letter: str, suffix: str) -> Path:
        """Where a toy leaves a sign, or looks for one."""
        return self.folder / f"{self.scene}.{letter}.{suffix}"

    def kill(self, letter: str, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid(letter), number)

    def until(self, look: Callable[[], Any], what: str, show: Callable[[], Any] | None = None) -> Any:
        try:
            return self.home.until(look, what, WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"{what}: {show()}" if show else str(error)) from error

    def _newest(self) -> int:
        return max((record["n"] for record in self.home.client.ask("events", ANSWER_S, after=0)["events"]), default=0)


def wish(folder: Path, name: str, word: str) -> None:
    """Put a word where a toy looks, whole."""
    fresh = folder / f"{name}.new"
    fresh.write_text(word)
    fresh.replace(folder / name)


def _story(scene: str, records: Iterable[tuple[str | SupervisionKind, str, int]]) -> list[str]:
    return [
        f"{WORDS[kind]} {id.partition('.')[2]} {incarnation}"
        for kind, id, incarnation in records
        if id.startswith(f"{scene}.") and kind in WORDS
    ]
