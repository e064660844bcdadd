"""`qt wait`: until the server, or one child, is ready; or until it is down."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from actors.rules.gateway import workers
from ops import render
from supervisor.runtime.verbs import POLL_S, ask_on
from supervisor.terminal import CANNOT_TELL, NOT_READY, OK, USAGE, Refusal


def wait(home: Path, until: str, name: str | None, timeout_s: float) -> int:
    """Return when the server (or one child) is ready, or when the server is down.

    Raises:
        Refusal: NOT_READY at the deadline, naming who is missing; CANNOT_TELL at once for a name that no child of a
            server that answers has.
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
                    status = ask_on(client, "status", 1.0)
                except Refusal as refusal:
                    if refusal.code not in (NOT_READY, CANNOT_TELL):
                        raise
                    last = str(refusal)
                else:
                    chosen = select(status, name)
                    if exit_code(chosen) == OK:
                        print(render.summary(chosen))
                        return OK
                    last = missing(chosen)
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
