"""Trees of 10, 100 and 1,000 children, light actors in groups of fifty: what start, stop, one restart and a look cost.

The limit is the smallest tree in the same run: starting and stopping may grow by what they touch, one restart by
nothing. The status of 1,000 children, the whole `qt status`, and the CPU of a root that watches 1,000 idle children
have gates of their own.

    python -m benchmarks.supervision_scale            about two minutes
    python -m benchmarks.supervision_scale 10 100     these sizes only
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.house import ENVIRONMENT, house, note, noted
from benchmarks.pairs import report
from supervisor.actor import Actor
from supervisor.plan import Draft
from supervisor.runtime.client import Client
from supervisor.spec import ChildSpec, SupervisorSpec, ZygoteSpec, member, node, supervise
from supervisor.words import Strategy

SIZES = (10, 100, 1000)
IN_A_NODE = 50  # the node itself and 49 actors
RESTARTS = 25
LOOKS = 15
COMMANDS = 5
IDLE_S = 12.0
SETTLED_S = 3.0
STATUS_MS, COMMAND_MS, CPU = 50.0, 300.0, 0.02
FLAT = 1.5  # growth of one restart: room for a shared machine, not for a hundred times more children


class Idler(Actor):
    """A light actor that waits for work; it notes each of its lives."""

    def init(self, home: str) -> None:
        self.ctx.progress("up")
        note(home, f"{self.ctx.name}-{self.ctx.incarnation}", time.monotonic_ns())


def build(home: str, children: int) -> Draft:
    """`children` in all: nodes and actors, the supervisors not counted."""
    nodes: list[ChildSpec | SupervisorSpec] = []
    for number in range(0, children, IN_A_NODE):
        names = [f"actor-{n}" for n in range(number + 1, min(number + IN_A_NODE, children))]
        members = [member(name, "benchmarks.supervision_scale:Idler", home=home) for name in names]
        nodes.append(node(f"node-{number // IN_A_NODE}", Strategy.ONE_FOR_ONE, members))
    return Draft(
        tree=supervise("root", Strategy.ONE_FOR_ONE, [supervise("bench", Strategy.ONE_FOR_ONE, nodes)]),
        zygotes=(ZygoteSpec(role="core", imports=("supervisor.runtime.node", "benchmarks.supervision_scale")),),
        environment=ENVIRONMENT,
    )


def measure(children: int) -> dict[str, float]:
    """Milliseconds, and `cpu` as a share of one core. The start counts from the birth of the root process."""
    found: dict[str, float] = {}
    actors = children - -(-children // IN_A_NODE)
    with house("benchmarks.supervision_scale:build", children=children) as (home, root):
        begun_ns = time.monotonic_ns()
        deadline = time.monotonic() + 120
        while len(list((home / "notes").glob("*-1"))) < actors:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{children} children are not up after 120 s; see {(home / 'root.txt').read_text()}")
            time.sleep(0.01)
        last_ns = max(int(path.read_text()) for path in (home / "notes").glob("*-1"))
        found["start_ms"] = (last_ns - begun_ns) / 1e6
        client = Client(home)
        while client.ask("status")["server"]["state"] != "running":
            time.sleep(0.1)
        time.sleep(SETTLED_S)
        found["cpu"] = idle_cpu(root.pid, IDLE_S)
        times = []
        for life in range(2, RESTARTS + 2):
            at = time.monotonic_ns()
            answer = client.ask("restart", name="actor-5")
            if not answer["ok"]:
                raise RuntimeError(f"the restart was refused: {answer}")
            times.append((noted(home, f"actor-5-{life}") - at) / 1e6)
            time.sleep(0.2)
        found["restart_ms"] = statistics.median(times)
        times = []
        for _ in range(LOOKS):
            asked = time.perf_counter()
            status = client.ask("status")
            times.append((time.perf_counter() - asked) * 1e3)
            time.sleep(0.2)
        found["status_ms"] = statistics.median(times)
        found["shown"] = sum(child["kind"] == "worker" for child in status["children"])
        client.close()
        found["command_ms"] = statistics.median(command_ms(home) for _ in range(COMMANDS))
        told = time.perf_counter()
        root.terminate()
        root.wait(60)
        found["stop_ms"] = (time.perf_counter() - told) * 1e3
    return found


def idle_cpu(pid: int, seconds: float) -> float:
    """The share of one core that a process uses while nothing happens."""

    def used_s() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, at = used_s(), time.monotonic()
    time.sleep(seconds)
    return (used_s() - before) / (time.monotonic() - at)


def command_ms(home: Path) -> float:
    """The whole `qt status`, interpreter included."""
    at = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "ops.main", "status", "--home", str(home)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT},
        check=False,  # its exit code says whether all is ready
    )
    return (time.perf_counter() - at) * 1e3


def main(argv: list[str]) -> int:
    sizes = [int(word) for word in argv if word.isdigit()] or list(SIZES)
    measured = {}
    for size in sizes:
        measured[size] = measure(size)
        print({"children": size, **{key: round(value, 4) for key, value in measured[size].items()}}, flush=True)
    held = True
    for small, large in itertools.pairwise(sizes):
        few, many = measured[small], measured[large]
        for what in ("start", "stop", "status"):
            key, label = f"{what}_ms", f"{what}, {large} children against {small}"
            held &= report(
                label, many[key] / few[key], large / small, at_least=False, raw_ms=few[key], ours_ms=many[key]
            )
        few = measured[sizes[0]]
        label = f"one restart, {large} children against {sizes[0]}"
        raw, ours = few["restart_ms"], many["restart_ms"]
        held &= report(label, ours / raw, FLAT, at_least=False, raw_ms=raw, ours_ms=ours)
    largest = measured[sizes[-1]]
    for what, value, most in (
        ("status, request to reply", largest["status_ms"], STATUS_MS),
        ("the whole qt status", largest["command_ms"], COMMAND_MS),
    ):
        label = f"{what}, {sizes[-1]} children, against its allowance"
        held &= report(label, value / most, 1.0, at_least=False, ours_ms=value, allowed_ms=most)
    label = f"CPU of an idle root, {sizes[-1]} children, against its allowance"
    held &= report(label, largest["cpu"] / CPU, 1.0, at_least=False, ours=largest["cpu"], allowed=CPU)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
