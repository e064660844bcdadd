"""A node: one OS process of ours, hosting actors. Born by a fork of a zygote, it runs our code within milliseconds.

Two kinds of threads. The main thread holds the link to the root: it answers pings, hears the order to stop, and is the
one that ends the process. Each actor has its own thread (host.py), which also receives from the wire, so a tick is
handled by the thread that received it. A hung actor cannot stop the main thread from answering: that difference is
evidence.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import select
import signal
import socket
import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Delivery
from supervisor.plan import NodeBoot
from supervisor.runtime import bus, crash, link, locks, log, vitals
from supervisor.runtime.host import Ending, Host
from supervisor.runtime.inbox import Inbox
from supervisor.runtime.journal import Journal, file_name
from supervisor.runtime.transaction import Marks, Transaction
from supervisor.spec import ActorStart
from supervisor.system import ToActor

_to_actor: Any = msgspec.msgpack.Decoder(ToActor)


def main(boot: NodeBoot, line: socket.socket) -> int:
    """Run the node until it is asked to stop (0), an actor dies (1), or the root is gone (1)."""
    return _Node(boot, line).run()


class _Node:
    def __init__(self, boot: NodeBoot, line: socket.socket) -> None:
        self.boot = boot
        self.line = line
        self.home = Path(boot.home)
        self.log = log.configure(self.home, boot.name, boot.incarnation)
        self.unready = {start.name for start in boot.actors}
        self.endings: list[Ending] = []
        self.running: dict[str, tuple[Inbox, Transaction]] = {}
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.stop_reason: str | None = None

    def run(self) -> int:
        boot = self.boot
        link.send(self.line, link.Hello(pid=os.getpid()))
        signal.signal(signal.SIGTERM, lambda *_: self._ask_to_stop("SIGTERM"))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stacks = self.home / "logs" / f"{boot.name.replace(':', '_')}.stacks"
        crash.install_dump(stacks)
        try:
            # Two nodes of one name must never both act; a second bind on an ipc path succeeds silently, this does not.
            lock = locks.Lock(self.home / "run" / f"{boot.name.replace(':', '_')}.lock")
            context = bus.context()
            publisher = bus.Publisher(context, boot.endpoint)
            page = vitals.Page(
                self.home / "vitals" / vitals.file_name(boot.name), boot.incarnation, tuple(a.name for a in boot.actors)
            )
            for start in boot.actors:
                self._start_actor(start, context, publisher, page.slots[start.name])
        except BaseException as error:  # noqa: BLE001  recorded and told to the root, then the process ends
            self._last_words(Ending(boot.name, "import", error, ""))
            return 1
        code = self._serve()
        lock.release()
        return code

    def _start_actor(self, start: ActorStart, context: object, publisher: bus.Publisher, slot: vitals.Slot) -> None:
        boot = self.boot
        kind = load(start.path)
        if not (isinstance(kind, type) and issubclass(kind, Actor)):
            raise TypeError(f"{start.path} is no Actor class; the child {start.name} cannot be started")
        actor: Actor = kind()
        speaks = any(k.delivery is Delivery.EVERY for k in (*kind.publishes, *kind.subscribes))
        journal = Journal(self.home / "journal" / file_name(start.name)) if speaks else None
        listener = bus.Listener(context)  # type: ignore[arg-type]
        inbox = Inbox(listener)
        tx = Transaction(
            name=start.name,
            incarnation=boot.incarnation,
            provenance=boot.provenance,
            replay=boot.replay,
            rng=Random(f"{boot.seed}:{start.name}:{boot.incarnation}"),
            inbox=inbox,
            publisher=publisher,
            journal=journal,
            journals_dir=self.home / "journal",
            routes=boot.routes,
            kinds=kind.subscribes,
            slot=slot,
            ask_root=lambda name, payload: self._tell_root(link.Ask(name=name, payload=payload)),
            say_ready=lambda: self._actor_ready(start.name),
            complain=self.log.warning,
        )
        every = {k.__name__ for k in kind.subscribes if k.delivery is Delivery.EVERY}
        for route in boot.routes:
            topics = [f"{topic}:".encode() for topic in route.topics]
            if every & set(route.topics):
                topics.append(f"{Marks.__name__}:".encode())
            listener.connect(route.endpoint, topics)
        arguments = pickle.loads(start.arguments) if start.arguments else {}
        Host.start(actor, arguments, inbox, tx, slot, self._actor_ended)
        self.running[start.name] = (inbox, tx)

    # ------------------------------------------------------------------ called from actor threads

    def _actor_ready(self, name: str) -> None:
        self.unready.discard(name)
        if not self.unready:
            self._tell_root(link.NodeReady())

    def _actor_ended(self, ending: Ending) -> None:
        self.endings.append(ending)
        os.eventfd_write(self.wake, 1)

    def _tell_root(self, word: link.FromNode) -> None:
        if not link.send(self.line, word):
            self.log.warning("the root does not take words; the link is full or closed", word=type(word).__name__)

    # ------------------------------------------------------------------ main thread

    def _ask_to_stop(self, reason: str) -> None:
        if self.stop_reason is None:
            self.stop_reason = reason
            os.eventfd_write(self.wake, 1)

    def _serve(self) -> int:
        poll = select.poll()
        poll.register(self.line, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        stopping = False
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self.wake in ready:
                os.eventfd_read(self.wake)
            if self.line.fileno() in ready:
                word = link.receive_from_root(self.line)
                if word is None:
                    return 1  # the root is gone, and nobody supervises us
                if isinstance(word, link.Ping):
                    self._tell_root(link.Pong(n=word.n))
                elif isinstance(word, link.Tell):
                    self._tell_actor(word)
                elif isinstance(word, link.DumpStacks):
                    faulthandler.dump_traceback(file=sys.stderr)
                elif isinstance(word, link.StopNode):
                    self._ask_to_stop(word.reason)
            for ending in self.endings:
                if ending.error is not None:
                    self._last_words(ending)
                    return 1
            if self.stop_reason is not None and not stopping:
                stopping = True
                self._tell_root(link.Stopping())
                for inbox, _ in reversed(list(self.running.values())):
                    inbox.stop(self.stop_reason)
            if len(self.endings) == len(self.running):
                for _, tx in self.running.values():
                    tx.close()
                return 0

    def _tell_actor(self, word: link.Tell) -> None:
        known = self.running.get(word.actor)
        if known is None:
            self.log.warning("the root tells something to an actor that is not here", actor=word.actor)
            return
        known[0].tell(_to_actor.decode(word.payload))

    def _last_words(self, ending: Ending) -> None:
        assert ending.error is not None
        roots = [Path(root) for root in self.boot.own_roots]
        record = crash.record(ending.error, phase=ending.phase, roots=roots, in_hand=ending.in_hand)
        self.log.error("crashed", actor=ending.name, phase=ending.phase, traceback=record.traceback)
        self._tell_root(link.NodeCrashed(record=record))
