"""What the kernel says about a process, read from /proc. It reads and counts; what it means, the judge decides.

`sample` opens its files anew for each reading: nothing must be remembered or
closed when a child ends, and the cost is small at one reading per child and second. The numbers of
/proc/<pid>/schedstat are those of the main thread alone, so run-queue delay is summed over /proc/<pid>/task.
"""

from __future__ import annotations

import os

import msgspec
import psutil

from supervisor.verdict.evidence import KernelSample

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_MIB = 1024.0 * 1024.0


class Memory(msgspec.Struct, frozen=True):
    """Resident and proportional set size; PSS shares what the zygote's children share."""

    rss_mib: float
    pss_mib: float


def sample(pid: int) -> KernelSample | None:
    """One reading; None when no such process exists (any more).

    About 20 µs plus 6 µs per thread. A zombie still reads, with state Z. `wchan` is "" where the kernel hides it.
    """
    base = f"/proc/{pid}"
    try:
        fields = _stat(f"{base}/stat")
        status = _read(f"{base}/status")
        tasks = os.listdir(f"{base}/task")  # noqa: PTH208 - a Path per thread costs more than the reading
    except (FileNotFoundError, ProcessLookupError):
        return None
    run_delay_ns = uninterruptible = 0
    for task in tasks:
        try:
            schedstat = _read(f"{base}/task/{task}/schedstat").split()
            state = _stat(f"{base}/task/{task}/stat")[0]
        except (FileNotFoundError, ProcessLookupError):  # the thread ended between listing and reading
            continue
        if len(schedstat) >= 2:
            run_delay_ns += int(schedstat[1])
        uninterruptible += state == b"D"
    return KernelSample(
        state=fields[0].decode(),
        started_ticks=int(fields[19]),
        cpu_s=(int(fields[11]) + int(fields[12])) * _TICK_S,
        run_delay_s=run_delay_ns / 1e9,
        voluntary=_voluntary(status),
        wchan=_wchan(f"{base}/wchan"),
        threads=int(fields[17]),
        uninterruptible=uninterruptible,
    )


def memory(pid: int) -> Memory | None:
    """RSS and PSS, milliseconds per call: ask once a minute. None when the process is gone or may not be read."""
    try:
        info = psutil.Process(pid).memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return Memory(info.rss / _MIB, info.pss / _MIB)


def listening(pid: int) -> tuple[tuple[str, int], ...]:
    """The TCP addresses this process listens on, as (ip, port), sorted by port; () when it is gone or unreadable."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ()
    found = {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN and c.laddr}
    return tuple(sorted(found, key=lambda address: (address[1], address[0])))


def _stat(path: str) -> list[bytes]:
    """The fields after the command name, which may itself hold spaces and brackets; [0] is the state letter."""
    return _read(path).rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 8192)
    finally:
        os.close(descriptor)


def _voluntary(status: bytes) -> int:
    _, found, rest = status.partition(b"\nvoluntary_ctxt_switches:")
    return int(rest.split(None, 1)[0]) if found else 0


def _wchan(path: str) -> str:
    try:
        name = _read(path).decode(errors="replace").strip("\0\n ")
    except OSError:  # hidden by hardening, or gone meanwhile
        return ""
    return "" if name == "0" else name
