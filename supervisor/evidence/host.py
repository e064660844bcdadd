"""What the machine says of itself: who suffers nobody can tell from it, only that somebody does.

Pressure (PSI) is the share of the last ten seconds in which some task waited; it saturates under heavy load and lags
behind (docs/health.md), so it is a hint beside the observer's own lateness. `asleep_s` tells a suspend of the machine.
"""

from __future__ import annotations

import time
from pathlib import Path

from supervisor.verdict.evidence import Host

_PRESSURE = Path("/proc/pressure")
_VMSTAT = Path("/proc/vmstat")


def sample(now: float, sentinel_late_s: float | None = None) -> Host:
    """One reading, some 60 µs; what this kernel does not tell is None."""
    return Host(
        at=now,
        cpu_pressure=_pressure("cpu"),
        memory_pressure=_pressure("memory"),
        oom_kills=oom_kills(),
        sentinel_late_s=sentinel_late_s,
    )


def oom_kills() -> int | None:
    """How many processes the kernel has killed for want of memory since boot, of this machine or of a control group."""
    try:
        return int(_VMSTAT.read_text().partition("\noom_kill ")[2].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return None


def asleep_s() -> float:
    """How long this machine has been suspended since it booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _pressure(what: str) -> float | None:
    try:
        line = (_PRESSURE / what).read_text()
        return float(line.partition("avg10=")[2].split(None, 1)[0]) / 100.0
    except (OSError, ValueError, IndexError):
        return None
