"""Saying "I am ready" and "I am alive" upwards: to systemd (sd_notify protocol) and to a heart's ready pipe.

Silent where nobody asked: without NOTIFY_SOCKET and QT_READY_FD nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket

READY_FD = "QT_READY_FD"


def systemd(text: str) -> bool:
    """Send `READY=1`, `WATCHDOG=1` or `STOPPING=1` to systemd; False when it did not ask or does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.setblocking(False)
        try:
            line.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return False
    return True


def watchdog_period_s() -> float | None:
    """How often systemd wants `WATCHDOG=1`: half of what it allows; `None` when it does not watch this process."""
    micros = os.environ.get("WATCHDOG_USEC", "")
    if not micros.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(micros) / 2e6


def ready() -> None:
    """A program started with `ProgramStart(speaks=True)` says that it is ready, once."""
    fd = os.environ.pop(READY_FD, "")
    if fd.isdigit():
        with contextlib.suppress(OSError):  # the one who wanted to know is gone; nobody else cares
            os.write(int(fd), b"READY=1\n")
            os.close(int(fd))
