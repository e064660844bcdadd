"""What a scenario may do to the house: signals, switches, simulators, orders, load; all times scaled.

The picture: the stagehand. `inject` gets one of these, sets the scene up, says `begin()` in the instant in which the
fault is real (latency counts from there) and returns; the bench goes on watching until `lasts_s` are over. A scene that
cannot be set up is a fault of the bench (`StageFault`), never a wrong answer of the judge.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from benchmarks.verdicts.simulator import Simulator
from supervisor.runtime.client import Client, Unreachable
from supervisor.runtime.process import state_of

T = TypeVar("T")
POLL_S = 0.02
TAKEN_POLL_S = 0.002
SETUP_S = 45.0  # unscaled, real: how long a scene may take to set up on a loaded machine
LONGEST_ASK_S = 2.0
GONE = ("", "Z", "X")
BURN = "import os\np = os.getppid()\nwhile os.getppid() == p:\n    for _ in range(200000): pass"  # ends with its parent


class StageFault(RuntimeError):
    """The scene could not be set up; the run is void, not wrong."""


class Stage:
    """One run of one scenario. Paths and simulators are there before the house; `client` answers once it runs."""

    def __init__(self, home: Path, scale: float, seed: int) -> None:
        self.home, self.scale, self.seed = home, scale, seed
        self.rng = Random(seed)
        self.folder = home / "stage"
        (self.folder / "watched").mkdir(parents=True, exist_ok=True)
        self.client = Client(home)
        self.root_pid = 0
        self.began_at: float | None = None
        self.over_at: float | None = None
        self.notes: list[tuple[float, str]] = []
        self.ordered: list[tuple[float, str, str]] = []  # (at, verb, name): what we asked for is no restart of theirs
        self.simulators: dict[str, Simulator] = {}
        self._burners: list[subprocess.Popen[bytes]] = []
        self._stopped: set[int] = set()

    # -- times ------------------------------------------------------------------------------------------------------

    def seconds(self, written_s: float) -> float:
        return written_s * self.scale

    def sleep(self, written_s: float) -> None:
        time.sleep(written_s * self.scale)

    def wait_about(self, written_s: float) -> None:
        """Half to one and a half of it, by the seed: the fault comes at a random moment."""
        self.sleep(written_s * self.rng.uniform(0.5, 1.5))

    def begin(self) -> None:
        """Now the fault is real."""
        if self.began_at is None:
            self.began_at = time.monotonic()

    def over(self) -> None:
        """From now on the fault is no longer: what is believed after this is not asked for."""
        self.over_at = time.monotonic()

    def say(self, text: str) -> None:
        self.notes.append((time.monotonic(), text))

    def until(self, look: Callable[[], T | None], what: str, within_s: float = SETUP_S) -> T:
        """The first true answer of `look`; `within_s` is real time, a scene takes what it takes.

        Raises:
            StageFault: not within that time, or the root has ended.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            if self.root_pid and state_of(self.root_pid) in GONE:
                raise StageFault(f"the root has ended; waited for: {what}")
            time.sleep(POLL_S)
        raise StageFault(f"not within {within_s:g} s: {what}")

    # -- the house --------------------------------------------------------------------------------------------------

    def rows(self) -> dict[str, dict[str, Any]]:
        """Name -> its row of the status; empty while nobody answers."""
        try:
            answer = self.client.ask("status", LONGEST_ASK_S)
        except Unreachable:
            return {}
        return {row["name"]: row for row in answer.get("children", [])}

    def row(self, name: str) -> dict[str, Any]:
        return self.rows().get(name, {})

    def until_ready(self, *names: str, at_work: tuple[str, ...] = ()) -> None:
        """All of these are ready, and those of `at_work` have no verdict worse than BUSY."""

        def look() -> bool:
            rows = self.rows()
            calm = all(rows.get(name, {}).get("verdict") in ("HEALTHY", "BUSY") for name in at_work)
            return calm and all(rows.get(name, {}).get("ready") for name in names)

        self.until(look, f"{', '.join(names)} ready and {', '.join(at_work) or 'nobody'} seen at work")

    def pid(self, name: str) -> int:
        return int(self.until(lambda: self.row(name).get("pid"), f"{name} has a process"))

    def send_signal(self, name: str, number: signal.Signals) -> int:
        """To the process of this child; returns its pid."""
        pid = self.pid(name)
        self.kill(pid, number)
        return pid

    def kill(self, pid: int, number: signal.Signals) -> None:
        (self._stopped.add if number is signal.SIGSTOP else self._stopped.discard)(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def pause_root(self, written_s: float) -> None:
        """SIGSTOP, wait, SIGCONT."""
        self.kill(self.root_pid, signal.SIGSTOP)
        self.sleep(written_s)
        self.kill(self.root_pid, signal.SIGCONT)

    def pause_all(self, written_s: float) -> None:
        """The whole tree at once, as a machine that is asleep: children first stopped, the root first awake."""
        pids = [row["pid"] for row in self.rows().values() if row.get("pid")]
        for pid in (self.root_pid, *pids):
            self.kill(pid, signal.SIGSTOP)
        self.sleep(written_s)
        for pid in (*pids, self.root_pid):
            self.kill(pid, signal.SIGCONT)

    def order(self, verb: str, name: str) -> dict[str, Any]:
        """start, stop, restart or release. Raises StageFault when the root does not take it."""
        self.ordered.append((time.monotonic(), verb, name))
        try:
            answer = self.client.ask(verb, 5.0, name=name)
        except Unreachable as error:
            raise StageFault(f"{verb} {name}: {error}") from error
        if not answer.get("ok"):
            raise StageFault(f"{verb} {name} was refused: {answer.get('text')}")
        return answer

    # -- things -----------------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.folder / name

    def watched(self, name: str) -> Path:
        """A file that the root counts among the inputs of every node, as models are (Plan.watched)."""
        return self.folder / "watched" / name

    def free_port(self) -> int:
        """One on 127.0.0.1 that nobody has: for an actor to listen on, or where nobody listens."""
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            return int(chosen.getsockname()[1])

    def switch(self, name: str = "fault", on: bool = True) -> None:
        """Turn a switch that actors ask by `pieces.switched` or `pieces.once`."""
        if on:
            self.path(name).touch()
        else:
            self.path(name).unlink(missing_ok=True)

    def until_taken(self, name: str = "fault") -> None:
        """An actor has come upon the switch (`pieces.once`): the fault began, no earlier than it was last seen on."""
        path, deadline = self.path(name), time.monotonic() + SETUP_S
        seen = time.monotonic()
        while path.exists():
            seen = time.monotonic()
            if seen > deadline:
                raise StageFault(f"no actor met the switch {name} within {SETUP_S:g} s")
            time.sleep(TAKEN_POLL_S)
        if self.began_at is None:
            self.began_at = seen

    def simulator(self, name: str) -> Simulator:
        """The one of this name, made when first asked for."""
        if name not in self.simulators:
            self.simulators[name] = Simulator(name, self.seed)
        return self.simulators[name]

    def burn(self, count: int, core: int | None = None) -> None:
        """So many busy processes, on one core or on any, until `cool` or the end."""
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-S", "-E", "-c", BURN])
            self._burners.append(process)
            if core is not None:
                os.sched_setaffinity(process.pid, {core})

    def stranger(self, code: str, *arguments: str) -> int:
        """A Python program that is none of the house's: an operator at the keyboard, a debugger, somebody with a port.

        It sees the folder of the stage as its working directory and ends with the scene. Returns its pid.
        """
        argv = [sys.executable, "-c", code, *arguments]
        self._burners.append(subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL))
        return self._burners[-1].pid

    def cool(self) -> None:
        for process in self._burners:
            process.kill()
        for process in self._burners:
            process.wait()
        self._burners.clear()

    def close(self) -> None:
        """Nothing of it is left. What we stopped goes on, so that it can end."""
        for pid in tuple(self._stopped):
            self.kill(pid, signal.SIGCONT)
        self.cool()
        for simulator in self.simulators.values():
            simulator.close()
        self.client.close()
