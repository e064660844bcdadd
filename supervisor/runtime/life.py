"""One incarnation of one child while it has, or is about to have, a process; and how it is brought to an end.

The end is a ladder: the polite word, SIGTERM, SIGKILL. A stopped process is continued first, because it hears nothing.
Each step is a timer in the loop; the ladder ends with the kernel's news of the death, never with a guess.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable

from supervisor.evidence import holders
from supervisor.runtime import link
from supervisor.runtime.loop import Loop, Timer
from supervisor.runtime.process import ExitStatus, Process
from supervisor.spec import ChildSpec, NodeStart
from supervisor.words import CrashRecord, ExitKind

GRACE_S = 0.5  # between SIGTERM and SIGKILL
BROOD_MOST = 256
BURIAL_S = 0.05  # from the end to the reaping: the replacement comes first
RETRY_S = 0.05  # a full link is tried again this often; a node that never reads is the judge's affair


class Life:
    """What the runtime knows of one incarnation. Facts only; the tree decides."""

    def __init__(self, loop: Loop, id: str, path: str, incarnation: int, spec: ChildSpec) -> None:
        self.id, self.path, self.incarnation, self.spec = id, path, incarnation, spec
        self.is_node = isinstance(spec.start, NodeStart)
        self.process: Process | None = None
        self.line: socket.socket | None = None  # the root's end of a node's link
        self.pipe = -1  # the ready pipe of a program that speaks
        self.hello = False
        self.ready_at: float | None = None
        self.crash: CrashRecord | None = None
        self.judged: tuple[ExitKind, str] | None = None  # why a node ended that supervises its own actors
        self.failed = ""  # why there never was a process
        self.lost = False  # its zygote died over the birth: the link tells whether there is a node
        self.stopped_for = ""  # we asked it to end
        self.convicted = ""  # we kill it because it hangs
        self.doomed = False  # SIGKILL as soon as there is a process
        self.pings = 0
        self.ping_since: float | None = None  # when the oldest unanswered ping was sent
        self.pong_at: float | None = None
        self.unread_since: float | None = None  # since when its link takes nothing more
        self._unsaid: deque[link.FromRoot] = deque()  # the link was full; who says such words bounds them
        self._again: Timer | None = None
        self._loop = loop
        self._steps: list[Timer] = []

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def ask_to_stop(self, why: str, within_s: float) -> None:
        """The ladder from its first rung; 0 s is brutal kill, infinity stays on the first rung."""
        self.stopped_for = why or "asked to"
        if within_s <= 0:
            self.kill()
            return
        self._say_stop()
        if not math.isfinite(within_s):
            return
        now = time.monotonic()
        if self.is_node:
            self._step(now + within_s, lambda: self._signal(signal.SIGTERM))
            self._step(now + within_s + GRACE_S, self.kill)
        else:
            self._step(now + within_s, self.kill)

    def kill(self) -> None:
        """SIGKILL works on a stopped process too; one that is not born yet is killed at birth. What it has started goes
        with it: a child left behind holds its lock and its ports, and may go on trading."""
        self.doomed = True
        if self.process is None:
            return
        brood = []
        for pid in holders.children_of(self.process.pid)[:BROOD_MOST]:
            with contextlib.suppress(ProcessLookupError):
                brood.append(Process(pid))
        self.process.send(signal.SIGKILL)
        for child in brood:
            child.send(signal.SIGKILL)
            child.close()

    def resume(self) -> None:
        """SIGCONT: costs a running process nothing."""
        if self.process is not None:
            self.process.send(signal.SIGCONT)

    def is_born(self, pid: int) -> bool:
        """The process is known; False when it is gone already or was known before."""
        if self.process is not None:
            return False
        try:
            self.process = Process(pid)
        except ProcessLookupError:
            return False
        if self.doomed:
            self.process.send(signal.SIGKILL)
        elif self.stopped_for:
            self._say_stop()
        return True

    def ping(self, now: float) -> None:
        if self.line is None or not self.hello:
            return
        self.pings += 1
        if self.said(link.Ping(n=self.pings), now) and self.ping_since is None:
            self.ping_since = now

    def said(self, word: link.FromRoot, now: float) -> bool:
        """Say a word that may be lost; remembers since when the link has been full."""
        if self.line is None or not self.hello:
            return False
        taken = link.send(self.line, word)
        if taken:
            self.unread_since = None
        elif self.unread_since is None:
            self.unread_since = now
        return taken

    def pong(self, n: int, now: float) -> None:
        self.pong_at = now
        if n >= self.pings:
            self.ping_since = None

    def tell(self, word: link.FromRoot) -> None:
        """A word that must not be lost while the node lives, in the order said. Never waits."""
        self._unsaid.append(word)
        if len(self._unsaid) == 1:
            self._say()

    def _say(self) -> None:
        while self._unsaid and self.line is not None:
            if not link.send(self.line, self._unsaid[0]):
                self.unread_since = self.unread_since or time.monotonic()
                self._again = self._loop.at(time.monotonic() + RETRY_S, self._say)
                return
            self.unread_since = None
            self._unsaid.popleft()

    def ended(self) -> ExitStatus | None:
        return self.process.ended() if self.process is not None else None

    def close(self) -> None:
        """Forget everything that has a descriptor or a timer."""
        for step in (*self._steps, *([self._again] if self._again else [])):
            step.cancel()
        self.drop_line()
        self.drop_pipe()
        if self.process is not None:
            self._loop.unwatch(self.process.fileno())
            self._loop.at(time.monotonic() + BURIAL_S, self.process.bury)

    def drop_line(self) -> None:
        if self.line is not None:
            self._loop.unwatch(self.line.fileno())
            self.line.close()
            self.line = None

    def drop_pipe(self) -> None:
        if self.pipe >= 0:
            self._loop.unwatch(self.pipe)
            with contextlib.suppress(OSError):
                os.close(self.pipe)
            self.pipe = -1

    def _say_stop(self) -> None:
        if self.process is None:
            return  # at birth
        self.resume()  # also one that was told to stop an instant ago and does not show it yet
        told = self.line is not None and link.send(self.line, link.StopNode(reason=self.stopped_for))
        if not told:
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send(number)
            self.process.send(signal.SIGCONT)  # a stopped process would not see the SIGTERM

    def _step(self, at: float, call: Callable[[], None]) -> None:
        self._steps.append(self._loop.at(at, call))
