"""`qt ess`: pull the emergency stop, look at it, and (a person, with a reason) let go of it.

The latch file decides and is written before anything else is tried, so pulling works with a dead server and a wedged
root. The work behind it is `actors/ess.py`, in its own process or, where that is gone, in this one.
"""

from __future__ import annotations

import getpass
import json
import threading
import time
from pathlib import Path

from actors.latch import Latch, path_of, read_latch
from actors.messages.control import EssState
from supervisor.runtime import locks
from supervisor.terminal import NOT_READY, OK, REFUSED, USAGE, Refusal, age

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
    """Write the latch, then watch until LOCKED: the emergency-stop process works, or this one does where there is none.

    Raises:
        Refusal: NOT_READY when it is not flat and locked in time. The latch stays in every case.
    """
    from actors import ess

    latch = ess.trigger(home, f"{getpass.getuser()} (qt ess trigger)", _reason(reason))
    print(f"{latch.state}: {path_of(home)} says so, no new risk is taken: {latch.reason}", flush=True)
    if holder(home) is None:
        print("no emergency-stop process runs in this home; working here, in the foreground", flush=True)
    worker = threading.Thread(target=ess.run_foreground, args=(home,), kwargs={"timeout_s": wait_s}, daemon=True)
    worker.start()
    deadline = time.monotonic() + wait_s
    last = (latch.state, latch.note)
    while True:
        working = worker.is_alive() and time.monotonic() < deadline
        latch = read_latch(home)
        if (latch.state, latch.note) != last:
            last = (latch.state, latch.note)
            print(f"{latch.state}{': ' + latch.note if latch.note else ''}", flush=True)
        if latch.state is EssState.LOCKED:
            return OK
        if not working:
            raise Refusal(
                NOT_READY,
                f"still {latch.state} after {wait_s:g} s ({latch.note or 'nothing done yet'}); new risk stays blocked. "
                "Look at the venue itself, and call qt ess trigger again to go on",
            )
        time.sleep(LOOK_EVERY_S)


def reset(home: Path, reason: str, confirm: str) -> int:
    """Let go of the latch. Only from LOCKED, only with a reason and the word RESET: never by a script's accident.

    Raises:
        Refusal: USAGE without reason or word, REFUSED while it is not LOCKED.
    """
    from actors import ess

    reason = _reason(reason)
    latch = read_latch(home)
    if latch.state is EssState.INACTIVE:
        print("INACTIVE already")
        return OK
    if confirm != "RESET":
        raise Refusal(
            USAGE,
            f"stopped by {latch.who or 'unknown'}: {latch.reason or 'no reason'}; to trade again say --confirm RESET",
        )
    who = f"{getpass.getuser()} (qt ess reset)"
    try:
        ess.reset(home, who, reason)
    except ess.EssRefused as error:
        raise Refusal(REFUSED, str(error)) from error
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
        ago = age(time.time() - latch.changed_ns / 1e9) if latch.changed_ns else "?"
        lines.append(f"  by {latch.who}, {ago} ago")
    if latch.note:
        lines.append(f"  {latch.note}")
    lines.append(f"  emergency-stop process: {pid if pid is not None else 'not running'}")
    return lines
