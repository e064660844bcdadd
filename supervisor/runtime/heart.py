"""The heart: a tiny supervisor of two programs, the emergency stop and the root, on the same tree machine.

    python -m supervisor.runtime.heart --home H         what `qt up` starts and systemd watches (Type=notify)

It starts them, restarts what dies, and ends them in order: the root first (which ends its nodes), the emergency stop
last. It finds living ones by their locks and adopts them, so a heart may be killed and come again with nobody noticing.
It knows nothing of trading, opens no socket but systemd's, and ends when the root has ended in order.

Exit codes: 0 in order; 69, 75, 78 the root refused to start; what StopServer said; 70 gave up. When it gives up the
emergency stop stays, because it may be the last one able to act; the next heart finds it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from supervisor import plan as plans
from supervisor.events import SupervisionKind
from supervisor.moves import Boot, Report, Shutdown
from supervisor.runtime import locks, log, memory, notify, process, runner
from supervisor.runtime.heartwatch import HEART_PID
from supervisor.runtime.life import Life
from supervisor.runtime.loop import Loop
from supervisor.runtime.process import ExitStatus
from supervisor.runtime.runner import Runner
from supervisor.spec import Backoff, Budget, ChildSpec, ProgramStart, SupervisorSpec
from supervisor.terminal import command
from supervisor.words import ExitReason

EX_GAVE_UP, EX_TEMPFAIL, EX_CONFIG = 70, 75, 78
FINAL = frozenset({69, 75, 78})  # the root says that trying again cannot help
TOTAL_S = 40.0  # the root's own 30 s, the emergency stop's 5 s, and a margin
ROOT_STOP_S = 30.0
ESS_STOP_S = 5.0
BURIAL_S = 2.0  # after the death of the root its nodes end within this
BURY_EVERY_S = 0.02


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="heart", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args(argv).home.resolve()
    try:
        lock = locks.Lock(home / "run" / "heart.lock")
    except locks.Held as error:
        print(f"a server already runs in {home} (heart {error.pid}); end it with {command('down')}", file=sys.stderr)
        return EX_TEMPFAIL
    try:
        plan = plans.load(home)
    except (OSError, ValueError) as error:
        print(f"there is no plan to run in {home}: {error}; {command('up')} compiles one", file=sys.stderr)
        return EX_CONFIG
    process.set_name("qt-heart")
    code = Heart(home, programs(home, plan.ess_argv)).run()
    if code == 0:  # everything is down in order, so nobody listens there any more; the next start makes a new one
        shutil.rmtree(plan.sockets, ignore_errors=True)
    lock.release()
    return code


def programs(home: Path, ess_argv: tuple[str, ...]) -> SupervisorSpec:
    """The tree of the heart. Both live in sessions of their own: no Ctrl-C, no hang-up of a terminal reaches them."""
    root = ChildSpec(
        id="root",
        start=ProgramStart(
            argv=(sys.executable, "-m", "supervisor.runtime.root", "--home", str(home)),
            environment={HEART_PID: str(os.getpid())},
            speaks=True,
            own_session=True,
        ),
        shutdown_s=ROOT_STOP_S,
        backoff=Backoff(initial_s=0.1, cap_s=1.0),
        budget=Budget(intensity=20, period_s=60.0),
        start_timeout_s=30.0,  # until it answers questions; when its children are ready is their affair
    )
    children: tuple[ChildSpec, ...] = (root,)
    if ess_argv:
        start = ProgramStart(argv=ess_argv, own_session=True)
        children = (
            ChildSpec(id="ess", start=start, shutdown_s=ESS_STOP_S, safety=True, backoff=Backoff(cap_s=2.0)),
            root,
        )
    return SupervisorSpec(id="heart", children=children, intensity=100)


class Heart(runner.Owner):
    """One per process, in its main thread."""

    def __init__(self, home: Path, spec: SupervisorSpec) -> None:
        self.home = home
        self.log = log.configure(home, "heart")
        self.loop = Loop(self._complain)
        self.runner = Runner(self.loop, spec, self, random.Random())
        self.code = 0
        self._stopping = False

    def run(self) -> int:
        process.become_subreaper()  # so that the nodes of a killed root do not stay behind as zombies of init
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.on_signal(number, lambda: self.stop("a signal asked for it", 0))
        self.runner.tell(Boot())
        period_s = notify.watchdog_period_s()
        if period_s is not None:
            self._bark(period_s)
        self.log.info("heart started", pid=os.getpid())
        self.loop.run()
        return self.code

    def stop(self, reason: str, code: int) -> None:
        """Root first, then the emergency stop, then done."""
        if not self._stopping:
            self._stopping, self.code = True, code
            notify.systemd("STOPPING=1")
            self.runner.tell(Shutdown(reason, TOTAL_S))

    # -- what the runner asks of its owner --------------------------------------------------------------------------

    def adopt(self, life: Life) -> int | None:
        pid = locks.holder(self.home / "run" / f"{life.id}.lock")
        if pid:
            self.log.info("found it alive by its lock and adopted it", child=life.id, pid=pid)
        return pid or None

    def gone(self, life: Life, status: ExitStatus, reason: ExitReason) -> None:
        if life.id != "root":
            return
        self._bury(time.monotonic() + BURIAL_S)
        orderly = memory.orderly_exit(self.home, life.pid or 0)
        if orderly is not None:
            code, why = orderly
            if self._stopping:
                self.code = self.code or code
            else:
                self.stop(f"the root has ended in order ({why})", code)
        elif status.code in FINAL and not self._stopping:
            self.stop(f"the root refuses to start (exit code {status.code})", status.code)

    def report(self, action: Report) -> None:
        record = action.record
        self.log.info(record.sentence, kind=str(record.kind))
        if record.id == "root" and record.kind is SupervisionKind.READY:
            notify.systemd(f"READY=1\nSTATUS=root runs as incarnation {record.incarnation}")
        if record.id == "root" and record.kind is SupervisionKind.QUARANTINED:
            self.gave_up(record.sentence)

    def gave_up(self, reason: str) -> None:
        ess = self.runner.lives.get("ess")
        stays = f"; the emergency stop (pid {ess.pid}) stays" if ess is not None else ""
        self.log.error(f"gave up: {reason}{stays}")
        self.code = EX_GAVE_UP
        self.loop.stop()

    def ended(self, reason: str) -> None:
        self.log.info("everything is down", reason=reason, code=self.code)
        self.loop.stop()

    def _bury(self, until: float) -> None:
        """The kernel ends the nodes with their root; the heart, their next of kin, reaps them at once."""
        ours = {life.pid for life in self.runner.lives.values()}
        for pid in process.children():
            if pid not in ours:
                process.reap(pid)
        if time.monotonic() < until:
            self.loop.at(time.monotonic() + BURY_EVERY_S, lambda: self._bury(until))

    def _bark(self, period_s: float) -> None:
        """Only the loop itself barks: a heart whose loop stands still is restarted by systemd, and adopts its two."""
        notify.systemd("WATCHDOG=1")
        self.loop.at(time.monotonic() + period_s, lambda: self._bark(period_s))

    def _complain(self, where: str, error: Exception) -> None:
        self.log.error("a fault in the heart itself", where=where, error=repr(error), traceback=traceback.format_exc())
        if self._stopping:  # a heart that fails while it ends must not stay for ever
            self.code = EX_GAVE_UP
            self.loop.stop()


if __name__ == "__main__":
    sys.exit(main())
