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


def order(home: Path, verb: str, name: str, **fields: str) -> int:
    """Give one order and print what the server said to it."""
    answer = ask(home, verb, ORDER_S, name=name, **fields)
    if not answer.get("ok"):
        raise Refusal(REFUSED, str(answer.get("text") or f"the server did not acknowledge {verb} {name}: {answer}"))
    print(answer.get("text") or f"{verb} {name}: acknowledged")
    return OK


def down(home: Path, timeout_s: float, force: bool = False) -> int:
    """End the server in order, print how each phase went, and wait until its lock is free. Nothing to end is no error.

    Raises:
        Refusal: REFUSED when a phase that may not fail has failed: the server stays up in safe mode.
    """
    pid = running(home)
    if pid is None:
        print(f"no server runs in {home}")
        return OK
    client = Client(home)
    said = 0
    try:
        earlier = ask_on(client, "status").get("server", {}).get("shutdown") or {}
        aborted = earlier["try"] if earlier.get("aborted") else 0  # that one is over; ours is a later one
        ask_on(client, "down", ORDER_S, force=force)
        deadline = time.monotonic() + timeout_s
        while running(home) is not None:
            if time.monotonic() > deadline:
                raise Refusal(
                    CANNOT_TELL,
                    f"the server (pid {pid}) acknowledged and is still there after {timeout_s:g} s; ask for its status",
                )
            try:
                shutdown = client.ask("status", 1.0).get("server", {}).get("shutdown") or {}
            except Unreachable:  # on its last way; the lock says when it is gone
                shutdown = {}
            if shutdown.get("try", 0) > aborted:
                said = _say_phases(shutdown, said)
                if shutdown["aborted"]:
                    raise Refusal(REFUSED, f"it stays up in safe mode: {shutdown['aborted']}; down --force ends it")
            time.sleep(POLL_S)
    finally:
        client.close()
    from supervisor.runtime import memory  # knows every word of the tree, which `qt status` need not learn

    _say_phases(memory.last_shutdown(home), said)
    print("down, in order")
    return OK


def _say_phases(shutdown: dict[str, Any], said: int) -> int:
    """Print the outcomes that were not printed yet; how many there are now."""
    outcomes = shutdown.get("phases", [])
    for outcome in outcomes[said:]:
        print(outcome["sentence"])
    return max(said, len(outcomes))
