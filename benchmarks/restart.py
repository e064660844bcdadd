"""From SIGKILL of a worker until a consumer has handled its replacement's first answer: ours, the limit, and peers.

The worker is the same for all (worker.py): numpy, zmq, onnxruntime and ccxt.pro imported, a session of the four shipped
models, one question answered by one run of them. The limit is a bare warm process that forks the same worker; ours is
the real root, two zygotes and two nodes, with the session made in the child, and again with it inherited from the
zygote. Ours and the limit take turns. Kills come at random moments, so that no peer's polling is hit at its best.

    python -m benchmarks.restart             all of it, about four minutes
    python -m benchmarks.restart --ours      only ours and the limit
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import peers, worker
from benchmarks.house import ENVIRONMENT, house, note, noted
from benchmarks.pairs import report
from supervisor.actor import Actor
from supervisor.message import Message
from supervisor.plan import Draft
from supervisor.spec import ChildSpec, SupervisorSpec, ZygoteSpec, child, supervise
from supervisor.words import Strategy

ROUNDS, KILLS = 3, 12  # of ours and of the limit, by turns
LIMIT, AIM = 1.5, 1.2
LESS_MEMORY = 0.4
EXTRA = 3  # workers more, for the memory of one
SETTLED_S = (0.2, 0.4)


class Question(Message, frozen=True, kw_only=True):
    """To all workers."""


class Answer(Message, frozen=True, kw_only=True):
    pid: int


class AskAgain(Message, frozen=True, kw_only=True):
    """The consumer's own clock."""


class Consumer(Actor):
    """Asks every millisecond, and notes when it handled the first answer of each incarnation."""

    subscribes = (Answer,)
    publishes = (Question,)

    def init(self, home: str) -> None:
        self.home = home
        self.seen: set[tuple[str, int]] = set()
        self.ctx.after(worker.ASK_EVERY_S, AskAgain())

    def handle(self, message: Message) -> None:
        if isinstance(message, Answer):
            envelope = self.ctx.envelope()
            who = (envelope.sender, envelope.incarnation)
            if who not in self.seen:
                at = time.monotonic_ns()
                self.seen.add(who)
                note(self.home, f"{who[0]}-{who[1]}-{message.pid}", at)
                note(self.home, f"{who[0]}-{who[1]}", at)
            return
        self.ctx.publish(Question())
        self.ctx.after(worker.ASK_EVERY_S, AskAgain())


class Worker(Actor):
    """The worker of worker.py as an actor."""

    subscribes = (Question,)
    publishes = (Answer,)

    def init(self) -> None:
        self.models = worker.models()

    def handle(self, message: Message) -> None:
        self.models.run()
        self.ctx.publish(Answer(pid=os.getpid()))
        self.ctx.progress("answer")


def build(home: str, names: list[str], inherit: bool) -> Draft:
    """The consumer and its workers, for the scratch process."""
    ours = ("supervisor.runtime.node", "benchmarks.restart")
    children: list[ChildSpec | SupervisorSpec] = [child("consumer", "benchmarks.restart:Consumer", home=home)]
    children += [child(name, "benchmarks.restart:Worker", role="worker") for name in names]
    return Draft(
        tree=supervise("root", Strategy.ONE_FOR_ONE, [supervise("bench", Strategy.ONE_FOR_ONE, children)]),
        zygotes=(
            ZygoteSpec(role="core", imports=ours),
            ZygoteSpec(
                role="worker",
                imports=(*ours, "ccxt.pro", "numpy", "onnxruntime", "zmq"),
                prepare="benchmarks.worker:prepare" if inherit else "",
            ),
        ),
        environment=ENVIRONMENT,
    )


def ours(inherit: bool, names: list[str], kills: int) -> tuple[list[float], float]:
    """Milliseconds, one per kill, and the MiB of the whole house before the first."""
    times = []
    with house("benchmarks.restart:build", names=names, inherit=inherit) as (home, root):
        for name in names:
            noted(home, f"{name}-1")
        settle()
        memory = peers.pss_mib(root.pid)
        for incarnation in range(1, kills + 1):
            settle()
            pid = int((home / "run" / f"{names[0]}.lock").read_text())
            at = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            times.append((noted(home, f"{names[0]}-{incarnation + 1}") - at) / 1e6)
    return times, memory


def peer(
    command: Callable[[str, list[str]], list[str]], names: list[str], kills: int, rest_s: tuple[float, float]
) -> tuple[list[float], float]:
    """The same for anything that is a command line."""
    folder = tempfile.mkdtemp(prefix="qtb-")
    times = []
    try:
        argv = command(folder, names)
        with peers.running(argv, Path(folder) / "log.txt") as pid:
            asker = worker.Asker(folder, names)
            try:
                victims = [asker.news(30)[0] for _ in names]
                asker.rest(random.uniform(*SETTLED_S))
                memory = peers.pss_mib(pid)
                for _ in range(kills):
                    asker.rest(random.uniform(*rest_s))
                    at = time.monotonic_ns()
                    os.kill(victims[0], signal.SIGKILL)
                    victims[0], heard_at = asker.news(30, lost=victims[0])
                    times.append((heard_at - at) / 1e6)
            except TimeoutError as error:
                said = (Path(folder) / "log.txt").read_text(errors="replace")[-500:]
                raise peers.Missing(f"{error}; it said: {said}") from error
            finally:
                asker.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return times, memory


def settle() -> None:
    time.sleep(random.uniform(*SETTLED_S))


def bare(inherit: bool, names: list[str], kills: int) -> tuple[list[float], float]:
    return peer(
        lambda folder, them: peers.python("benchmarks.worker:bare", folder, them[0], inherit), names, kills, SETTLED_S
    )


def spawned(folder: str, names: list[str]) -> list[str]:
    return peers.python("benchmarks.peers:watching_parent", "spawn", folder, names)


def forkserver(folder: str, names: list[str]) -> list[str]:
    return peers.python("benchmarks.peers:watching_parent", "forkserver", folder, names)


def preloaded(folder: str, names: list[str]) -> list[str]:
    """A forkserver told all imports: close to the limit, and all its children are lost when it is."""
    return peers.python("benchmarks.peers:watching_parent", "forkserver", folder, names, True)


# name, command line, kills, seconds between them, how many times faster ours has to be
PEERS: tuple[tuple[str, Callable[[str, list[str]], list[str]], int, tuple[float, float], float], ...] = (
    ("circus, check_delay 5 (default)", lambda f, n: peers.circus(f, n, None), 5, (0.5, 5.5), 0.0),
    ("circus, check_delay 0.5", lambda f, n: peers.circus(f, n, 0.5), 10, (1.0, 1.5), 20.0),
    ("supervisord", peers.supervisord, 10, (1.2, 2.2), 35.0),
    ("multiprocessing spawn", spawned, 8, SETTLED_S, 12.0),
    ("multiprocessing forkserver", forkserver, 8, SETTLED_S, 0.0),
    ("multiprocessing forkserver, all preloaded", preloaded, KILLS, SETTLED_S, 0.0),
    ("shell loop", peers.shell, 8, SETTLED_S, 0.0),
)


def main(argv: list[str]) -> int:
    held, made_in_child = True, 0.0
    names = ["worker"]
    for inherit in (False, True):
        limits: list[float] = []
        times: list[float] = []
        for _ in range(ROUNDS):
            limits += bare(inherit, names, KILLS)[0]
            times += ours(inherit, names, KILLS)[0]
        median = statistics.median(times)
        made_in_child = made_in_child or median
        what = "inherited from the zygote" if inherit else "made in the child"
        ratio = median / statistics.median(limits)
        held &= report(
            f"restart, session {what}",
            ratio,
            LIMIT,
            at_least=False,
            **spread("raw", limits),
            **spread("ours", times),
            aim=AIM,
        )
    if "--ours" in argv:
        return 0 if held else 1
    for name, command, kills, rest_s, gate in PEERS:
        try:
            theirs = peer(command, names, kills, rest_s)[0]
        except peers.Missing as why:
            print(f"SKIPPED: {name}: {why}", flush=True)
            continue
        ratio = statistics.median(theirs) / made_in_child
        held &= report(
            f"restart against {name}", ratio, gate, at_least=True, **spread("peer", theirs), ours_ms=made_in_child
        )
    extra = names + [f"worker-{n}" for n in range(EXTRA)]
    spawn_mib = (peer(spawned, extra, 0, SETTLED_S)[1] - peer(spawned, names, 0, SETTLED_S)[1]) / EXTRA
    for inherit in (False, True):
        mib = (ours(inherit, extra, 0)[1] - ours(inherit, names, 0)[1]) / EXTRA
        what = "session inherited" if inherit else "own session"
        held &= report(
            f"memory of one node more, {what}",
            mib / spawn_mib,
            LESS_MEMORY,
            at_least=False,
            spawned_mib=spawn_mib,
            ours_mib=mib,
        )
    return 0 if held else 1


def spread(who: str, times: Iterable[float]) -> dict[str, float | int]:
    """Median and 95th percentile in ms."""
    ordered = sorted(times)
    return {
        f"{who}_ms": statistics.median(ordered),
        f"{who}_p95_ms": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
        f"{who}_kills": len(ordered),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
