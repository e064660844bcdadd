"""`qt ess`: pull the emergency stop, look at it, and (a person, with a reason) let go of it.

The latch file decides and is written before anything else is tried, so pulling works with a dead server, a wedged root
and no emergency-stop process. What happens after the latch is that process's work; this verb only watches and tells.
"""

from __future__ import annotations

import getpass
import json
import time
from pathlib import Path

from actors.latch import Latch, path_of, read_latch, write_latch
from actors.messages.control import EssState
from ops import render
from ops.exits import NOT_READY, OK, REFUSED, USAGE, Refusal
from supervisor.runtime import locks

LOOK_EVERY_S = 0.1
LONGEST_REASON = 500


def holder(home: Path) -> int | None:
    """The pid of the emergency-stop process of this home, `None` when there is none."""
    return locks.holder(home / "run" / "ess.lock")


def status(home: Path, output: str) -> int:
    """Exit 0 INACTIVE, 3 anything else."""
    latch, pid = read_latch(home), holder(home)
    if output == "json":
        document = {
            "schema": 1,
            "state": str(latch.state),
            "reason": latch.reason,
            "who": latch.who,
            "note": latch.note,
        }
        document |= {"triggered_ns": latch.triggered_ns, "changed_ns": latch.changed_ns, "pid": pid}
        print(json.dumps(document))
    else:
        print("\n".join(_lines(latch, pid)))
    return OK if latch.state is EssState.INACTIVE else NOT_READY


def trigger(home: Path, reason: str, wait_s: float) -> int:
    """Write the latch, then wait for the emergency-stop process to report LOCKED (everything cancelled and flat).

    Raises:
        Refusal: NOT_READY when nobody is there to flatten, or it is not done in time. The latch stays in every case.
    """
    reason = _reason(reason)
    now = time.time_ns()
    if read_latch(home).state is EssState.INACTIVE:
        who = f"{getpass.getuser()} (qt ess trigger)"
        latch = Latch(state=EssState.TRIGGERED, reason=reason, who=who, triggered_ns=now, changed_ns=now)
        write_latch(home, latch)
        print(f"TRIGGERED: {path_of(home)} is written; no new risk is taken from now on", flush=True)
    else:
        print(f"already {read_latch(home).state}: {read_latch(home).reason}", flush=True)
    if holder(home) is None:
        raise Refusal(
            NOT_READY,
            "no emergency-stop process runs in this home: new risk is blocked, but nothing is cancelled or flattened; "
            "do that at the venue, or start the server (it resumes from the latch)",
        )
    deadline = time.monotonic() + wait_s
    last = None
    while True:
        latch = read_latch(home)
        if (latch.state, latch.note) != last:
            last = (latch.state, latch.note)
            print(f"{latch.state}{': ' + latch.note if latch.note else ''}", flush=True)
        if latch.state is EssState.LOCKED:
            return OK
        if time.monotonic() > deadline:
            raise Refusal(NOT_READY, f"still {latch.state} after {wait_s:g} s; it goes on by itself: qt ess status")
        time.sleep(LOOK_EVERY_S)


def reset(home: Path, reason: str, confirm: str) -> int:
    """Let go of the latch. Only from LOCKED, only with a reason and the word RESET: never by a script's accident.

    Raises:
        Refusal: USAGE without reason or word, REFUSED in any other state.
    """
    reason = _reason(reason)
    latch = read_latch(home)
    if latch.state is EssState.INACTIVE:
        print("INACTIVE already")
        return OK
    if latch.state is not EssState.LOCKED and holder(home) is not None:
        raise Refusal(REFUSED, f"the emergency stop is {latch.state} and still at work; wait for LOCKED")
    if confirm != "RESET":
        raise Refusal(
            USAGE,
            f"stopped by {latch.who or 'unknown'}: {latch.reason or 'no reason'}; to trade again say --confirm RESET",
        )
    who = f"{getpass.getuser()} (qt ess reset)"
    note = f"was {latch.state}: {latch.reason}"[:LONGEST_REASON]
    write_latch(home, Latch(reason=reason, who=who, changed_ns=time.time_ns(), note=note))
    print(f"INACTIVE, reset by {who}: {reason}")
    return OK


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise Refusal(USAGE, "say why: --reason TEXT; it is kept in the latch and in the report")
    return text[:LONGEST_REASON]


def _lines(latch: Latch, pid: int | None) -> list[str]:
    lines = [str(latch.state) + (f": {latch.reason}" if latch.reason else "")]
    if latch.who:
        ago = render.age(time.time() - latch.changed_ns / 1e9) if latch.changed_ns else "?"
        lines.append(f"  by {latch.who}, {ago} ago")
    if latch.note:
        lines.append(f"  {latch.note}")
    lines.append(f"  emergency-stop process: {pid if pid is not None else 'not running'}")
    return lines
