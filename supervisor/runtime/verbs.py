"""Questions and orders as a command gives them: an answer, or a `Refusal` with its exit code. Nothing hangs.

An order that was not acknowledged was not given.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from supervisor.runtime.client import Client, Unreachable, running
from supervisor.terminal import CANNOT_TELL, NOT_READY, OK, REFUSED, Refusal

POLL_S = 0.1
ORDER_S = 5.0


def ask(home: Path, verb: str, timeout_s: float = 2.0, **fields: Any) -> dict[str, Any]:
    """One question to the server of this home.

    Raises:
        Refusal: 3 when no server runs, 4 when it does not answer or does not know the name, 1 when it says no.
    """
    client = Client(home)
    try:
        return ask_on(client, verb, timeout_s, **fields)
    finally:
        client.close()


def ask_on(client: Client, verb: str, timeout_s: float = 2.0, **fields: Any) -> dict[str, Any]:
    """The same on an open client. Raises as `ask`."""
    try:
        answer = client.ask(verb, timeout_s, **fields)
    except Unreachable as error:
        raise Refusal(CANNOT_TELL if error.running else NOT_READY, str(error)) from error
    if answer.get("ok") is False:
        text = str(answer.get("text") or f"the server refused {verb}")
        raise Refusal(CANNOT_TELL if answer.get("code") == "not_found" else REFUSED, text)
    return answer


def order(home: Path, verb: str, name: str) -> int:
    """Give one order and print what the server said to it."""
    answer = ask(home, verb, ORDER_S, name=name)
    if not answer.get("ok"):
        raise Refusal(REFUSED, str(answer.get("text") or f"the server did not acknowledge {verb} {name}: {answer}"))
    print(answer.get("text") or f"{verb} {name}: acknowledged")
    return OK


def down(home: Path, timeout_s: float) -> int:
    """End the server in order and wait until its lock is free. Nothing to end is not an error."""
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
                f"the server (pid {pid}) acknowledged and is still there after {timeout_s:g} s; ask for its status",
            )
        time.sleep(POLL_S)
    print("down, in order")
    return OK
