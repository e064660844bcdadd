"""One process as the kernel knows it: a pidfd to hold it by, its exit as a fact, and the few calls around birth.

A pid is a number that may be somebody else's tomorrow; a pidfd is the process itself. Everything that waits, signals
or reads an exit status goes through one. Decides nothing and waits for nothing. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
from pathlib import Path

import msgspec

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class ExitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended. Both fields are `None` when it was not our child: then only the death itself is known."""

    code: int | None = None
    signal: int | None = None


class Process:
    """A living process, ours or adopted.

    Raises:
        ProcessLookupError: no process has this pid.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def fileno(self) -> int:
        """The pidfd; readable once the process has ended."""
        return self._fd

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to exactly this process; False when it is gone."""
        if self._fd < 0:
            return False
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return True

    def ended(self) -> ExitStatus | None:
        """The exit status once it has ended, `None` while it lives. Its zombie stays: see `bury`."""
        return self._wait(os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def reap(self) -> ExitStatus | None:
        """The exit status once it has ended, `None` while it lives. Never waits; a child of ours is gone after it."""
        return self._wait(os.WEXITED | os.WNOHANG)

    def bury(self) -> None:
        """Reap it and close.

        Best a moment after the end and not on the way to a replacement: the kernel takes the dead one's /proc entries
        away at the reaping, and spins, for tens of milliseconds (measured), while a last thread still does the same.
        """
        if self._fd >= 0:
            self.reap()
            self.close()

    def _wait(self, options: int) -> ExitStatus | None:
        try:
            result = os.waitid(os.P_PIDFD, self._fd, options)
        except ChildProcessError:  # adopted: somebody else's child, or already reaped
            poller = select.poll()
            poller.register(self._fd, select.POLLIN)
            return ExitStatus() if poller.poll(0) else None
        if result is None:
            return None
        if result.si_code == os.CLD_EXITED:
            return ExitStatus(code=result.si_status)
        return ExitStatus(signal=result.si_status)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def die_with_parent() -> None:
    """Have the kernel SIGKILL this process when its parent ends, stopped or not. Check `getppid` again afterwards.

    The promise hangs on the parent's *thread* that forked (or that was chosen when the child was re-parented), so
    parents start children from their main thread only (measured: a helper thread's end killed its child).
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def become_subreaper() -> None:
    """Orphans among my descendants become my children, instead of init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def open_many() -> None:
    """As many descriptors as the machine allows: 1,024, the usual soft limit, is for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def set_name(name: str) -> None:
    """The name `ps`, `top` and `killall` show; the kernel keeps 15 characters."""
    Path("/proc/self/comm").write_text(name[:15])


def threads() -> list[str]:
    """Names of the threads of this process, Python's and everybody else's."""
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def state_of(pid: int) -> str:
    """The kernel's state letter ("R", "S", "D", "T", "Z" …), "" when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text[text.rindex(")") + 2]


def ended_child() -> int:
    """The pid of a child that has ended and is not reaped yet, 0 for none. Reaps nothing."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found is not None else 0


def reap(pid: int) -> None:
    """Collect an ended child nobody waits for: a zygote killed between its two forks leaves one to the subreaper."""
    with contextlib.suppress(ChildProcessError):  # somebody did wait for it
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def ended_children() -> set[int]:
    """All children that have ended and are not reaped yet. Reads a file of each child; `ended_child` is a call."""
    return {pid for pid in children() if state_of(pid) == "Z"}


def children() -> list[int]:
    """Pids of all children of this process, ended ones included."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")
