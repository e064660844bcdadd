"""Beside a running heart, from start to end: for whoever starts a server on a terminal and stays with it.

Picture: a launch pad. Nothing supervised runs here and nothing here is needed once the heart beats: this process only
shows what happens and passes Ctrl-C on as an orderly end. Killed with -9 it takes nothing with it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervisor.runtime.client import Client, Unreachable, running
from supervisor.terminal import BAD_CONFIG, GAVE_UP, OK, SECOND_SERVER, Refusal, age

END_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2
OUR_CODES = frozenset({64, 66, 69, 75, 78})

View = Generator[None, None, None]


def refuse_second(home: Path, remedy: str) -> None:
    """One server per home. The heart's own lock decides in the end; this says it with a sentence first.

    Raises:
        Refusal: SECOND_SERVER, naming who runs, and the remedy.
    """
    pid = running(home)
    if pid is not None:
        who = f" (pid {pid})" if pid else ""
        raise Refusal(SECOND_SERVER, f"a server already runs in {home}{who}; {remedy}")


def ask_aside(*questions: list[str]) -> None:
    """Ask these modules (`["module", "argument", …]`) in processes of their own, side by side.

    Raises:
        Refusal: everything they printed on stderr, with the code of the first that is not content.
    """
    asked = [
        subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in questions
    ]
    answers = [(process.communicate()[1].strip(), process.returncode) for process in asked]
    faults = [(text, code) for text, code in answers if code != OK]
    if faults:
        text = "\n".join(text or f"a scratch process ended with code {code} and said nothing" for text, code in faults)
        raise Refusal(faults[0][1] if faults[0][1] in OUR_CODES else BAD_CONFIG, text)


def heart_argv(home: Path) -> list[str]:
    return [sys.executable, "-m", "supervisor.runtime.heart", "--home", str(home)]


class Flight:
    """The heart as our child. `log`: its stderr goes to `logs/server.log` instead of ours. `session`: it leaves ours,
    so that it outlives the terminal."""

    def __init__(self, home: Path, argv: list[str], *, log: bool, session: bool = False) -> None:
        self.home = home
        self.began = time.monotonic()
        self._started_at = time.time()
        self.client = Client(home)
        self.log = home / "logs" / "server.log" if log else None
        self._asked_to_end = 0.0
        stderr = self.log.open("ab") if self.log else None
        # A heart that is still importing must not die of SIGTERM: it inherits it blocked, and its loop unblocks it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            # A group of its own: Ctrl-C reaches us only, and we turn it into an orderly end.
            self.heart = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=session,
                process_group=None if session else 0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            if stderr is not None:
                stderr.close()

    def alive(self) -> bool:
        return self.heart.poll() is None

    def status(self) -> dict[str, Any] | None:
        """What the root says now; `None` while it says nothing."""
        try:
            answer = self.client.ask("status", 0.5)
        except Unreachable:
            return None
        return answer if answer.get("ok") is not False else None

    def stay(self, show: Callable[[Any], View]) -> int:
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

    def end(self, why: str) -> None:
        """Ask the heart for an orderly end; it kills nobody before END_WITHIN_S."""
        if not self._asked_to_end:
            self._asked_to_end = time.monotonic()
            print(why, file=sys.stderr)
            if self.alive():
                self.heart.terminate()

    def ended(self) -> int:
        """The last line, and the exit code: the heart's own, or 70 when it was killed."""
        code = self.heart.returncode
        took = f"{age(time.monotonic() - self.began)}{self._reason()}{self.epilogue()}"
        if code == OK:
            print(f"ended in order after {took}")
            return OK
        what = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        print(f"the server {what} after {took}", file=sys.stderr)
        for line in self._last_words():
            print(f"  {line}", file=sys.stderr)
        return GAVE_UP if code < 0 else code

    def epilogue(self) -> str:
        """What else the last line says."""
        return ""

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
        def end(_number: int, _frame: object) -> None:
            if self._asked_to_end:
                if self.alive():
                    self.heart.kill()
                return
            self.end("ending in order … (again: kill)")

        old = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
