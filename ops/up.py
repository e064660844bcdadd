"""`qt up`: ask all questions, compile the plan in a scratch process, start the heart, and stay beside it.

Picture: a launch pad. Nothing supervised runs here and nothing here is needed once the heart beats: this process only
shows what happens and passes Ctrl-C on as an orderly end. Under systemd it becomes the heart itself (exec); with
--detach it leaves as soon as the server is ready. Killed with -9 it takes nothing with it; `qt down` ends the server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.rules import gateway as rules
from ops import prepare, render, verify
from ops.exits import BAD_CONFIG, GAVE_UP, NOT_READY, OK, SECOND_SERVER, Refusal
from ops.home import resolve
from ops.prepare import Wishes

if TYPE_CHECKING:
    from config.launch import Launch
    from supervisor.runtime.client import Client

# Before Python starts in any of our processes: onnxruntime otherwise sends telemetry and starts a thread at import,
# and the numeric libraries start one thread per core in each.
ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
READY_WITHIN_S = 60.0
OPTIONAL_WITHIN_S = 5.0
END_WITHIN_S = 30.0
STATUS_EVERY_S = 10.0
LOOK_EVERY_S = 0.2
BUILD = "actors.tree:build"
SIMULATOR_KEYS = {"key": "sim-key", "secret": "sim-secret"}  # the simulator's own; never those of a venue


def run(wishes: Wishes, *, detach: bool, live: bool) -> int:
    """Start the server and return the exit code DESIGN section 9 promises."""
    prepare.check_mode(wishes.mode)
    verify.house()
    settings = prepare.settings(wishes)
    home = resolve(wishes.home, settings.server.home)
    refuse_second(home)
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


def refuse_second(home: Path) -> None:
    """One server per home. The heart's own lock decides in the end; this says it with a sentence first."""
    from supervisor.runtime.client import running

    pid = running(home)
    if pid is not None:
        who = f" (pid {pid})" if pid else ""
        raise Refusal(
            SECOND_SERVER, f"a server already runs in {home}{who}; end it with qt down, or name another --home"
        )


def compile_plan(launch: Launch, *, check: bool = False) -> None:
    """Build and audit the whole tree, and prove the models, in two scratch processes side by side.

    `actors.tree.build(home)` reads the launch file that is written here. With `check` no plan is written.

    Raises:
        Refusal: BAD_CONFIG (or the scratch process's own code) with every fault it printed.
    """
    from config.launch import save

    os.environ.update(ENVIRONMENT)
    save(launch)
    write_ess_settings(launch)
    scratch = ["-m", "supervisor.runtime.scratch", "--home", launch.home, "--build", BUILD]
    scratch += ["--arguments", json.dumps({"home": launch.home}), *(["--check"] if check else [])]
    questions = [_ask([sys.executable, *scratch]), _ask([sys.executable, "-m", "ops.verify"])]
    answers = [(question.communicate()[1].strip(), question.returncode) for question in questions]
    faults = [(text, code) for text, code in answers if code != OK]
    if faults:
        text = "\n".join(text or f"a scratch process ended with code {code} and said nothing" for text, code in faults)
        raise Refusal(faults[0][1] if faults[0][1] in (64, 66, 69, 75, 78) else BAD_CONFIG, text)


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


def _ask(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def heart_argv(home: Path) -> list[str]:
    return [sys.executable, "-m", "supervisor.runtime.heart", "--home", str(home)]


class Flight:
    """The heart as our child, from start to end. `log`: its stderr goes to `logs/server.log` instead of ours."""

    def __init__(self, home: Path, launch: Launch, *, log: bool, session: bool = False) -> None:
        from supervisor.runtime.client import Client

        self.home = home
        self.launch = launch
        self.began = time.monotonic()
        self._started_at = time.time()
        self.client: Client = Client(home)
        self.log = home / "logs" / "server.log" if log else None
        self._asked_to_end = 0.0
        self._required_at = 0.0
        stderr = self.log.open("ab") if self.log else None
        # A group of its own: Ctrl-C reaches us only, and we turn it into an orderly end.
        self.heart = subprocess.Popen(
            heart_argv(home),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=session,
            process_group=None if session else 0,
        )
        if stderr is not None:
            stderr.close()

    def alive(self) -> bool:
        return self.heart.poll() is None

    def status(self) -> dict[str, Any] | None:
        from supervisor.runtime.client import Unreachable

        try:
            answer = self.client.ask("status", 0.5)
        except Unreachable:
            return None
        return answer if answer.get("ok") is not False else None

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

    def stay(self, show: Any) -> int:
        """Show what happens until the heart ends. Ctrl-C or SIGTERM ends it in order, a second one at once."""
        with self._signals():
            view = show(self)
            try:
                while self.alive():
                    next(view)
                    if self._asked_to_end and time.monotonic() - self._asked_to_end > END_WITHIN_S:
                        print(
                            f"no end after {END_WITHIN_S:g} s; killing the heart (its root and nodes follow)",
                            file=sys.stderr,
                        )
                        self.heart.kill()
                        self.heart.wait()
            finally:
                view.close()
                if self.alive():  # the view itself failed: the server must not be left behind unseen
                    self.heart.terminate()
                    self.heart.wait()
        return self.ended()

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

    def ended(self) -> int:
        """The last line, and the exit code: the heart's own, or 70 when it was killed."""
        code = self.heart.returncode
        took = render.age(time.monotonic() - self.began) + self._reason()
        report = f"; report: {self.launch.report}" if self.launch.report and Path(self.launch.report).exists() else ""
        if code == OK:
            print(f"ended in order after {took}{report}")
            return OK
        what = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        print(f"the server {what} after {took}{report}", file=sys.stderr)
        for line in self._last_words():
            print(f"  {line}", file=sys.stderr)
        return GAVE_UP if code < 0 else code

    def _reason(self) -> str:
        """`: the recording is over`, as the root wrote it when it ended; nothing when it could not."""
        path = self.home / "run" / "exit.json"
        try:
            if path.stat().st_mtime < self._started_at:
                return ""
            reason = str(json.loads(path.read_text()).get("reason") or "")
        except (OSError, ValueError, AttributeError):
            return ""
        return f": {reason}" if reason else ""

    def _last_words(self) -> list[str]:
        if self.log is None or not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4000))
            lines = file.read().decode(errors="replace").splitlines()[-8:]
        return [*lines, f"(more in {self.log})"] if lines else []

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(number: int, _frame: object) -> None:
            if self._asked_to_end:
                if self.alive():
                    self.heart.kill()
                return
            self._asked_to_end = time.monotonic()
            print("ending in order … (again: kill)", file=sys.stderr)
            if self.alive():
                self.heart.terminate()

        old = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def plain(flight: Flight) -> Iterator[None]:
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
