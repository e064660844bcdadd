"""What the kernel says about a process, read from /proc. It reads and counts; what it means, the judge decides."""

from __future__ import annotations

import msgspec

from supervisor.verdict.evidence import KernelSample


class Memory(msgspec.Struct, frozen=True):
    """Resident and proportional set size; PSS shares what the zygote's children share."""

    rss_mib: float
    pss_mib: float


def sample(pid: int) -> KernelSample | None:
    """One reading; None when no such process exists (any more)."""
    raise NotImplementedError


def memory(pid: int) -> Memory | None:
    """RSS and PSS, milliseconds per call: ask once a minute."""
    raise NotImplementedError


def listening(pid: int) -> tuple[tuple[str, int], ...]:
    """The TCP addresses this process listens on, as (ip, port)."""
    raise NotImplementedError
