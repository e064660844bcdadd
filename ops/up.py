"""`qt up`: ask all questions, compile the plan in a scratch process, start the heart, and stay beside it.

Under systemd it becomes the heart itself (exec); with --detach it leaves as soon as the server is ready. Killed with -9
it takes nothing with it; `qt down` ends the server.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.rules import gateway as rules
from ops import prepare, render
from ops.home import resolve
from ops.prepare import Wishes
from supervisor.runtime import flight
from supervisor.runtime.flight import LOOK_EVERY_S, View, ask_aside, heart_argv
from supervisor.terminal import NOT_READY, OK, Refusal

if TYPE_CHECKING:
    from config.launch import Launch

# Before Python starts in any of our processes: onnxruntime otherwise sends telemetry and starts a thread at import,
# and the numeric libraries start one thread per core in each.
ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
READY_WITHIN_S = 60.0
OPTIONAL_WITHIN_S = 5.0
STATUS_EVERY_S = 10.0
BUILD = "actors.tree:build"
SIMULATOR_KEYS = {"key": "sim-key", "secret": "sim-secret"}  # the simulator's own; never those of a venue


def run(wishes: Wishes, *, detach: bool, live: bool) -> int:
    """Start the server and return its exit code, one of supervisor/terminal.py."""
    prepare.check_mode(wishes.mode)
    settings = prepare.settings(wishes)
    home = resolve(wishes.home, settings.server.home)
    flight.refuse_second(home, "end it with qt down, or name another --home")
    launch = prepare.launch(wishes, settings)
    prepare.make_home(home)
    os.environ["QT_HOME"] = str(home)
    compile_plan(launch)
    if os.environ.get("NOTIFY_SOCKET"):
        os.execv(sys.executable, heart_argv(home))
    if detach:
        return Flight(home, launch, log=True, session=True).leave_when_ready()
    if live and sys.stdout.isatty() and sys.stderr.isatty():
        from ops.live import show

        return Flight(home, launch, log=True).stay(lambda flight: show(flight.client, home, launch))
    return Flight(home, launch, log=False).stay(plain)


def compile_plan(launch: Launch, *, check: bool = False) -> None:
    """Build and audit the whole tree, and prove the models, in two scratch processes side by side.

    `actors.tree.build(home)` reads the launch file that is written here. With `check` no plan is written.

    Raises:
        Refusal: BAD_CONFIG (or a scratch process's own code) with every fault they printed.
    """
    from config.launch import save

    os.environ.update(ENVIRONMENT)
    save(launch)
    write_ess_settings(launch)
    scratch = ["supervisor.runtime.scratch", "--home", launch.home, "--build", BUILD]
    ask_aside([*scratch, *(["--check"] if check else [])], ["ops.verify"])


def write_ess_settings(launch: Launch) -> None:
    """What the emergency stop needs to reach the venues by itself, with nothing else of ours alive."""
    product = {venue.id: venue.product for venue in launch.settings.venues}
    venues = [
        {"id": account.venue, "product": product[account.venue], "url": launch.venue_url, **SIMULATOR_KEYS}
        for account in launch.settings.accounts
    ]
    path = Path(launch.home) / "run" / "ess_settings.json"
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"schema": 1, "venues": venues}, file)
    fresh.replace(path)


class Flight(flight.Flight):
    """The house's flight: it knows when the house is ready, and where its report lies."""

    def __init__(self, home: Path, launch: Launch, *, log: bool, session: bool = False) -> None:
        super().__init__(home, heart_argv(home), log=log, session=session)
        self.launch = launch
        self._required_at = 0.0

    def leave_when_ready(self) -> int:
        """--detach: back to the shell when every required child is ready, or with the reason why not."""
        deadline = self.began + READY_WITHIN_S
        status: dict[str, Any] | None = None
        while self.alive() and time.monotonic() < deadline:
            status = self.status()
            if status is not None and self.ready(status):
                print(self.ready_line(status))
                return OK
            time.sleep(LOOK_EVERY_S)
        if not self.alive():
            return self.ended()
        from ops.control import missing

        why = missing(status) if status else "the root does not answer"
        raise Refusal(NOT_READY, f"not ready after {READY_WITHIN_S:g} s: {why}; it still runs, see qt status")

    def ready(self, status: dict[str, Any]) -> bool:
        """Every required child is ready, and the others (the HTTP port is one) are, too, or had their moment."""
        if not rules.all_ready(status):
            self._required_at = 0.0
            return False
        self._required_at = self._required_at or time.monotonic()
        coming = any(child.get("state") in ("waiting", "starting", "running") for child in rules.workers(status))
        return not coming or time.monotonic() - self._required_at > OPTIONAL_WITHIN_S

    def ready_line(self, status: dict[str, Any]) -> str:
        children = rules.workers(status)
        ready = sum(bool(child.get("ready")) for child in children)
        took = time.monotonic() - self.began
        return f"ready: {ready} of {len(children)} in {took:.1f} s  http://127.0.0.1:{self.launch.http_port}"

    def epilogue(self) -> str:
        written = self.launch.report and Path(self.launch.report).exists()
        return f"; report: {self.launch.report}" if written else ""


def plain(flight: Flight) -> View:
    """Progress in lines, for pipes and logs: starting, ready, a status every ten seconds, and changes of health."""
    print(f"starting in {flight.launch.mode} mode, home {flight.home}", flush=True)
    said, due, was_ready = "", 0.0, False
    while True:
        yield
        status = flight.status()
        if status is not None:
            now = time.monotonic()
            if not was_ready and flight.ready(status):
                was_ready, said, due = True, rules.word(status), now + STATUS_EVERY_S
                print(flight.ready_line(status), flush=True)
            elif was_ready and (now >= due or rules.word(status) != said):
                said, due = rules.word(status), now + STATUS_EVERY_S
                print(render.summary(status), flush=True)
                for trouble in rules.troubles(status)[:3] if said != "STOPPING" else ():
                    print(f"  {trouble.sentence()}", flush=True)
        time.sleep(LOOK_EVERY_S)
