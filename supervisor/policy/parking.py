"""When a crash is deterministic: the same end several times in a row, no useful work in between, the same inputs.

Picture a coin that shows the same side three times and has only one. A kill from outside says nothing about the child
and leaves the count where it is. But one that is killed soon after each start, `LIMIT_KILLED` times without useful
work, is in somebody's way (two services that end each other, a guard of the machine): that is a loop too. An end that
looks like somebody else's fault (upstream) begins anew, because what is parked does not come back with its dependency.
Two or three ends that take turns are one loop too. Parking is not a budget: a child that fails in ever new ways spends
its budget, one that fails in the same way is parked after `LIMIT` starts, or `LIMIT_SURE` where a third try could only
cost (an import that is broken, a login that is refused).

If a start fails with probability p and two such failures look alike with chance s, a wrong park needs k alike in a
row: about p^k * s^(k-1), for p = s = 0.3 and k = 3 two in a thousand (docs/health.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from supervisor.words import ExitKind, ExitReason

LIMIT = 3
LIMIT_SURE = 2
LIMIT_KILLED = 5
WAYS_MOST = 3  # so many ends may take turns and still be one loop, if `2 * LIMIT` exits show no other
POISONED = 2  # deaths over the same message
UNPARK_FIRST_S, UNPARK_MOST_S = 1800.0, 6 * 3600.0


class Streak(msgspec.Struct, frozen=True):
    """How often in a row a child ended in this way. `ways`: the last exits that counted, oldest first."""

    way: str = ""
    count: int = 0
    sure: bool = False
    ways: tuple[str, ...] = ()
    message: str = ""  # in hand at the last of them
    kills: int = 0  # from outside, soon after a start, without useful work since the first of them


NONE = Streak()


def way_of(reason: ExitReason, inputs: str) -> str:
    """What makes two ends the same. Without a fingerprint the kernel's facts must do."""
    print_ = reason.fingerprint or f"code {reason.code}, signal {reason.signal}"
    return f"{reason.kind}|{print_}|{inputs}"


def follow(streak: Streak, reason: ExitReason, *, worked: bool, inputs: str, soon: bool = True) -> Streak:
    """The streak after one more exit. `soon`: it had not been ready for long (its backoff's `reset_after_s`)."""
    if worked or reason.prior == "upstream":
        return NONE
    if reason.kind is ExitKind.KILLED:
        return msgspec.structs.replace(streak, kills=streak.kills + 1 if soon else 0)
    message = reason.crash.in_hand_id if reason.crash is not None else ""
    if message and (reason.prior == "data" or message == streak.message):
        return msgspec.structs.replace(streak, message=message)  # the message is at fault: `poison`
    way = way_of(reason, inputs)
    return Streak(
        way,
        streak.count + 1 if way == streak.way else 1,
        is_sure(reason),
        (*streak.ways[-(2 * LIMIT - 1) :], way),
        message,
        streak.kills,
    )


def is_sure(reason: ExitReason) -> bool:
    """Whether the same end twice is proof enough."""
    if reason.prior == "credential":
        return True
    return reason.prior == "code" and reason.crash is not None and reason.crash.phase == "import"


def is_loop(streak: Streak) -> bool:
    """True when trying the same thing again is no longer honest."""
    if streak.count >= (LIMIT_SURE if streak.sure else LIMIT) or takes_turns(streak.ways):
        return True
    return streak.kills >= LIMIT_KILLED


def times(streak: Streak) -> int:
    """How often it ended in the way that makes it a loop."""
    return streak.kills if streak.kills >= LIMIT_KILLED else streak.count


def takes_turns(ways: Sequence[str]) -> bool:
    """Whether the last `2 * LIMIT` exits are two or three ends in turn, each of them more than once."""
    if len(ways) < 2 * LIMIT:
        return False
    last = list(ways[-2 * LIMIT :])
    return 2 <= len(set(last)) <= WAYS_MOST and all(last.count(way) > 1 for way in last)


def poison(deaths: Sequence[tuple[str, str]]) -> str:
    """The message that kills: in hand at each of the last `POISONED` deaths, which were equal but for the phase: the
    first was met at work, the next already while catching up. `deaths`: fingerprint and message in hand ("" for none),
    oldest first. "" where there is no such message."""
    last = [(fingerprint.partition(" | ")[2] or fingerprint, message) for fingerprint, message in deaths[-POISONED:]]
    if len(last) < POISONED or len(set(last)) != 1:
        return ""
    return last[0][1]


def recurs_every_s(deaths: Sequence[tuple[float, str, bool]]) -> float | None:
    """How often the last death comes again after useful work: the mark of a leak, no loop. `deaths`: time, fingerprint,
    whether it had worked, oldest first. None: it does not."""
    if not deaths or not deaths[-1][1]:
        return None
    times = [at for at, way, worked in deaths if way == deaths[-1][1] and worked]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 and deaths[-1][2] else None


def unpark_after_s(tries: int, draw: float) -> float:
    """When a parked child is tried out once more, seconds after it was parked for the `tries`-th time (0: the first):
    half an hour, doubled each time up to six hours, spread by 0.5 to 1.5 (`draw` in [0, 1]) so that many that were
    parked together do not come back together."""
    return min(UNPARK_FIRST_S * 2.0 ** min(max(tries, 0), 20), UNPARK_MOST_S) * (0.5 + draw)
