"""What the kernel says about a process, read from /proc. It reads and counts; what it means, the judge decides.

`sample` opens its files anew for each reading: nothing must be remembered or
closed when a child ends, and the cost is small at one reading per child and second. The numbers of
/proc/<pid>/schedstat are those of the main thread alone, so run-queue delay is summed over /proc/<pid>/task.
"""

from __future__ import annotations

import os

import msgspec
import psutil

from supervisor.verdict.evidence import KernelSample, ThreadSample

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_MIB = 1024.0 * 1024.0
THREADS_MOST = 64  # of a process that are told one by one
PLACES_MOST = 6  # in the kernel where its threads sleep


class Memory(msgspec.Struct, frozen=True):
    """Resident and proportional set size; PSS shares what the zygote's children share."""

    rss_mib: float
    pss_mib: float


def sample(
    pid: int, *, resources: bool = False, per_thread: bool = False, limit_mib: float = 0.0
) -> KernelSample | None:
    """One reading; None when no such process exists (any more).

    About 20 µs plus 9 µs per thread. A zombie still reads, with state Z. `wchan` names where its threads sleep, each
    place once ("poll_schedule_timeout, anon_pipe_write"): which of them is an actor's the kernel does not know. No
    privilege is needed for children of the same user; "" where the kernel hides it all the same.
    `resources` adds descriptors and the nearest limits (`limit_mib` is one more of them, 0 for none), some 40 µs;
    `per_thread` each thread's state, CPU and switches, 10 µs a thread: for suspects.
    """
    base = f"/proc/{pid}"
    try:
        fields = _stat(f"{base}/stat")
        status = _read(f"{base}/status")
        tasks = os.listdir(f"{base}/task")  # noqa: PTH208 - a Path per thread costs more than the reading
    except (FileNotFoundError, ProcessLookupError):
        return None
    run_delay_ns = uninterruptible = runnable = 0
    threads: list[ThreadSample] = []
    asleep: dict[str, None] = {}
    for task in tasks:
        try:
            schedstat = _read(f"{base}/task/{task}/schedstat").split()
            stat = _stat(f"{base}/task/{task}/stat")
            state = stat[0]
            if state in b"SD" and len(asleep) < PLACES_MOST and (place := _wchan(f"{base}/task/{task}/wchan")):
                asleep[place] = None
            if per_thread and len(threads) < THREADS_MOST:
                threads.append(_thread(int(task), stat, _read(f"{base}/task/{task}/status")))
        except (FileNotFoundError, ProcessLookupError):  # the thread ended between listing and reading
            continue
        if len(schedstat) >= 2:
            run_delay_ns += int(schedstat[1])
        uninterruptible += state == b"D"
        runnable += state == b"R"
    rss_mib = _kib(status, b"VmRSS") / 1024.0
    found = _Limits(None, None, None)
    if resources:
        found = _limits(pid, rss_mib, _kib(status, b"VmSize") / 1024.0, limit_mib)
    return KernelSample(
        state=fields[0].decode(),
        started_ticks=int(fields[19]),
        cpu_s=(int(fields[11]) + int(fields[12])) * _TICK_S,
        run_delay_s=run_delay_ns / 1e9,
        wchan=", ".join(asleep),
        threads=int(fields[17]),
        uninterruptible=uninterruptible,
        runnable=runnable,
        traced=_number(status, b"TracerPid") > 0,
        rss_mib=rss_mib,
        memory_limit_mib=found.memory_mib,
        descriptors=found.descriptors,
        descriptor_limit=found.descriptor_limit,
        per_thread=tuple(threads),
        faults=int(fields[7]) + int(fields[9]),
    )


def memory(pid: int) -> Memory | None:
    """RSS and PSS, a millisecond per call: ask once a minute. None when the process is gone or may not be read."""
    try:
        told = b"\n" + _read(f"/proc/{pid}/smaps_rollup")
    except OSError:
        return None
    return Memory(_kib(told, b"Rss") / 1024.0, _kib(told, b"Pss") / 1024.0) if told.strip() else None


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


def _number(status: bytes, name: bytes) -> int:
    _, found, rest = status.partition(b"\n" + name + b":")
    return int(rest.split(None, 1)[0]) if found else 0


_kib = _number  # its lines end in kB, which a reading of the first word leaves out


def _thread(id: int, stat: list[bytes], status: bytes) -> ThreadSample:
    cpu_s = (int(stat[11]) + int(stat[12])) * _TICK_S
    return ThreadSample(id, stat[0].decode(), cpu_s, _number(status, b"voluntary_ctxt_switches"))


class _Limits(msgspec.Struct, frozen=True):
    memory_mib: float | None
    descriptors: int | None
    descriptor_limit: int | None


def _limits(pid: int, rss_mib: float, size_mib: float, limit_mib: float) -> _Limits:
    """The nearest limits. One on the address space, or on the group of processes, is told as the resident size that
    this process would have on reaching it: what matters is the room that is left."""
    ends = [limit_mib] if limit_mib > 0 else []
    descriptors = descriptor_limit = None
    try:
        for line in _read(f"/proc/{pid}/limits").splitlines():
            words = line.split()
            if line.startswith(b"Max address space") and words[3] != b"unlimited":
                ends.append(rss_mib + int(words[3]) / _MIB - size_mib)
            elif line.startswith(b"Max open files") and words[3] != b"unlimited":
                descriptor_limit = int(words[3])
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - as above
        group = _read(f"/proc/{pid}/cgroup").partition(b"0::")[2].split(b"\n", 1)[0].decode()
        folder = f"/sys/fs/cgroup{group}"
        most = _read(f"{folder}/memory.max").strip()
        if most.isdigit():
            ends.append(rss_mib + (int(most) - int(_read(f"{folder}/memory.current"))) / _MIB)
    except (OSError, ValueError, IndexError):  # gone, another user's, or no such group: what was read so far is told
        pass
    return _Limits(min(ends) if ends else None, descriptors, descriptor_limit)


def _wchan(path: str) -> str:
    try:
        name = _read(path).decode(errors="replace").strip("\0\n ")
    except OSError:  # hidden by hardening, or gone meanwhile
        return ""
    return "" if name == "0" else name.partition(".")[0]  # "poll_schedule_timeout.constprop.0": how it was compiled
