"""Declared checks, asked from one background thread so that the root's loop never waits for an answer.

The thread runs an asyncio loop with one task per check of a live child. What comes out are values with the time they
were obtained; what they mean, the judge decides. Asking is bounded: so many questions at once, each with its timeout,
counter-probes at most once in 30 s per check while the same answer repeats. Before its first question of a kind the
asking itself is tested (selftest.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import shlex
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from supervisor.evidence import counterprobe, probes
from supervisor.evidence.probes import Answer, Lost, Processes
from supervisor.evidence.selftest import SelfTests
from supervisor.spec import Check
from supervisor.verdict.evidence import CheckResult

KEPT = 1000  # answers nobody drained; the oldest go first
AT_ONCE = 16
COUNTER_EVERY_S = 30.0
REMEMBERED = 100  # answers of one check
ANSWERED = frozenset({"handler error", "says unavailable", "request refused", "body mismatch", "exit code"})
FASTEST_S = 0.1  # no check is asked more often


def unaskable(check: Check) -> str:
    """Why this check could never be asked, in one sentence; "" when it can. Nothing is asked, and nobody."""
    try:
        if check.kind == "http":
            url = urlsplit(check.target)
            if url.scheme not in ("http", "https") or not url.hostname:
                return f"{check.target!r} must read http://host:port/path"
            url.port  # noqa: B018  raises for one that is no port
        elif check.kind == "tcp":
            probes.host_port(check.target)
        elif check.kind == "exec":
            if not shlex.split(check.target):
                return "the command line is empty"
        else:
            return f"kind is {check.kind!r}, it must be http, tcp or exec"
    except ValueError as error:
        return f"{check.target!r}: {error}"
    if not (0 < check.every_s < math.inf and 0 < check.timeout_s < math.inf):
        return f"every_s is {check.every_s!r} and timeout_s {check.timeout_s!r}; both must be positive and finite"
    return ""


class Checks:
    """Asks the checks of live children, each in its own rhythm; answers are values in a queue."""

    def __init__(self, declared: Mapping[str, tuple[Check, ...]]) -> None:
        self._declared = {child: checks for child, checks in declared.items() if checks}
        self._answers: deque[CheckResult] = deque(maxlen=KEPT)
        self._processes = Processes()
        self._wanted: dict[str, int] = {}  # child -> pid; touched by the loop's thread once it runs
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._loop = asyncio.new_event_loop()
        self._paces: dict[str, float] = {}
        self._hurry: dict[str, asyncio.Event] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._selftests = SelfTests(self._processes)
        self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
        self._stopped = False

    def start(self) -> None:
        """Start the thread; without any declared check there is nothing to start."""
        if self._declared and not self._stopped and self._thread.ident is None:
            self._thread.start()

    def declare(self, child: str, checks: tuple[Check, ...]) -> None:
        """What is asked of this child from its next life on."""
        if checks:
            self._declared[child] = checks
            self.start()
        else:
            self.forget(child)

    def forget(self, child: str) -> None:
        """This child is no more."""
        self.live(child, None)
        self._declared.pop(child, None)
        self._paces.pop(child, None)
        self._hurry.pop(child, None)

    def pace(self, child: str, every_s: float | None) -> None:
        """Ask this one in this rhythm, and now, until told otherwise; None: in its own. From any thread."""
        if child in self._declared and not self._stopped:
            self._loop.call_soon_threadsafe(self._set_pace, child, every_s)

    def live(self, child: str, pid: int | None) -> None:
        """This child is ready as `pid` and may be asked; None: do not ask (down, not ready). From any thread."""
        if child in self._declared and not self._stopped:
            self._loop.call_soon_threadsafe(self._set, child, pid)

    def drain(self) -> list[CheckResult]:
        """The answers since the last call, oldest first; never blocks."""
        drained = []
        while self._answers:
            drained.append(self._answers.popleft())
        return drained

    def pids(self) -> frozenset[int]:
        """Processes of running exec checks: a root that reaps every child looks here first and leaves these alone."""
        return self._processes.pids()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End all checks, their processes and the thread; False when it did not end in time."""
        if self._stopped:
            return not self._thread.is_alive()
        self._stopped = True
        if not self._thread.is_alive():
            self._loop.close()
            return True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            tasks = [task for group in self._tasks.values() for task in group]
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    def _set_pace(self, child: str, every_s: float | None) -> None:
        if every_s is None:
            self._paces.pop(child, None)
        else:
            self._paces[child] = every_s
        self._hurry.setdefault(child, asyncio.Event()).set()

    async def _pause(self, child: str, begun: float, every_s: float) -> None:
        hurry = self._hurry.setdefault(child, asyncio.Event())
        wait_s = max(FASTEST_S, begun + self._paces.get(child, every_s) - time.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), wait_s)
        hurry.clear()

    def _set(self, child: str, pid: int | None) -> None:
        if self._wanted.get(child) == pid:
            return
        for task in self._tasks.pop(child, []):
            task.cancel()
        self._wanted.pop(child, None)
        if pid is not None:
            self._wanted[child] = pid
            checks = self._declared.get(child, ())  # forgotten meanwhile: nothing to ask
            self._tasks[child] = [self._loop.create_task(self._repeat(child, pid, check)) for check in checks]

    async def _repeat(self, child: str, pid: int, check: Check) -> None:
        failures = 0
        last: tuple[str, Answer, float] | None = None  # first reason, what the counter-probe made of it, when
        server: counterprobe.Server | None = None  # who answers in its place
        answers: deque[bool] = deque(maxlen=REMEMBERED)  # True for a no; a question that nobody answered is none
        met = pid == 0  # nobody's own process: nothing to learn
        while True:
            begun = asked = time.monotonic()
            answer: Answer | None
            try:
                async with self._slots:
                    fault = await self._selftests.fault(check.kind)
                    asked = time.monotonic()
                    if fault and not pid:
                        raise Lost(fault)  # about what is no process of ours nothing is known then
                    answer = _broken(fault) if fault else await probes.ask(check, self._processes)
                    took_s = time.monotonic() - asked
                    if fault:
                        failures += 1
                    elif answer.ok:
                        failures, last = 0, None
                        if not met:
                            met, server = True, counterprobe.server_of(check, pid)
                    else:
                        failures += 1
                        if last is None or last[0] != answer.reason or asked - last[2] >= COUNTER_EVERY_S:
                            second = answer  # of what is no process of ours there is no other route
                            if pid:
                                second = await counterprobe.counter(check, pid, answer, self._processes)
                            last = (answer.reason, second, asked)
                        answer = last[1] if server is None else counterprobe.server_gone(check, pid, server, last[1])
            except Lost:
                answer = None
            except Exception as error:  # noqa: BLE001 - a check that breaks is a failed question, not a dead prober
                answer = None
                if not (isinstance(error, OSError) and error.errno in probes.OURS):
                    failures, took_s = failures + 1, time.monotonic() - asked
                    answer = _broken(f"asking {check.target} raised {type(error).__name__}: {error}")
            if answer is not None:
                if answer.ok or answer.reason in ANSWERED:
                    answers.append(not answer.ok)
                self._answers.append(_result(child, check, answer, asked, took_s, failures, answers))
            await self._pause(child, begun, check.every_s)


def _broken(detail: str) -> Answer:
    """It is the asking that fails: nothing is said of the child."""
    return Answer(ok=False, reason="check broke", detail=detail, explained=True)


def _result(
    child: str, check: Check, answer: Answer, at: float, took_s: float, failures: int, answers: Sequence[bool]
) -> CheckResult:
    return CheckResult(
        asked=len(answers),
        refused=sum(answers),
        episodes=sum(now and not before for before, now in itertools.pairwise((False, *answers))),
        child=child,
        kind=check.kind,
        target=check.target,
        ok=answer.ok,
        at=at,
        took_s=took_s,
        failures=failures,
        every_s=check.every_s,
        reason=answer.reason,
        detail=answer.detail,
        explained=answer.explained,
    )
