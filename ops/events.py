"""`qt events`: what the supervisor did and why, oldest first. Following asks what came after n: nothing is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from supervisor.runtime.verbs import ask_on
from supervisor.terminal import OK

EVERY_S = 0.5


def run(home: Path, follow: bool, output: str, after: int) -> int:
    from supervisor.runtime.client import Client

    client = Client(home)
    try:
        while True:
            for event in ask_on(client, "events", after=after).get("events", []):
                after = max(after, int(event.get("n", after)))
                print(json.dumps(event) if output == "json" else line(event), flush=True)
            if not follow:
                return OK
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return OK
    finally:
        client.close()


def line(event: dict[str, Any]) -> str:
    """`12:00:03.120 restarted  feed:binance  started again at once after KILLED by signal 9`."""
    at = float(event.get("at") or 0)
    if at > 1e15:  # nanoseconds
        at /= 1e9
    clock = (
        time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}" if at > 1e6 else f"+{at:.3f}s"
    )
    name = str(event.get("id") or event.get("name") or "")
    return f"{clock}  {event.get('kind', ''):<14} {name:<18} {event.get('sentence', '')}".rstrip()
