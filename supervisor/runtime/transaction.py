"""A handled message is a transaction: this is the `ctx` an actor holds, and the commit behind it.

The picture: a clerk with an out-tray. While a message is handled, everything the actor says or asks of a port lies in
the tray. At the end of a batch the tray's EVERY messages and the positions of the inputs go to disk in one commit, and
only then the tray is emptied onto the wire. If the handler raises, its own part of the tray is thrown away, the parts
of the messages before it are committed, and the incarnation ends. What was sent twice because of a crash between commit
and sending, receivers drop by (sender, topic, sequence). An actor that only turns LATEST into LATEST has no journal and
no tray worth the name: such messages leave at once.

What is heard, and in which order, is hearing.py: the in-tray.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec

from supervisor.evidence import vitals
from supervisor.evidence.tables import Kept
from supervisor.message import SCHEMA, Delivery, Envelope, Message, Provenance
from supervisor.plan import Route
from supervisor.runtime.bus import Publisher
from supervisor.runtime.codec import Decoder, encode
from supervisor.runtime.hearing import Hearing, Marks
from supervisor.runtime.inbox import Inbox
from supervisor.runtime.journal import Journal, JournalReader, Said
from supervisor.runtime.watching import Watching
from supervisor.system import PhaseDone

M = TypeVar("M", bound=Message)
MARKS_EVERY_S = 0.5
TOPICS_MOST = 10_000
LEASE_MOST_S = 3600.0  # longer work is cut, or marks its progress
UNDECLARED_MOST = 100
DOOR = ("publish", "send", "call", "after", "post", "progress", "lease", "outcome")
DOOR_OF_LIFE = ("ready", "monitor", "phase_done", "beat")


class Fenced(BaseException):
    """This incarnation was given up while its thread still ran: nothing it says or does counts any more.

    No `Exception`, so that no handler of the actor's own takes it for a fault to be lived with.
    """


class NoRoute(RuntimeError):
    """A message to somebody who is not in the address book."""


class Effect(msgspec.Struct, frozen=True):
    """One thing in the tray: a frame to send, or a call to a port."""

    topic: str = ""
    seq: int = 0
    at_ns: int = 0
    frame: bytes = b""
    recorded: bool = False
    call: Callable[..., None] | None = None
    arguments: tuple[Any, ...] = ()


class _Topic(msgspec.Struct, frozen=True):
    """What stays the same between two messages of one class and key. `count` is shared by all keys of the class."""

    name: str
    prefix: bytes
    every: bool
    count: list[int]
    promised: tuple[Kept, ...] = ()


class Transaction:
    """Implements `supervisor.context.Context` for one incarnation; used by the actor's own thread except `post`."""

    def __init__(
        self,
        *,
        name: str,
        incarnation: int,
        provenance: Provenance,
        replay: bool,
        rng: Random,
        inbox: Inbox,
        publisher: Publisher,
        journal: Journal | None,
        journals_dir: Path,
        routes: tuple[Route, ...],
        kinds: tuple[type[Message], ...],
        slot: vitals.Slot,
        ask_root: Callable[[str, bytes], None],
        say_ready: Callable[[], None],
        complain: Callable[[str], None],
        tokens_after: int = 0,
    ) -> None:
        self.name = name
        self.incarnation = incarnation
        self.rng = rng
        self._provenance = provenance
        self._replay = replay
        self._inbox = inbox
        self._send = publisher.send
        self._journal = journal
        self._journals_dir = journals_dir
        self._slot, self._dials = slot, slot.words
        self._complain = complain
        self._undeclared: set[str] = set()
        self._ask_root = ask_root
        self._say_ready = say_ready
        self.monitors = Watching(name, tokens_after)
        self._sequences: dict[str, int] = dict(journal.sequences) if journal else {}
        self.hearing = Hearing(name, kinds, routes, journals_dir, journal.positions if journal else {}, complain)
        self.hear, self.handled = self.hearing.hear, self.hearing.handled
        self.catch_up, self.is_fresh = self.hearing.catch_up, self.hearing.is_fresh
        self._counts: dict[str, list[int]] = {}  # LATEST and SYSTEM classes: sequence of this incarnation
        self._topics: dict[tuple[type[Message], str], _Topic] = {}
        self._tray: list[Effect] = []
        self._hand: Envelope | None = None
        self._event_ns = 0
        self._traces = 0
        self.out = 0
        self._marks_due = 0.0
        self.fenced = False

    # ------------------------------------------------------------------ the door (see context.py for the meaning)

    def now(self) -> float:
        if self._replay and self._event_ns:
            return self._event_ns / 1e9
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def publish(self, message: Message, *, event_ns: int | None = None, key: str = "") -> None:
        at = (type(message), key or message.key())
        topic = self._topics.get(at) or self._new_topic(*at)
        sent_ns = time.time_ns()
        if event_ns is None:
            event_ns = self._event_ns or sent_ns
        if topic.promised:
            for kept in topic.promised:
                kept.produced(message)
        if topic.every:
            self._record(topic, message, event_ns, sent_ns)
            return
        count = topic.count
        count[0] += 1
        hand = self._hand
        frame = encode(
            topic.prefix,
            Envelope(
                SCHEMA,
                self.name,
                self.incarnation,
                count[0],
                event_ns,
                sent_ns,
                self._provenance,
                hand.trace if hand is not None else "",
                "",
                message,
            ),
        )
        if self._tray:  # keep the order of what was said
            self._tray.append(Effect(frame=frame))
        else:
            self._send(frame)
            self.out += 1

    def _new_topic(self, kind: type[Message], key: str) -> _Topic:
        if len(self._topics) >= TOPICS_MOST:
            raise ValueError(
                f"{self.name} publishes {kind.__name__} under more than {TOPICS_MOST} keys; keys name instruments"
            )
        name = kind.__name__
        topic = _Topic(
            name=name,
            prefix=f"{name}:{key}".encode(),
            every=kind.delivery is Delivery.EVERY,
            count=self._counts.setdefault(name, [0]),
            promised=tuple(kept for kept in self._slot.promises if kept.covers(name, key)),
        )
        self._topics[kind, key] = topic
        return topic

    def _record(self, topic: _Topic, message: Message, event_ns: int, sent_ns: int) -> None:
        name, hand = topic.name, self._hand
        if self._journal is None:
            raise NoRoute(f"{self.name} publishes {name}, which is EVERY, but does not declare it in `publishes`")
        seq = self._sequences.get(name, 0) + 1
        self._sequences[name] = seq
        trace, causation = "", ""
        if hand is not None:
            trace, causation = hand.trace, f"{hand.sender}:{type(hand.body).__name__}:{hand.seq}"
        if not trace:
            self._traces += 1
            trace = f"{self.name}-{self.incarnation}-{self._traces}"
        frame = encode(
            topic.prefix,
            Envelope(
                SCHEMA,
                self.name,
                self.incarnation,
                seq,
                event_ns,
                sent_ns,
                self._provenance,
                trace,
                causation,
                message,
            ),
        )
        self._tray.append(Effect(topic=name, seq=seq, at_ns=sent_ns, frame=frame, recorded=True))

    def send(self, to: str, message: Message) -> None:
        if to != "root":
            raise NoRoute(
                f"{self.name} sends {type(message).__name__} to {to!r}; only the root can be told directly, publish it"
            )
        self._tell_root(message)

    def _tell_root(self, message: Message) -> None:
        payload = msgspec.msgpack.encode(message)
        self._tray.append(Effect(call=self._ask_root, arguments=(type(message).__name__, payload)))

    def call(self, effect: Callable[..., None], *args: Any) -> None:
        self._tray.append(Effect(call=effect, arguments=args))

    def after(self, delay_s: float, message: Message) -> None:
        self._inbox.after(delay_s, message)

    def post(self, message: Message) -> None:
        self._inbox.post(message)

    def progress(self, mark: str) -> None:
        del mark  # the dial says that and when; what it was, the outputs say
        dials = self._dials
        dials[vitals.LAST_PROGRESS] = time.monotonic_ns()
        dials[vitals.PROGRESS] += 1

    def lease(self, seconds: float, why: str = "") -> None:
        if not 0 <= seconds <= LEASE_MOST_S:
            raise ValueError(
                f"{self.name}: a lease of {seconds!r} s; it must be 0 to {LEASE_MOST_S:g}, work on in parts"
            )
        self._slot.lease(time.monotonic_ns() + round(seconds * 1e9) if seconds else 0, why)

    def outcome(self, dependency: str, error: BaseException | str | None = None) -> None:
        calls = self._slot.calls.get(dependency)
        if calls is not None:
            calls.ended(error)
        elif dependency not in self._undeclared and len(self._undeclared) < UNDECLARED_MOST:
            self._undeclared.add(dependency)
            self._complain(f"{self.name} tells of calls to {dependency!r}, which its spec does not name in `depends`")

    def ready(self) -> None:
        if not self._dials[vitals.READY]:
            self._dials[vitals.READY] = time.monotonic_ns()
            self._say_ready()

    def monitor(self, name: str) -> int:
        asked = self.monitors.add(name)
        self._tell_root(asked)
        return asked.token

    def demonitor(self, token: int) -> None:
        given_up = self.monitors.drop(token)
        if given_up is not None:
            self._tell_root(given_up)

    def phase_done(self, phase: str) -> None:
        self._tell_root(PhaseDone(actor=self.name, phase=phase))

    def envelope(self) -> Envelope:
        if self._hand is None:
            raise RuntimeError(f"{self.name}: there is no envelope outside the handling of a wired message")
        return self._hand

    def recall(self, *kinds: type[M]) -> Iterator[M]:
        """Recorded messages this actor has said, or heard *and handled*; what it has not handled will be delivered."""
        decoder = Decoder(kinds)
        found: list[tuple[int, int, M]] = []
        names = {kind.__name__ for kind in kinds}
        for path in sorted(self._journals_dir.glob("*.db")):
            own = self._journal is not None and path == self._journal.path
            reader = JournalReader(path)
            for topic in names & set(reader.topics()):
                until = None if own else self.hearing.position(path, topic)
                for said in reader.until(topic, until):
                    found.append((said.at_ns, len(found), decoder.decode(said.frame).body))
        found.sort(key=lambda item: item[:2])
        for _, _, message in found:
            yield message

    # ------------------------------------------------------------------ the host's side

    def take(self, envelope: Envelope | None) -> int:
        """Put a message in hand; returns the tray's mark for `discard_from`."""
        self._hand = envelope
        if envelope is not None:
            self._event_ns = envelope.event_ns
        elif not self._replay:
            self._event_ns = 0  # a timer or a port speaks of now
        return len(self._tray)

    def discard_from(self, mark: int) -> None:
        """The handler raised: what it put into the tray never happened."""
        for effect in self._tray[mark:]:
            if effect.recorded:
                self._sequences[effect.topic] -= 1
        del self._tray[mark:]
        self._hand = None

    def fence(self) -> None:
        """From any thread: this incarnation has no effects any more, and its next try to have one raises `Fenced`.

        What costs nothing while there is no fence: the door's methods are replaced, `commit` looks at the flag.
        """
        self.fenced = True
        self._send = self._refuse
        for name in (*DOOR, *DOOR_OF_LIFE):
            setattr(self, name, self._refuse)

    def _refuse(self, *_: object, **__: object) -> Any:
        raise Fenced(
            f"{self.name} incarnation {self.incarnation} is fenced: it was given up while its thread still ran"
        )

    def commit(self) -> None:
        """Make the batch durable, then release its effects in order."""
        if self.fenced:
            self._refuse()
        self._hand = None
        tray = self._tray
        heard = self.hearing.newly
        if self._journal is not None and (heard or tray):
            said = [Said(e.topic, e.seq, e.at_ns, e.frame) for e in tray if e.recorded]
            if said or heard:
                self._journal.commit(said, heard)
                self.hearing.newly = {}
        if not tray:
            return
        self._tray = []
        sent = 0
        for effect in tray:
            if effect.call is not None:
                if self.fenced:  # the port's call before this one hung
                    self._refuse()
                effect.call(*effect.arguments)
            else:
                self._send(effect.frame)
                sent += 1
        self.out += sent

    def beat(self) -> None:
        """Called by the host every turn of its loop: says how far the EVERY topics have come."""
        now = time.monotonic()
        if now < self._marks_due or self._journal is None or not self._sequences:
            return
        self._marks_due = now + MARKS_EVERY_S
        now_ns = time.time_ns()
        marks = Marks(last=dict(self._journal.sequences))
        self._send(
            encode(
                b"Marks:",
                Envelope(SCHEMA, self.name, self.incarnation, 0, now_ns, now_ns, self._provenance, "", "", marks),
            )
        )

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self.hearing.close()
