"""Which server a verb talks about: --home, else $QT_HOME, else ./var."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.exits import CANNOT_TELL, NOT_READY, REFUSED, Refusal

if TYPE_CHECKING:
    from supervisor.runtime.client import Client

FALLBACK = "var"


def resolve(home: str | None, configured: str = FALLBACK) -> Path:
    """The home as an absolute path; it need not exist."""
    return Path(home or os.environ.get("QT_HOME") or configured).expanduser().absolute()


def ask(home: Path, verb: str, timeout_s: float = 2.0, **fields: Any) -> dict[str, Any]:
    """One question to the server of this home.

    Raises:
        Refusal: 3 when no server runs, 4 when it does not answer or does not know the name, 1 when it says no.
    """
    from supervisor.runtime.client import Client

    client = Client(home)
    try:
        return ask_on(client, verb, timeout_s, **fields)
    finally:
        client.close()


def ask_on(client: Client, verb: str, timeout_s: float = 2.0, **fields: Any) -> dict[str, Any]:
    """The same on an open client. Raises as `ask`."""
    from supervisor.runtime.client import Unreachable

    try:
        answer = client.ask(verb, timeout_s, **fields)
    except Unreachable as error:
        raise Refusal(CANNOT_TELL if error.running else NOT_READY, str(error)) from error
    if answer.get("ok") is False:
        text = str(answer.get("text") or f"the server refused {verb}")
        raise Refusal(CANNOT_TELL if answer.get("code") == "not_found" else REFUSED, text)
    return answer
