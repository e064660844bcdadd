"""The only room that knows pykka: one `ThreadingActor` that runs one of our callback actors.

pykka's traps are closed here (all measured): a failing `on_start` calls no hook; `SystemExit` in one actor stops all; a
stop waits behind the backlog; the inbox is unbounded; "not alive" is not "gone". So: our own inbox, every
`BaseException` recorded with its traceback and contained, and death is the end of the thread, not a flag.

All code of others runs in the actor's own thread, its import and its construction too: whoever starts a host neither
waits for it nor catches its errors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pykka

from supervisor.actor import Actor
from supervisor.evidence import vitals
from supervisor.message import Delivery, Envelope, Message
from supervisor.runtime.inbox import Batch, Inbox
from supervisor.runtime.transaction import Transaction
from supervisor.system import Down


class Ending(NamedTuple):
    """How an actor's thread ended: asked (`error` is None) or not."""

    name: str
    phase: str
    error: BaseException | None
    in_hand: str
    incarnation: int = 0


class Cast(NamedTuple):
    """An actor ready for its `init`."""

    actor: Actor
    arguments: dict[str, Any]
    transaction: Transaction


class _Turn(NamedTuple):
    """What pykka's loop expects of an inbox: something with a message and nobody to reply to."""

    message: Batch
    reply_to: None = None


class _Lane:
    """Shows our inbox to pykka under its protocol; `put` is pykka's own road (`ref.stop`) and leads to ours."""

    def __init__(self) -> None:
        self.inbox: Inbox | None = None

    def get(self) -> _Turn:
        assert self.inbox is not None
        return _Turn(self.inbox.get())

    def put(self, envelope: Any) -> None:
        del envelope  # `tell` and `ask` have no user here; only pykka's stop arrives this way
        assert self.inbox is not None
        self.inbox.stop("pykka stop")

    def empty(self) -> bool:
        return True


class Host(pykka.ThreadingActor):
    """Runs what `build` makes until it is asked to stop or raises; tells `ended` exactly once, as the last act of its
    thread. `phase` may be read by any thread: it says how far one that will not end has come."""

    _tx: Transaction
    _actor: Actor
    thread: threading.Thread

    def __init__(
        self,
        name: str,
        incarnation: int,
        build: Callable[[], Cast],
        inbox: Inbox,
        slot: vitals.Slot,
        ended: Callable[[Ending], None],
    ) -> None:
        super().__init__()
        lane: Any = self.actor_inbox
        lane.inbox = inbox
        self._name, self._incarnation = name, incarnation
        self._build = build
        self._inbox = inbox
        self._dials = slot.words
        self._ended = ended
        self._finished = False
        self._count = 0
        self.phase = "import"
        self._in_hand = ""

    @classmethod
    def run(cls, *arguments: Any) -> Host:
        """What pykka's `start` does; it returns a reference, and we want the thread."""
        host = cls(*arguments)
        pykka.ActorRegistry.register(host.actor_ref)
        host._start_actor_loop()
        return host

    @staticmethod
    def _create_actor_inbox() -> Any:
        return _Lane()

    def _start_actor_loop(self) -> None:
        self.thread = threading.Thread(target=self._actor_loop, name=self._name, daemon=True)
        self.thread.start()

    def on_start(self) -> None:
        """pykka calls no hook when this raises, so nothing may leave it."""
        try:
            self._dials[vitals.STARTED] = time.monotonic_ns()
            self._actor, arguments, self._tx = self._build()
            self.phase = "init"
            self._actor.ctx = self._tx
            self._actor.init(**arguments)
            self._tx.commit()
            if self._actor.ready_after_init:
                self._tx.ready()
            self.phase = "first-work"
            for envelope in self._tx.catch_up():
                if self._inbox.stopping:
                    break
                if self._tx.is_fresh(envelope):
                    self._handle(envelope.body, envelope)
            self._tx.commit()
            self._dials[vitals.IN_HAND_SINCE] = 0
        except BaseException as error:  # noqa: BLE001  contained: SystemExit here would stop every actor of the process
            self._end(error)

    def on_receive(self, message: Any) -> Any:
        """A batch, and all that follow it: pykka's loop between two batches would only lengthen a tick's way."""
        try:
            self._turn(message)
            while not self._finished:
                self._turn(self._inbox.get())
        except BaseException as error:  # noqa: BLE001  see on_start
            self._end(error)

    def _turn(self, batch: Batch) -> None:
        dials = self._dials
        dials[vitals.LOOPS] += 1
        if batch.stop is not None:
            self.phase = "terminate"
            if not self._tx.fenced:
                self._actor.terminate(batch.stop)
                self._tx.commit()
            self._end(None)
            return
        if batch.messages or batch.frames:
            if batch.messages:
                dials[vitals.QUEUED] = len(batch.messages)
                dials[vitals.OLDEST_QUEUED] = time.monotonic_ns()
                for message in batch.messages:
                    if self._inbox.stopping:
                        break
                    if type(message) is not Down or self._tx.monitors.expects(message):
                        self._handle(message, None)
            hear, handle = self._tx.hear, self._handle
            for frame in batch.frames:
                if self._inbox.stopping:
                    break
                for envelope in hear(frame):
                    if envelope.body.delivery is Delivery.LATEST or self._tx.is_fresh(envelope):
                        handle(envelope.body, envelope)
            self._tx.commit()
            dials[vitals.IN_HAND_SINCE] = 0
            if self.phase == "first-work" and dials[vitals.PROGRESS]:
                self.phase = "steady"
            dials[vitals.QUEUED] = self._inbox.depth()
            dials[vitals.OLDEST_QUEUED] = 0
            dials[vitals.DROPPED] = self._inbox.dropped
        self._tx.beat()

    def _handle(self, message: Message, envelope: Envelope | None) -> None:
        dials = self._dials
        dials[vitals.IN_HAND_SINCE] = time.monotonic_ns()
        mark = self._tx.take(envelope)
        try:
            self._actor.handle(message)
        except BaseException:
            self._in_hand = type(message).__name__
            self._tx.discard_from(mark)
            self._tx.commit()  # what was handled before it did happen
            raise
        if envelope is not None and message.delivery is Delivery.EVERY:
            self._tx.handled(envelope)
        self._count += 1
        dials[vitals.HANDLED] = self._count

    def _end(self, error: BaseException | None) -> None:
        if self._finished:
            return
        self._finished = True
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)
        self._ended(Ending(self._name, self.phase, error, self._in_hand, self._incarnation))
