"""Toy actors and a toy house around them: a home, a plan, a root or a heart as real processes, and ways to wait."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from supervisor import plan as plans
from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.plan import Plan
from supervisor.runtime.client import Client, Unreachable
from supervisor.spec import ChildSpec, SupervisorSpec, ZygoteSpec, child, supervise
from supervisor.words import Strategy

PROJECT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


class Beat(Message, frozen=True, kw_only=True):
    """A toy's private timer."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class StopServer(Message, frozen=True, kw_only=True):
    """Same name and fields on the wire as the real one, which lives in a package the supervisor may not know."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    reason: str
    exit_code: int = 0


class Worker(Actor):
    """Beats ten times a second and calls that useful work."""

    def init(self, every_s: float = 0.1) -> None:
        self.every_s = every_s
        self.ctx.after(every_s, Beat())

    def handle(self, message: Message) -> None:
        self.ctx.progress("beat")
        self.ctx.after(self.every_s, Beat())


class Doomed(Actor):
    """Raises in init, always in the same way."""

    def init(self) -> None:
        raise KeyError("the same every time")

    def handle(self, message: Message) -> None:
        return


class Stuck(Actor):
    """Ready, then hangs in its first message for ever: a lock nobody will release."""

    def init(self, marker: str) -> None:
        if not Path(marker).exists():
            self.ctx.after(0.05, Beat())
            self.ctx.after(0.06, Beat())
        self.marker = marker

    def handle(self, message: Message) -> None:
        Path(self.marker).touch()
        while True:
            time.sleep(60)


class Deaf(Worker):
    """Works, but will not end: `terminate` takes for ever."""

    def terminate(self, reason: str) -> None:
        time.sleep(3600)


class Ender(Actor):
    """Asks the root to end the server with code 3."""

    def init(self) -> None:
        self.ctx.after(0.1, Beat())

    def handle(self, message: Message) -> None:
        self.ctx.send("root", StopServer(reason="the toy is over", exit_code=3))


def prepare_with_thread() -> None:
    """A prepare function that breaks the zygote's rule."""
    import threading

    threading.Thread(target=time.sleep, args=(3600,), daemon=True, name="culprit").start()


def prepare_thread_on_signal() -> None:
    """The same, later: when SIGUSR1 comes."""
    signal.signal(signal.SIGUSR1, lambda *_: prepare_with_thread())


def toy(name: str, kind: type[Actor], *, spec: dict[str, Any] | None = None, **arguments: Any) -> ChildSpec:
    return child(name, f"tests.supervisor.toys:{kind.__name__}", spec=spec, **arguments)


def tree(*children: ChildSpec | SupervisorSpec, strategy: Strategy = Strategy.ONE_FOR_ONE) -> SupervisorSpec:
    return supervise("house", strategy, list(children), intensity=100)


class House:
    """A home on disk and whatever process runs it. Everything it started is gone when it is closed."""

    def __init__(self, home: Path, spec: SupervisorSpec, *, ess_argv: tuple[str, ...] = (), **fields: Any) -> None:
        self.home = home
        self.sockets = Path(tempfile.mkdtemp(prefix="qt-test-"))
        (home / "run").mkdir(parents=True, exist_ok=True)
        (home / "run" / "sockets").write_text(f"{self.sockets}\n")
        plan = Plan(
            tree=spec,
            zygotes=(ZygoteSpec(role="core", imports=("tests.supervisor.toys",)),),
            routes={},
            home=str(home),
            sockets=str(self.sockets),
            own_roots=(str(PROJECT / "tests" / "supervisor"),),
            environment={"PYTHONPATH": str(PROJECT)},
            ess_argv=ess_argv,
        )
        plans.save(msgspec_replace(plan, **fields))
        self.client = Client(home)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.output = home / "output.txt"

    def start(self, module: str) -> subprocess.Popen[bytes]:
        """`python -m supervisor.runtime.<module> --home …`"""
        with self.output.open("ab") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", f"supervisor.runtime.{module}", "--home", str(self.home)],
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.processes.append(popen)
        return popen

    def status(self) -> dict[str, Any]:
        """The status now, `{}` while nobody answers."""
        with contextlib.suppress(Unreachable):
            return self.client.ask("status", 1.0)
        return {}

    def child(self, name: str) -> dict[str, Any]:
        found = [entry for entry in self.status().get("children", []) if entry["name"] == name]
        return found[0] if found else {}

    def ready(self, *names: str) -> dict[str, dict[str, Any]]:
        """Wait until these children are ready; their entries."""

        def look() -> dict[str, dict[str, Any]] | None:
            entries = {entry["name"]: entry for entry in self.status().get("children", [])}
            return entries if all(entries.get(name, {}).get("ready") for name in names) else None

        return self.until(look, f"{', '.join(names)} ready")

    def until(self, look: Callable[[], T | None], what: str, within_s: float = 30.0) -> T:
        """The first true answer of `look`, or a failure that shows everything that is known."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            time.sleep(0.02)
        said = self.output.read_text()[-3000:] if self.output.exists() else ""
        raise AssertionError(
            f"not within {within_s} s: {what}\n{json.dumps(self.status(), indent=1)}\n{said}\n{self.log()}"
        )

    def log(self, name: str = "root") -> str:
        path = self.home / "logs" / f"{name}.jsonl"
        return path.read_text()[-6000:] if path.exists() else ""

    def worked(self, name: str) -> bool:
        """True once it marked progress, by its own dials."""
        from supervisor.evidence import vitals

        page = vitals.read(self.home / "vitals" / vitals.file_name(name))
        return any(actor.last_progress_ns > actor.ready_ns > 0 for actor in page)

    def events(self, id: str, kind: str = "") -> list[dict[str, Any]]:
        events = self.client.ask("events", after=0)["events"]
        return [event for event in events if event["id"] == id and (not kind or event["kind"] == kind)]

    def close(self) -> None:
        for lock in ("heart", "root", "ess"):
            pid = self.held(lock)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for popen in self.processes:
            popen.kill()
            popen.wait()
        self.client.close()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def held(self, lock: str) -> int:
        from supervisor.runtime import locks

        return locks.holder(self.home / "run" / f"{lock}.lock") or 0


def msgspec_replace(plan: Plan, **fields: Any) -> Plan:
    import msgspec

    return msgspec.structs.replace(plan, **fields)


@contextlib.contextmanager
def house(home: Path, *children: ChildSpec | SupervisorSpec, **fields: Any) -> Iterator[House]:
    built = House(home, tree(*children), **fields)
    try:
        yield built
    finally:
        built.close()


def alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    from supervisor.runtime.process import state_of

    return state_of(pid) not in ("", "Z", "X")


def plain_node(boot: Any, line: Any) -> int:
    """A node without actors: says who it is, then does what its name says."""
    from supervisor.runtime import link

    link.send(line, link.Hello(pid=os.getpid()))
    if boot.name == "raises":
        raise ValueError("as told")
    if boot.name == "exits-7":
        return 7
    line.settimeout(30)
    link.receive_from_root(line)
    return 0
