"""circus and supervisord as real programs on the faults that concern them, and two facts about them. Real time.

    python -m benchmarks.verdicts.anchors [--for 60] [-o json]

The picture: the same fire drill in two neighbours' houses. They run with their defaults (circus with its flapping
plugin), from environments of their own (peers.py), each fault in a house of its own, all at once, since nothing here
needs the CPU. The worker is a plain Python program: neither knows nodes or actors. Counted are its starts.

Facts: circus's watchdog plugin whose UDP port another program holds kills healthy workers; supervisord credits a
process that lived for 12 ms with having "stayed up for > than 1 seconds", so it starts it more often than it says.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks import peers
from benchmarks.verdicts.scenario import Deed

WORKER = """
import os, socket, sys, time
folder, kind = sys.argv[1:3]
with open(folder + "/starts", "a") as book:
    book.write(f"{time.monotonic()} {os.getpid()}\\n")
if kind == "beats":
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        ear.sendto(f"{os.getpid()};{time.time()}".encode(), ("127.0.0.1", int(sys.argv[3])))
        time.sleep(0.5)
if kind != "works":
    time.sleep(float(kind))
    object().start_session()
time.sleep(3600)
"""
KILL_AFTER_S, STARTED_WITHIN_S = 5.0, 30.0
WATCHDOG = """[plugin:watchdog]
use = circus.plugins.watchdog.WatchDog
ip = 127.0.0.1
port = {port}
loop_rate = 1
watchers_regex = worker
"""
FAULTS: dict[str, tuple[str, signal.Signals | None, Deed, str]] = {
    "A02": ("works", signal.SIGKILL, Deed.RESTART, "killed from outside"),
    "B01": ("0.012", None, Deed.PARK, "the same AttributeError after 12 ms"),
    "B02": ("2", None, Deed.PARK, "the same after 2 s"),
    "B03": ("8", None, Deed.PARK, "the same after 8 s"),
    "C07": ("works", signal.SIGSTOP, Deed.NOTHING, "stopped by a signal (right: told to go on)"),
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One fault under one of them. `starts` in `lasted_s`; `works`: a worker runs and is not stopped at the end."""

    who: str
    id: str
    what: str
    starts: int
    lasted_s: float
    works: bool
    done: str
    right: bool


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    who: str
    what: str
    count: int
    lasted_s: float


def circus(folder: str, command: str, plugin: str = "", count: int = 1) -> list[str]:
    flapping = "[plugin:flapping]\nuse = circus.plugins.flapping.Flapping"
    text = f"""[circus]
endpoint = ipc://{folder}/endpoint
pubsub_endpoint = ipc://{folder}/pubsub
statsd = False
[watcher:worker]
cmd = {command}
numprocesses = {count}
copy_env = True
{plugin or flapping}
"""
    (Path(folder) / "circus.ini").write_text(text)
    return [peers.program("circus"), f"{folder}/circus.ini", "--log-level", "error"]


def supervisord(folder: str, command: str) -> list[str]:
    text = f"""[supervisord]
nodaemon = true
logfile = {folder}/log
pidfile = {folder}/pid
[program:worker]
command = {command}
"""
    (Path(folder) / "supervisord.conf").write_text(text)
    return [peers.program("supervisord"), "-c", f"{folder}/supervisord.conf"]


BUILDERS: dict[str, Callable[[str, str], list[str]]] = {"circus": circus, "supervisord": supervisord}


def play(lasts_s: float) -> tuple[list[Row], list[Fact]]:
    """Everything side by side for so long.

    Raises:
        peers.Missing: one of the two cannot be installed.
    """
    houses: dict[tuple[str, str], Path] = {}
    with contextlib.ExitStack() as stack:
        for who, build in BUILDERS.items():
            for id, (kind, _, _, _) in FAULTS.items():
                folder = houses[who, id] = _folder(stack)
                argv = build(str(folder), f"{sys.executable} {folder}/worker.py {folder} {kind}")
                stack.enter_context(peers.running(argv, folder / "out.txt"))
        taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        taken.bind(("127.0.0.1", 0))
        port, folder = taken.getsockname()[1], _folder(stack)
        command = f"{sys.executable} {folder}/worker.py {folder} beats {port}"
        houses["circus", "watchdog"] = folder
        stack.enter_context(
            peers.running(circus(str(folder), command, WATCHDOG.format(port=port), 3), folder / "out.txt")
        )
        patience = time.monotonic() + STARTED_WITHIN_S
        while not all(map(_pids, houses.values())) and time.monotonic() < patience:
            time.sleep(0.05)
        time.sleep(KILL_AFTER_S)
        for (_, id), folder in houses.items():
            number = FAULTS[id][1] if id in FAULTS else None
            if number is not None and (known := _pids(folder)):
                os.kill(known[-1], number)
        time.sleep(max(0.0, lasts_s - KILL_AFTER_S))
        rows = [_row(who, id, folder, lasts_s) for (who, id), folder in houses.items() if id in FAULTS]
        killed = len(_pids(houses["circus", "watchdog"])) - 3
        log = (houses["supervisord", "B01"] / "log").read_text(errors="replace")
        credited = log.count("stayed up for >")
        facts = [
            Fact(who="circus watchdog, port taken", what="healthy workers killed", count=killed, lasted_s=lasts_s),
            Fact(who="supervisord", what="12 ms credited as a second", count=credited, lasted_s=lasts_s),
            Fact(
                who="supervisord",
                what="starts of what dies after 12 ms (4 by design)",
                count=len(_pids(houses["supervisord", "B01"])),
                lasted_s=lasts_s,
            ),
        ]
    return rows, facts


def _folder(stack: contextlib.ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="qta-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    (folder / "worker.py").write_text(WORKER)
    return folder


def _pids(folder: Path) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(line.split()[1]) for line in (folder / "starts").read_text().splitlines()]
    return []


def _row(who: str, id: str, folder: Path, lasted_s: float) -> Row:
    _, number, right, what = FAULTS[id]
    known = _pids(folder)
    times = [float(line.split()[0]) for line in (folder / "starts").read_text().splitlines()] if known else []
    state = _state(known[-1]) if known else ""
    quiet_s = time.monotonic() - times[-1] if times else lasted_s
    done = "nothing" if len(known) <= 1 else "restart"
    if number is None and state in ("", "Z") and quiet_s > lasted_s / 3:
        done = "park"
    fine = done == str(right) and (id != "C07" or state not in ("T", "t"))
    works = state in ("R", "S") and number is not None
    return Row(who=who, id=id, what=what, starts=len(known), lasted_s=lasted_s, works=works, done=done, right=fine)


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--for", dest="lasts_s", type=float, default=60.0, help="seconds of real time")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    given = parser.parse_args()
    try:
        rows, facts = play(given.lasts_s)
    except peers.Missing as error:
        print(error, file=sys.stderr)
        return 1
    if given.output == "json":
        print(
            json.dumps({"schema": 1, "rows": msgspec.to_builtins(rows), "facts": msgspec.to_builtins(facts)}, indent=1)
        )
        return 0
    for row in rows:
        state = "works" if row.works else "down or stopped"
        right = "right" if row.right else "WRONG"
        print(f"{row.who:<12} {row.id}  {row.starts:>4} starts  {row.done:<8} {right:<6} {state:<16} {row.what}")
    for fact in facts:
        print(f"{fact.who}: {fact.what}: {fact.count} in {fact.lasted_s:g} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
