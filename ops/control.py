"""Acknowledged orders: start, stop, restart, release, wait, down. An order that was not acknowledged was not given."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from actors.rules.gateway import workers
from ops import render
from ops.exits import CANNOT_TELL, NOT_READY, OK, REFUSED, USAGE, Refusal
from ops.home import ask, ask_on

POLL_S = 0.1
ORDER_S = 5.0


def order(home: Path, verb: str, name: str) -> int:
    """Give one order and print what the server said to it."""
    answer = ask(home, verb, ORDER_S, name=name)
    if not answer.get("ok"):
        raise Refusal(REFUSED, str(answer.get("text") or f"the server did not acknowledge {verb} {name}: {answer}"))
    print(answer.get("text") or f"{verb} {name}: acknowledged")
    return OK


def wait(home: Path, until: str, name: str | None, timeout_s: float) -> int:
    """Return when the server (or one child) is ready, or when the server is down.

    Raises:
        Refusal: NOT_READY at the deadline, naming who is missing.
    """
    from ops.status import exit_code, select
    from supervisor.runtime.client import Client, running

    if until not in ("ready", "down"):
        raise Refusal(USAGE, f"cannot wait for {until!r}; wait --for ready or --for down")
    client = Client(home)
    deadline = time.monotonic() + timeout_s
    last = "it never answered"
    try:
        while True:
            if until == "down":
                if running(home) is None:
                    print("down")
                    return OK
                last = "the server still runs"
            else:
                try:
                    chosen = select(ask_on(client, "status", 1.0), name)
                    if exit_code(chosen) == OK:
                        print(render.summary(chosen))
                        return OK
                    last = missing(chosen)
                except Refusal as refusal:
                    if refusal.code not in (NOT_READY, CANNOT_TELL):
                        raise
                    last = str(refusal)
            if time.monotonic() >= deadline:
                raise Refusal(NOT_READY, f"not {until} after {timeout_s:g} s: {last}")
            time.sleep(POLL_S)
    finally:
        client.close()


def missing(status: dict[str, Any]) -> str:
    """Who is not ready and why, the first three."""
    lines = []
    for child in workers(status):
        if child.get("required") and not child.get("ready"):
            why = render.reason(child)
            lines.append(f"{child['name']} is {child.get('state')}" + (f" ({why})" if why else ""))
    return "; ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "") or "nothing is required"


def down(home: Path, timeout_s: float) -> int:
    """End the server in order and wait until its lock is free. Nothing to end is not an error."""
    from supervisor.runtime.client import running

    pid = running(home)
    if pid is None:
        print(f"no server runs in {home}")
        return OK
    ask(home, "down", ORDER_S)
    deadline = time.monotonic() + timeout_s
    while running(home) is not None:
        if time.monotonic() > deadline:
            raise Refusal(
                CANNOT_TELL,
                f"the server (pid {pid}) acknowledged and is still there after {timeout_s:g} s; see qt status",
            )
        time.sleep(POLL_S)
    print("down, in order")
    return OK
