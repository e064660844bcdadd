"""The real server as a thing to hold in a test: start it, ask it, listen to it, hurt it, and leave nothing behind.

Picture: a visitor with a stopwatch and a list. Whatever `qt up` starts carries `QT_HOME` in its environment, so the
list of who belongs to a home is the kernel's and no test can forget anybody: `close` ends the server in order, then
names and kills every process that is left. It sees the server only as anybody can: by the control protocol, the bus,
the journals, the venue's own truth.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from actors.messages import account, control, market, orders, signals
from supervisor.message import Message
from supervisor.runtime import locks
from supervisor.runtime.client import Client, Heard, Listener, Unreachable, decode, sockets
from supervisor.runtime.journal import JournalReader, file_name
from supervisor.runtime.process import state_of

PROJECT = Path(__file__).resolve().parents[2]
POLL_S = 0.03
T = TypeVar("T")
WORDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for module in (account, control, market, orders, signals)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
}


def until(look: Callable[[], T | None], what: str, within_s: float = 30.0, show: Callable[[], str] = str) -> T:
    """The first true answer of `look`; after `within_s` a failure that says what was waited for and shows `show()`."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}\n{show()}")
        time.sleep(POLL_S)


def alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    return state_of(pid) not in ("", "Z", "X")


def members(home: Path) -> dict[int, str]:
    """Every living process that was started with this QT_HOME: pid -> command line."""
    mark = f"QT_HOME={home}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:160]
    return found


def said(body: list[Any]) -> dict[str, Any]:
    """A word off the bus or out of a journal as a dict, by the field names of our own classes."""
    return dict(zip(WORDS[body[0]].__struct_fields__, body[1:], strict=False))


def environment(home: Path) -> dict[str, str]:
    env = {**os.environ, "QT_HOME": str(home), "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    env.pop("NOTIFY_SOCKET", None)
    return env


def qt(home: Path, *words: str, within_s: float = 90.0, **overrides: Any) -> subprocess.CompletedProcess[str]:
    """One `qt` command, to its end."""
    settings: dict[str, Any] = {"env": environment(home), "cwd": home.parent, **overrides}
    argv = [sys.executable, "-m", "ops.main", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=within_s, check=False, **settings)


class House:
    """One home and the server in it."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.output = home.parent / f"{home.name}-output.txt"
        self.client = Client(home)
        self.popen: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None

    # -- start and end ----------------------------------------------------------------------------------------------

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """`qt up … --http-port 0` in the background, its output in a file beside the home."""
        return self.run([sys.executable, "-m", "ops.main", "up", "--http-port", "0", *words])

    def run(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            self.popen = subprocess.Popen(
                argv,
                env=environment(self.home),
                cwd=self.home.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.popen

    def close(self) -> None:
        """End it in order; whoever is left is killed, and is a failure of the test."""
        self._sockets = sockets(self.home) or self._sockets
        if self.held("heart"):
            qt(self.home, "down")
        self.client.close()
        if self.popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(30)
        deadline = time.monotonic() + 5
        while members(self.home) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        left = members(self.home)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.popen is not None:
            self.popen.wait(10)
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
        assert not left, f"left behind after qt down: {left}\n{self.tell()}"

    # -- questions --------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The status now, `{}` while nobody answers."""
        with contextlib.suppress(Unreachable):
            answer = self.client.ask("status", 1.0)
            return answer if answer.get("ok") is not False else {}
        return {}

    def children(self) -> dict[str, dict[str, Any]]:
        """Every worker by name, `{}` while nobody answers."""
        return {c["name"]: c for c in self.status().get("children", []) if c["kind"] == "worker"}

    def child(self, name: str) -> dict[str, Any]:
        return self.children().get(name, {})

    def why(self, name: str) -> dict[str, Any]:
        return self.client.ask("why", 5.0, name=name)

    def events(self, id: str = "", kind: str = "") -> list[dict[str, Any]]:
        """What supervision said since this root started, oldest first."""
        found: list[dict[str, Any]] = self.client.ask("events", 5.0, after=0)["events"]
        return [e for e in found if (not id or e["id"] == id) and (not kind or e["kind"] == kind)]

    def held(self, name: str) -> int:
        """The pid of "heart", "root" or "ess", 0 when nobody holds its lock."""
        return locks.holder(self.home / "run" / f"{name}.lock") or 0

    def zygotes(self) -> dict[str, int]:
        return {z["role"]: z["pid"] for z in self.status().get("server", {}).get("zygotes", [])}

    def incarnations(self) -> dict[str, int]:
        return {name: c["incarnation"] for name, c in self.children().items()}

    def until(self, look: Callable[[], T | None], what: str, within_s: float = 30.0) -> T:
        return until(look, what, within_s, self.tell)

    def wait_ready(self, within_s: float = 60.0) -> dict[str, dict[str, Any]]:
        """Until every worker is ready; the workers."""

        def ready() -> dict[str, dict[str, Any]] | None:
            children = self.children()
            ended = self.popen is not None and self.popen.poll() is not None
            assert not ended or self.held("root"), f"the server has ended\n{self.tell()}"
            return children if children and all(c["ready"] for c in children.values()) else None

        return self.until(ready, "everybody is ready", within_s)

    def wait_end(self, within_s: float = 100.0) -> int:
        """The exit code of `qt up`."""
        assert self.popen is not None
        try:
            return self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"qt up did not end within {within_s:g} s\n{self.tell()}") from None

    def tell(self) -> str:
        """Everything a person would look at first."""
        rows = [
            f"{c['name']:18} {c['state']:12} {c['verdict']:10} {c['incarnation']} {c['pid']} {c['reason']}"
            for c in self.children().values()
        ]
        said_so_far = self.output.read_text()[-3000:] if self.output.exists() else ""
        log = self.home / "logs" / "root.jsonl"
        last = log.read_text()[-3000:] if log.exists() else ""
        return "\n".join([*rows, "--- output", said_so_far, "--- root log", last])

    # -- what it writes down ----------------------------------------------------------------------------------------

    def journal(self, actor: str, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
        """What an actor has recorded, in order: (class, fields); every class or only these."""
        reader = JournalReader(self.home / "journal" / file_name(actor))
        found = []
        for record in reader.tail(100_000):
            heard = decode(record.frame)
            if heard is not None and heard.body[0] in WORDS and (not kinds or heard.body[0] in kinds):
                found.append((str(heard.body[0]), said(heard.body)))
        return found

    def report(self) -> dict[str, Any]:
        """The recorder's report as it stands on disk."""
        document: dict[str, Any] = json.loads((self.home / "reports" / "report.json").read_text())
        return document

    def launch(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.home / "run" / "launch.json").read_text())
        return document

    def venue_truth(self, account: str = "") -> dict[str, Any]:
        """The simulator's own record."""
        return ask_venue(self.launch()["venue_url"], f"truth?account={account}" if account else "truth")

    # -- harm -------------------------------------------------------------------------------------------------------

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal a child, "heart", "root" or "ess"; the pid it had."""
        pid = self.held(name) if name in ("heart", "root", "ess") else self.child(name).get("pid")
        assert pid, f"{name} does not run\n{self.tell()}"
        os.kill(pid, number)
        return int(pid)


def ask_venue(url: str, path: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
    """`GET /_venue/PATH`, or `POST` with an order."""
    data = None if order is None else json.dumps(order).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_venue/{path}", data), timeout=10) as answer:
        document: dict[str, Any] = json.load(answer)
        return document


class Venue:
    """A simulator outside the tree: `qt venue serve`, judge of everything that happens in the house."""

    def __init__(self, folder: Path, *words: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "ops.main", "venue", "serve", "--home", str(folder), *words]
        self._log = (folder / "venue.log").open("wb")
        self.popen = subprocess.Popen(
            argv, env=environment(folder), cwd=folder, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        self.url = line.rpartition(" ")[2].strip()
        assert self.url.startswith("http://127.0.0.1:"), (line, (folder / "venue.log").read_text()[-2000:])

    def close(self) -> None:
        self.popen.terminate()
        try:
            self.popen.wait(15)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        finally:
            self._log.close()
            if self.popen.stdout is not None:
                self.popen.stdout.close()


class Tail:
    """Listens on the bus in a thread, as `qt tail` does, and keeps what `keep` makes of each frame."""

    def __init__(self, home: Path, topics: Iterable[str], keep: Callable[[Heard], Any] = lambda heard: heard) -> None:
        self.kept: list[Any] = []
        self.heard = 0
        self._ended = threading.Event()
        self._home, self._topics, self._keep = home, list(topics), keep
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        listener = Listener(self._home, self._topics)
        try:
            while not self._ended.is_set():
                for heard in listener.hear(0.1):
                    self.heard += 1
                    kept = self._keep(heard)
                    if kept is not None:
                        self.kept.append(kept)
        finally:
            listener.close()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
