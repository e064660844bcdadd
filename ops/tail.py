"""`qt tail`: what the nodes say, read as any foreign client would: plain ZeroMQ and MessagePack, no types of ours."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.terminal import NOT_READY, OK, Refusal

if TYPE_CHECKING:
    from supervisor.runtime.client import Heard

HOUSEKEEPING = "Marks:"  # how far a sender's journal has come; shown when asked for by name


def run(home: Path, topics: list[str], output: str, count: int | None) -> int:
    """Print frames until Ctrl-C or `count`. Topics match by prefix: `Tick:binance:`, `Order`, `Signal:`."""
    from supervisor.runtime.client import Listener, running

    if running(home) is None:
        raise Refusal(NOT_READY, f"no server runs in {home}; start one with qt up")
    listener = Listener(home, topics)
    gaps = Gaps(topics)
    shown = 0
    try:
        while True:
            for heard in listener.hear(0.5, most=500):
                if heard.topic.startswith(HOUSEKEEPING) and not topics:
                    continue
                missed = gaps.before(heard)
                if missed:
                    print(
                        f"… {missed} {heard.topic.split(':')[0]} frames were dropped on the way here", file=sys.stderr
                    )
                print(as_json(heard) if output == "json" else line(heard), flush=True)
                shown += 1
                if shown == count:
                    return OK
            if running(home) is None:
                print(f"the server in {home} has ended", file=sys.stderr)
                return NOT_READY
    except KeyboardInterrupt:
        return OK
    finally:
        if listener.malformed:
            print(f"{listener.malformed} frames could not be read", file=sys.stderr)
        listener.close()


class Gaps:
    """What this listener lost. Sequences run per sender and class, so a filter that cuts a class in two sees none."""

    def __init__(self, topics: list[str]) -> None:
        self._whole = all(topic.partition(":")[2] == "" for topic in topics)
        self._last: dict[tuple[str, str], tuple[int, int]] = {}

    def before(self, heard: Heard) -> int:
        """How many frames of this sender and class were missed before this one."""
        sender = (str(heard.head["sender"]), heard.topic.split(":")[0])
        now = (int(heard.head["incarnation"]), int(heard.head["seq"]))
        last = self._last.get(sender)
        self._last[sender] = now
        return max(0, now[1] - last[1] - 1) if self._whole and last and last[0] == now[0] else 0


def as_json(heard: Heard) -> str:
    return json.dumps({"schema": 1, "topic": heard.topic, **heard.head, "body": heard.body}, default=_readable)


def line(heard: Heard) -> str:
    """`12:00:03.120 feed:binance #812 Tick:binance:BTC/USDT  binance BTC/USDT 64000.1 …`."""
    at = int(heard.head["sent_ns"]) / 1e9
    clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
    words = " ".join(_short(value) for value in heard.body[1:])
    return f"{clock} {heard.head['sender']} #{heard.head['seq']} {heard.topic}  {words}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=_readable, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _readable(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
