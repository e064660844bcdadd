"""What watching costs: the root's share of a core over fifty healthy nodes, and the messages a node loses to its dials.

(a) A real house of fifty nodes of one beating actor each, at default settings; the CPU of the root process, its threads
and the once-a-minute PSS included, over sixty seconds. (b) The same flood of messages over ipc into the same actor,
hosted with dials and echo and without any, in turns.

    python -m benchmarks.overhead             two minutes
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from benchmarks import bus
from benchmarks.house import ENVIRONMENT, house
from benchmarks.pairs import paired, report
from benchmarks.supervision_scale import idle_cpu
from benchmarks.vitals import BareHost
from supervisor.actor import Actor
from supervisor.message import SCHEMA, Delivery, Envelope, Message, Provenance
from supervisor.plan import Draft
from supervisor.runtime.client import Client, Unreachable
from supervisor.runtime.codec import encode
from supervisor.spec import ZygoteSpec, child, supervise
from supervisor.words import Strategy

NODES = 50
SETTLED_S = 15.0
WATCHED_S = 65.0  # one round of PSS falls into it
CPU = 0.005
KEPT = 0.93


class Beat(Message, frozen=True, kw_only=True):
    delivery = Delivery.SYSTEM


class Healthy(Actor):
    """Does a little useful work twice a second."""

    def init(self) -> None:
        self.ctx.after(0.5, Beat())

    def handle(self, message: Message) -> None:
        self.ctx.progress("beat")
        self.ctx.after(0.5, Beat())


def build(home: str) -> Draft:
    del home
    nodes = [child(f"node-{n}", "benchmarks.overhead:Healthy") for n in range(NODES)]
    return Draft(
        tree=supervise("root", Strategy.ONE_FOR_ONE, list(nodes)),
        zygotes=(ZygoteSpec(role="core", imports=("supervisor.runtime.node", "benchmarks.overhead")),),
        environment=ENVIRONMENT,
    )


def root_share() -> float:
    """The share of one core that the root uses while fifty nodes are well."""
    with house("benchmarks.overhead:build") as (home, root):
        client = Client(home)
        deadline = time.monotonic() + 60
        while not _runs(client):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{NODES} nodes are not up after 60 s; see {(home / 'root.txt').read_text()}")
            time.sleep(0.2)
        time.sleep(SETTLED_S)
        share = idle_cpu(root.pid, WATCHED_S)
        verdicts = {one["verdict"] for one in client.ask("status")["children"]}
        client.close()
    if verdicts != {"HEALTHY"}:
        raise RuntimeError(f"the nodes were not all healthy, but {verdicts}; this is no measurement of calm")
    return share


def kept_rate() -> tuple[float, float, float]:
    """(with dials and echo / without, without, with) in messages/s of one actor under a flood, the median of pairs."""
    now = time.time_ns()
    said = Envelope(SCHEMA, "sender", 1, 1, now, now, Provenance.SYNTHETIC, "", "", bus.TICK)
    flood = encode(f"Tick:{bus.TICK.key()}".encode(), said)
    bare: Any = partial(bus.handled, kind=BareHost)
    whole: Any = partial(bus.handled, ladder=True)
    return paired(lambda: bus.run(bare, flood), lambda: bus.run(whole, flood), pairs=9)


def _runs(client: Client) -> bool:
    try:
        return bool(client.ask("status")["server"]["state"] == "running")
    except Unreachable:
        return False


def main() -> int:
    share = root_share()
    label = f"CPU of the root over {NODES} healthy nodes, against its allowance"
    held = report(label, share / CPU, 1.0, at_least=False, ours_ms_a_s=share * 1e3, allowed_ms_a_s=CPU * 1e3)
    ratio, without, kept = kept_rate()
    label = "messages/s of a node with ladder and vitals against the same without"
    held &= report(label, ratio, KEPT, at_least=True, raw=without, ours=kept)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
