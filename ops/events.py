"""`qt events`: what the supervisor did and why, oldest first. Following asks what came after n: nothing is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from supervisor.runtime.verbs import ask_on
from supervisor.terminal import CANNOT_TELL, OK, Refusal

EVERY_S = 0.5


def run(home: Path, follow: bool, output: str, after: int) -> int:
    from supervisor.runtime import locks
    from supervisor.runtime.client import Client

    client, root = Client(home), 0
    try:
        while True:
            now = locks.holder(home / "run" / "root.lock") or root
            if root and now != root:
                after = 0  # another root counts from 1 again
            try:
                events = ask_on(client, "events", after=after).get("events", [])
            except Refusal as refusal:
                if not root or refusal.code != CANNOT_TELL:
                    raise
                events = []  # the heart still beats: another root is coming
            else:
                root = now
            for event in events:
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
    at = event["at"]
    clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
    return f"{clock}  {event['kind']:<14} {event['id']:<18} {event['sentence']}"
