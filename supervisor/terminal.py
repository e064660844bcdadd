"""What commands share: exit codes (sysexits.h, LSB status), the one way to say no, durations read and written."""

from __future__ import annotations

import os

OK = 0
REFUSED = 1  # the server understood the order and said no
NOT_READY = 3  # not running, or a required child is down
CANNOT_TELL = 4  # running, but no answer; or a name nobody has
USAGE = 64
NO_INPUT = 66  # missing data
UNAVAILABLE = 69  # a port is taken
GAVE_UP = 70
SECOND_SERVER = 75
BAD_CONFIG = 78


class Refusal(Exception):
    """A command cannot do what was asked. The text is what a person reads: what, which value, what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def command(words: str) -> str:
    """What a person types: `qt release x` where `qt` started the server, else `python -m supervisor release x`."""
    return f"{os.environ.get('SUPERVISOR_COMMAND', 'python -m supervisor')} {words}"


def parse_duration(text: str) -> float:
    """Seconds of "90", "90s", "5m", "48h", "1d".

    Raises:
        Refusal: anything else, with USAGE.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 10 * 365 * 86400:
        raise Refusal(USAGE, f"{text!r} is no duration; write it like 90s, 5m, 48h or 1d")
    return seconds


def age(seconds: float | None) -> str:
    """`850ms`, `12s`, `3m20s`, `5h12m`, `9d4h`; `-` for unknown."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(0, seconds) * 1000:.0f}ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
