"""A node's life, played once by a spare before it is somebody: log, sockets, vitals page, a thread with an actor in it.

A fork shares its parent's pages until it writes to them, and then pays for each one; the first life of a process
therefore costs twice what the second does (measured: 10 ms of CPU for a model's node, 5 after a rehearsal). Nothing of
the play stays but the warmth: its files, its sockets and its thread are gone when it is over.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from supervisor.actor import Actor
from supervisor.evidence import vitals
from supervisor.message import Message, Provenance
from supervisor.plan import NodeBoot, Route
from supervisor.runtime import bus, log
from supervisor.runtime.hosted import Hosted, Stage
from supervisor.spec import ActorStart

NAME = "spare"
LONGEST_S = 5.0  # it takes 20 ms


class Rehearsed(Message, frozen=True, kw_only=True):
    """A word into the empty house."""


class Player(Actor):
    """Says one word."""

    subscribes = (Rehearsed,)
    publishes = (Rehearsed,)

    def init(self) -> None:
        self.ctx.publish(Rehearsed())
        self.ctx.progress("rehearsed")

    def handle(self, message: Message) -> None:
        """Its own word, if the socket was quick enough."""


def rehearse(home: Path) -> None:
    """Once, in a process that will not fork again: the play has threads. `home` is made for it, and removed."""
    home.mkdir(parents=True, exist_ok=True)  # a spare that was killed in its play has left one
    try:
        player = ActorStart(name=NAME, path=f"{__name__}:{Player.__name__}")
        endpoint = f"ipc://@qt-{NAME}-{os.getpid()}"  # a name without a file
        boot = NodeBoot(
            name=NAME,
            incarnation=0,
            actors=(player,),
            routes=(Route(sender=NAME, endpoint=endpoint, topics=(Rehearsed.__name__,)),),
            endpoint=endpoint,
            home=str(home),
            provenance=Provenance.SYNTHETIC,
            seed=0,
            own_roots=(),
        )
        ready = threading.Event()
        logger = log.configure(home, NAME)
        context = bus.context()
        publisher = bus.Publisher(context, endpoint)
        stage = Stage(
            boot=boot,
            context=context,
            publisher=publisher,
            ask_root=lambda name, payload: None,
            ready=lambda name, incarnation: ready.set(),
            ended=lambda ending: ready.set(),
            answer=lambda word: None,
            complain=logger.warning,
        )
        page = vitals.Page(home / vitals.file_name(NAME), 0, (NAME,))
        hosted = Hosted(stage, player, 0, page.slots[NAME], boot.routes)
        ready.wait(LONGEST_S)
        hosted.stop("the rehearsal is over")
        hosted.host.thread.join(LONGEST_S)
        hosted.close()
        publisher.close()
        context.destroy(linger=0)
    finally:
        shutil.rmtree(home, ignore_errors=True)
