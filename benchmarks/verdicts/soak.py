"""The healthy house under load for an hour: sim mode, so many busy processes per core, and nobody may be called ill.

The picture: a night watch in a storm. Nothing is broken, everything is slow, and whoever wakes the captain is wrong. It
polls what `qt status` shows, twice a second, and keeps each verdict worse than BUSY with its length and its sentence;
it also reads what the server itself writes down (logs/events.jsonl), where a verdict between two polls stands too, and
takes restarts from the server's own counters. OBSERVER_STALL and UNSURE are answers without an accusation; they are
counted and shown apart, and not counted as false.

    python -m benchmarks.verdicts.soak --minutes 60 --load 8
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.house import ENVIRONMENT
from benchmarks.verdicts.stage import BURN
from supervisor.runtime.client import Client, Unreachable
from supervisor.runtime.tail import Tail

EVERY_S = 0.5
ASK_S = 10.0  # the root is starved too
SETTLE_S = 30.0  # after the start, before the load comes
FINE = frozenset({"HEALTHY", "BUSY", "STARTING", "STOPPED"})
NO_ACCUSATION = frozenset({"OBSERVER_STALL", "UNSURE"})
SHOWN_MOST = 50


class Log:
    """Verdicts that were no quiet ones, as they came and went."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}  # verdict -> child-seconds
        self.handled = 0.0  # messages, from the rates shown
        self.accused: list[dict[str, Any]] = []
        self.recorded: list[dict[str, Any]] = []  # accusations as the server wrote them down
        self.no_accusation: dict[str, int] = {}  # verdict -> how often the server wrote it down
        self._open: dict[str, dict[str, Any]] = {}

    def read(self, rows: list[dict[str, Any]], now: float, passed_s: float) -> None:
        for row in rows:
            name, verdict = row["name"], row["verdict"]
            self.handled += row["rates"]["in"] * passed_s
            self.seconds[verdict] = self.seconds.get(verdict, 0.0) + passed_s
            episode = self._open.get(name)
            if episode is not None and (episode["verdict"], episode["cause"]) == (verdict, row["cause"]):
                episode["lasted_s"] = round(now - episode["began"], 1)
                continue
            self._open.pop(name, None)
            if verdict not in FINE | NO_ACCUSATION:
                episode = {"name": name, "verdict": verdict, "cause": row["cause"], "reason": row["reason"][:200]}
                episode |= {"began": now, "lasted_s": 0.0}
                self._open[name] = episode
                if len(self.accused) < SHOWN_MOST:
                    self.accused.append(episode)
                print(
                    f"{now:8.1f} s  {name} {verdict}.{row['cause']}: {row['reason'][:160]}", file=sys.stderr, flush=True
                )

    def wrote(self, records: list[dict[str, Any]]) -> None:
        """Records of the server, each once."""
        for record in records:
            verdict = record.get("verdict")
            if record.get("kind") != "verdict" or verdict in FINE:
                continue
            if verdict in NO_ACCUSATION:
                self.no_accusation[verdict] = self.no_accusation.get(verdict, 0) + 1
            elif len(self.recorded) < SHOWN_MOST:
                told = {"name": record["id"], "verdict": verdict, "cause": record["cause"]}
                self.recorded.append({**told, "reason": record["sentence"][:200], "at": record["at"]})


@contextlib.contextmanager
def server(home: Path) -> Iterator[Client]:
    environment = {**os.environ, **ENVIRONMENT, "QT_HOME": str(home)}
    qt = [sys.executable, "-m", "ops.main"]
    subprocess.run([*qt, "up", "--mode", "sim", "--http-port", "0", "--detach"], env=environment, check=True)
    client = Client(home)
    try:
        yield client
    finally:
        client.close()
        subprocess.run([*qt, "down"], env=environment, check=False, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def load(per_core: int) -> Iterator[None]:
    burners = [
        subprocess.Popen([sys.executable, "-S", "-E", "-c", BURN]) for _ in range(per_core * (os.cpu_count() or 1))
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
        for burner in burners:
            burner.wait()


def soak(minutes: float, per_core: int) -> dict[str, Any]:
    """Run it; the figures."""
    log, unanswered = Log(), 0
    with tempfile.TemporaryDirectory(prefix="qts-") as folder, server(Path(folder) / "home") as client:
        time.sleep(SETTLE_S)
        tail = Tail(Path(folder) / "home", new_only=True)
        before = {row["name"]: row for row in client.ask("status", ASK_S)["children"]}
        with load(per_core):
            begun = last = time.monotonic()
            while (now := time.monotonic()) - begun < minutes * 60:
                try:
                    rows = client.ask("status", ASK_S)["children"]
                except Unreachable:
                    unanswered += 1
                    continue
                log.read(rows, now - begun, now - last)
                log.wrote(tail.read())  # each time: the file is renewed when it is full
                last = now
                time.sleep(EVERY_S)
        after = client.ask("status", ASK_S)
        log.wrote(tail.read())
        tail.close()
    rows = {row["name"]: row for row in after["children"]}
    restarted = [name for name in rows if rows[name]["incarnation"] != before.get(name, {}).get("incarnation")]
    return {
        "bench": "verdicts.soak",
        "held": not restarted and not log.accused and not log.recorded,
        "minutes": minutes,
        "load_per_core": per_core,
        "children": len(rows),
        "restarted": restarted,
        "accused": log.accused,
        "recorded": log.recorded,
        "without_accusation": dict(sorted(log.no_accusation.items())),
        "child_seconds": {kind: round(spent) for kind, spent in sorted(log.seconds.items())},
        "messages_handled": round(log.handled),
        "unanswered": unanswered,
        "final": {name: row["verdict"] for name, row in rows.items() if row["verdict"] != "HEALTHY"},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--load", type=int, default=8, help="busy processes per core")
    given = parser.parse_args()
    found = soak(given.minutes, given.load)
    print(json.dumps(found))
    return 0 if found["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
