"""A node without a root: the real `node.main` in a forked process, with the test holding the root's end of the link."""

from __future__ import annotations

import os
import time
from pathlib import Path

from supervisor.message import Provenance
from supervisor.moves import Kept
from supervisor.plan import NodeBoot, Route
from supervisor.runtime import link
from supervisor.spec import ActorStart, Dependency, SupervisorSpec, actor

DEADLINE_S = 20.0


class Node:
    """One incarnation. `expect(Kind)` waits for a word; `end()` waits for the exit code."""

    def __init__(
        self,
        home: Path,
        name: str,
        path: str = "",
        *,
        incarnation: int = 1,
        routes: tuple[Route, ...] = (),
        group: SupervisorSpec | None = None,
        hears: dict[str, tuple[Route, ...]] | None = None,
        kept: dict[str, Kept] | None = None,
        shutdown_s: float = 5.0,
        given_up: bool = False,
        depends: tuple[Dependency, ...] = (),
        **arguments: object,
    ) -> None:
        starts: tuple[ActorStart, ...] = (actor(name, path, **arguments),) if path else ()
        boot = NodeBoot(
            name=name,
            incarnation=incarnation,
            actors=starts,
            routes=routes,
            endpoint=endpoint(home, name),
            home=str(home),
            provenance=Provenance.SYNTHETIC,
            seed=1,
            own_roots=(str(Path(__file__).parents[2]),),
            group=group,
            hears=hears or {},
            kept=kept or {},
            shutdown_s=shutdown_s,
            depends={name: depends},
        )
        (home / "sockets").mkdir(parents=True, exist_ok=True)
        self.line, theirs = link.pair()
        if given_up:  # nobody waits for it any more
            self.line.close()
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                self.line.close()
                from supervisor.runtime.node import main

                code = main(boot, theirs)
            finally:
                os._exit(code)
        theirs.close()
        self.words: list[link.FromNode] = []

    def expect(self, kind: type[link.Word]) -> link.Word:
        """The next word of this kind, within the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for word in self.words:
                if isinstance(word, kind):
                    self.words.remove(word)
                    return word
            self.line.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                packet = self.line.recv(link.LARGEST)
            except TimeoutError:
                break
            if not packet:
                break
            self.words.append(link._from_node.decode(packet))
        raise AssertionError(f"no {kind.__name__} from process {self.pid}; it said {self.words}")

    def tell(self, word: link.Word) -> None:
        link.send(self.line, word)

    def end(self) -> int:
        """The exit code; negative for a signal."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.line.close()
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"process {self.pid} did not end")


def endpoint(home: Path, name: str) -> str:
    return f"ipc://{home}/sockets/{name}"


def short_home() -> Path:
    """ipc paths end at 107 characters; pytest's folders are longer than that is worth."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="qt-test-"))
