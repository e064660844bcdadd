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
from supervisor.evidence import tables, vitals
from supervisor.evidence.tables import Kept
from supervisor.evidence.vitals import (
    BUSY,
    DROPPED,
    HAND_SEQ,
    HANDLED,
    IN_HAND_SINCE,
    LOOPS,
    OLDEST_QUEUED,
    OUT,
    PROGRESS,
    QUEUED,
    REPEATS,
    STARTED,
    TIMED,
)
from supervisor.message import Delivery, Envelope, Message
from supervisor.runtime.inbox import Batch, Inbox
from supervisor.runtime.transaction import Transaction
from supervisor.system import CanaryAsked, Down

ANSWER_MOST = 500  # characters of a canary's answer
LAG_NS = 100_000  # the dials of a batch from the wire are at most so old
TIMED_EACH = 15  # a mask: of sixteen turns one is timed
_now_ns = time.monotonic_ns  # the hot path looks nothing up twice


class Ending(NamedTuple):
    """How an actor's thread ended: asked (`error` is None) or not."""

    name: str
    phase: str
    error: BaseException | None
    in_hand: str
    incarnation: int = 0
    in_hand_id: str = ""


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
        """pykka asks this while tearing down: what is left is dropped, its senders' journals have it."""
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
        answered: Callable[[CanaryAsked, str, str], None] | None = None,
    ) -> None:
        super().__init__()
        lane: Any = self.actor_inbox
        lane.inbox = inbox
        self._name, self._incarnation = name, incarnation
        self._build = build
        self._inbox = inbox
        self._dials = slot.words
        self._ended = ended
        self._answered = answered
        self._finished = False
        # What the dials show is counted here, so that the hot path never reads them.
        self._loops = self._count = self._repeats = self._timed = self._busy = self._waiting = self._dropped = 0
        self._out = self._hand = 0
        self._inputs: dict[str, list[Kept]] = {}  # whom a message of this class obliges
        for kept in slot.promises:
            if kept.promise.when:
                self._inputs.setdefault(kept.promise.when, []).append(kept)
        self._previous: object = None  # the last message, or the identity of an EVERY one from the wire
        self._senders: dict[tuple[str, type], memoryview] = {}  # texts for the dial of the message in hand
        self._marked = bool(self._inputs)  # the next message has more to do than to be counted
        self.phase = "import"
        self._in_hand = self._in_hand_id = ""

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
            self._dials[STARTED] = _now_ns()
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
                    self._take(envelope.body, envelope)
            self._tx.commit()
            self._dials[IN_HAND_SINCE] = 0
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
        self._loops = loops = self._loops + 1
        dials[LOOPS] = loops
        if batch.stop is not None:
            self.phase = "terminate"
            if not self._tx.fenced:
                self._actor.terminate(batch.stop)
                self._tx.commit()
            self._end(None)
            return
        if batch.messages or batch.frames:
            before, begun_ns = self._count, 0 if loops & TIMED_EACH else _now_ns()
            if batch.messages:
                if len(batch.messages) > 1:  # behind the one in hand
                    dials[QUEUED] = self._waiting = len(batch.messages)
                    dials[OLDEST_QUEUED] = _now_ns()
                for message in batch.messages:
                    if self._inbox.stopping:
                        break
                    if type(message) is CanaryAsked:
                        self._answer(message)
                    elif type(message) is not Down or self._tx.monitors.expects(message):
                        self._take(message, None)
            if type(batch.frames) is not tuple:
                self._hear_all(batch)
            else:  # a lone one: nothing to be spared
                for frame in batch.frames:
                    for envelope in self._tx.hear(frame):
                        if envelope.body.delivery is Delivery.LATEST or self._tx.is_fresh(envelope):
                            self._take(envelope.body, envelope)
            self._tx.commit()
            dials[IN_HAND_SINCE] = 0
            if begun_ns:
                self._busy += _now_ns() - begun_ns
                self._timed += self._count - before
                dials[BUSY], dials[TIMED] = self._busy, self._timed
            if self.phase == "first-work" and dials[PROGRESS]:
                self.phase = "steady"
            if batch.messages:
                self._show_lane(len(batch.messages) > 1)
        self._tx.beat()
        out = self._tx.out
        if out != self._out:
            dials[OUT] = self._out = out

    def _hear_all(self, batch: Batch) -> None:
        """What came by wire. This is the hot path: the dials follow at most `LAG_NS` behind, so a flood of quick ones
        pays for a look at the clock and no more, and one that takes its time is seen from its beginning."""
        dials, hear, handle, inbox = self._dials, self._tx.hear, self._handle, self._inbox
        count, lag_from_ns, clock, latest = self._count, 0, _now_ns, Delivery.LATEST
        try:
            for frame in batch.frames:
                if inbox.stopping:
                    break
                for envelope in hear(frame):
                    body = envelope.body
                    if body.delivery is latest or self._tx.is_fresh(envelope):
                        now_ns = clock()
                        if now_ns > lag_from_ns:
                            dials[IN_HAND_SINCE] = now_ns
                            dials[HANDLED] = count
                            lag_from_ns = now_ns + LAG_NS
                        handle(body, envelope, now_ns)
                        count += 1
        finally:
            self._count = dials[HANDLED] = count

    def _show_lane(self, several: bool) -> None:
        """What of the posted ones waits now: only a batch with such a message in it can have changed that."""
        dials, waiting, dropped = self._dials, self._inbox.depth(), self._inbox.dropped
        if several:
            dials[OLDEST_QUEUED] = 0
        if waiting != self._waiting:
            dials[QUEUED] = self._waiting = waiting
        if dropped != self._dropped:
            dials[DROPPED] = self._dropped = dropped

    def _take(self, message: Message, envelope: Envelope | None) -> None:
        """One message, with all its dials."""
        dials = self._dials
        dials[IN_HAND_SINCE] = now_ns = _now_ns()
        self._handle(message, envelope, now_ns)
        self._count = count = self._count + 1
        dials[HANDLED] = count

    def _handle(self, message: Message, envelope: Envelope | None, now_ns: int) -> None:
        every = None
        if envelope is None:
            if message is self._previous:
                self._repeats += 1
                self._marked = True
                self._dials[REPEATS] = self._repeats
            else:
                self._previous = message
                if self._marked:
                    self._unmark(message, now_ns)
        elif message.delivery is Delivery.EVERY:
            every = envelope
            self._in_hand_from(message, envelope, now_ns)
        elif self._marked:
            self._unmark(message, now_ns)
        mark = self._tx.take(envelope)
        try:
            self._actor.handle(message)
        except BaseException:
            self._in_hand = type(message).__name__
            if every is not None:
                self._in_hand_id = f"{every.sender}:{self._in_hand}:{every.seq}"
            self._tx.discard_from(mark)
            self._tx.commit()  # what was handled before it did happen
            raise
        if every is not None:
            self._tx.handled(every)

    def _unmark(self, message: Message, now_ns: int) -> None:
        """What is rarely wanted: an input that obliges is counted, dials that a special message had set are cleared."""
        if self._repeats or self._hand:
            self._repeats = self._hand = 0
            self._dials[REPEATS] = self._dials[HAND_SEQ] = 0
        for kept in self._inputs.get(type(message).__name__, ()):
            kept.came_in(now_ns)
        self._marked = bool(self._inputs)

    def _in_hand_from(self, message: Message, envelope: Envelope, now_ns: int) -> None:
        """An EVERY message: say which one, for the case that it kills."""
        dials, kind = self._dials, type(message)
        identity = (envelope.sender, kind, envelope.seq)
        if identity == self._previous:
            self._repeats += 1
            dials[REPEATS] = self._repeats
        elif self._repeats:
            dials[REPEATS] = self._repeats = 0
        self._previous = identity
        text = self._senders.get(identity[:2])
        if text is None:
            text = memoryview(bytearray(vitals.TEXT_WORDS * 8)).cast("Q")
            tables.write_text(text, 0, vitals.TEXT_WORDS, f"{envelope.sender}:{kind.__name__}")
            self._senders[identity[:2]] = text
        dials[vitals.HAND_WORD : vitals.HAND_WORD + vitals.TEXT_WORDS] = text
        dials[HAND_SEQ] = self._hand = envelope.seq
        for kept in self._inputs.get(kind.__name__, ()):
            kept.came_in(now_ns)
        self._marked = True

    def _answer(self, asked: CanaryAsked) -> None:
        """The question goes the way of a message; what it puts into the tray never happened, what it raises is told."""
        self._dials[IN_HAND_SINCE] = _now_ns()
        mark = self._tx.take(None)
        answer = error = ""
        try:
            answer = str(self._actor.canary(asked.name))[:ANSWER_MOST]
        except Exception as raised:  # noqa: BLE001  a wrong answer, and told as one
            error = f"{type(raised).__name__}: {raised}"[:ANSWER_MOST]
        finally:
            self._tx.discard_from(mark)
        if self._answered is not None:
            self._answered(asked, answer, error)

    def _end(self, error: BaseException | None) -> None:
        if self._finished:
            return
        self._finished = True
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)
        self._ended(Ending(self._name, self.phase, error, self._in_hand, self._incarnation, self._in_hand_id))
