"""One incarnation of one actor in this node: made, running, asked to stop, fenced, proved dead.

The process's side of a host (host.py): what the actors of a node share (`Stage`) and what each has of its own: an
inbox, a transaction, and where it speaks or hears EVERY messages, a journal. A thread cannot be killed; so the end is
asked for, waited for, and if it does not come, the incarnation is fenced: it has no effects any more.
"""

from __future__ import annotations

import pickle
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from supervisor.actor import Actor
from supervisor.evidence import vitals
from supervisor.loading import load
from supervisor.message import Delivery
from supervisor.plan import NodeBoot, Route
from supervisor.runtime import bus, link
from supervisor.runtime.hearing import Marks
from supervisor.runtime.host import Cast, Ending, Host
from supervisor.runtime.inbox import Inbox
from supervisor.runtime.journal import Journal, file_name
from supervisor.runtime.transaction import Transaction
from supervisor.spec import ActorStart
from supervisor.system import CanaryAsked, ToActor

LAST_STEPS_S = 0.05  # from its last word to the end of the thread: a few instructions, if it gets the processor
STACK_MAX = 16 * 1024

_to_actor: Any = msgspec.msgpack.Decoder(ToActor)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What all actors of a node share. The callbacks are called from actor threads."""

    boot: NodeBoot
    context: Any  # of ZeroMQ: one per process
    publisher: bus.Publisher
    ask_root: Callable[[str, bytes], None]
    ready: Callable[[str, int], None]
    ended: Callable[[Ending], None]
    answer: Callable[[link.CanaryAnswered], None]
    complain: Callable[[str], None]


class Hosted:
    """Belongs to the node's main thread. Raises only what the machine refuses: no thread, no socket."""

    def __init__(
        self,
        stage: Stage,
        start: ActorStart,
        incarnation: int,
        slot: vitals.Slot,
        routes: tuple[Route, ...],
        earlier: int = 0,
    ) -> None:
        self.name, self.incarnation = start.name, incarnation
        self.stopped_for = ""
        self.slot = slot
        self._stage, self._start, self._routes = stage, start, routes
        self._earlier = earlier  # lives of this actor in this process before this one
        self._tx: Transaction | None = None
        self._fenced = False
        scale = stage.boot.time_scale
        self._ear: bus.Ear = bus.Listener(stage.context, scale) if routes else bus.Deaf(scale)
        self._inbox = Inbox(self._ear)
        self.host = Host.run(start.name, incarnation, self._build, self._inbox, slot, stage.ended, self._answered)

    def stop(self, reason: str) -> None:
        """Ask it to end, before anything else that waits."""
        self.stopped_for = reason or "asked to"
        self._inbox.stop(self.stopped_for)

    def tell(self, payload: bytes) -> None:
        """A word of the supervisor for the actor itself."""
        self._inbox.tell(_to_actor.decode(payload))

    def ask_canary(self, word: link.AskCanary) -> None:
        """It overtakes what waits, like every word of the supervisor, but not the message in hand."""
        self._inbox.tell(CanaryAsked(name=word.name, n=word.n))

    def fence(self) -> None:
        """No effect of this incarnation from now on, whatever its thread still does."""
        self._fenced = True
        if self._tx is not None:
            self._tx.fence()

    def proved_dead(self) -> bool:
        """Whether the thread has ended; waits for the few steps after its last word."""
        self.host.thread.join(LAST_STEPS_S)
        return not self.host.thread.is_alive()

    def worked(self) -> bool:
        """Useful work since it was ready."""
        return 0 < self.slot.words[vitals.READY] < self.slot.words[vitals.LAST_PROGRESS]

    def busy_with(self) -> str:
        """What a thread that does not end is doing, in a few words."""
        since_ns = self.slot.words[vitals.IN_HAND_SINCE]
        hand = f", a message in hand for {(time.monotonic_ns() - since_ns) * 1e-9:.1f} s" if since_ns else ""
        return f"phase {self.host.phase}{hand}"

    def stack(self) -> str:
        """Where its thread is now."""
        frame = sys._current_frames().get(self.host.thread.ident or 0)
        return "".join(traceback.format_stack(frame))[-STACK_MAX:] if frame is not None else ""

    def close(self) -> None:
        """After its proved death: give back descriptors, and the journal for the next incarnation. A thread of a port
        that it left behind is told by the fence at its next post."""
        self.fence()
        self.slot.end()
        if self._tx is not None:
            self._tx.close()
        self._ear.close()

    # ------------------------------------------------------------------ in the actor's thread

    def _answered(self, asked: CanaryAsked, answer: str, error: str) -> None:
        word = link.CanaryAnswered(actor=self.name, name=asked.name, n=asked.n, answer=answer, error=error)
        self._stage.answer(word)

    def _build(self) -> Cast:
        start, boot = self._start, self._stage.boot
        kind = load(start.path)
        if not (isinstance(kind, type) and issubclass(kind, Actor)):
            raise TypeError(f"{start.path} is no Actor class; the child {start.name} cannot be started")
        actor: Actor = kind()
        journals = Path(boot.home) / "journal"
        speaks = any(k.delivery is Delivery.EVERY for k in (*kind.publishes, *kind.subscribes))
        tx = self._tx = Transaction(
            name=start.name,
            incarnation=self.incarnation,
            provenance=boot.provenance,
            replay=boot.replay,
            rng=Random(f"{boot.seed}:{start.name}:{self.incarnation}"),
            inbox=self._inbox,
            publisher=self._stage.publisher,
            journal=Journal(journals / file_name(start.name)) if speaks else None,
            journals_dir=journals,
            routes=self._routes,
            kinds=kind.subscribes,
            slot=self.slot,
            ask_root=self._stage.ask_root,
            say_ready=lambda: self._stage.ready(start.name, self.incarnation),
            complain=self._stage.complain,
            tokens_after=self._earlier << 32,
        )
        tx.hearing.poison = frozenset(boot.poison)
        if self._fenced:  # given up while it was being made
            tx.fence()
        every = {k.__name__ for k in kind.subscribes if k.delivery is Delivery.EVERY}
        for route in self._routes:
            topics = [f"{topic}:".encode() for topic in route.topics]
            if every & set(route.topics):
                topics.append(f"{Marks.__name__}:".encode())
            self._ear.connect(route.endpoint, topics)
        return Cast(actor, pickle.loads(start.arguments) if start.arguments else {}, tx)
