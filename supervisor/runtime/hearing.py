"""What an actor hears: which frames are to be handled, in which order, exactly once. The clerk's in-tray.

EVERY inputs are heard in order: a hole in the sequence (a socket dropped, a publisher or we restarted) is refilled from
the sender's journal before the newer message is handled, a repeat is dropped. Of LATEST and SYSTEM words those from a
previous life of their sender are never acted on. The out-tray is transaction.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.message import Delivery, Envelope, Message
from supervisor.plan import Route
from supervisor.runtime import journal as journals
from supervisor.runtime.codec import BadFrame, Decoder
from supervisor.runtime.journal import JournalReader


class Marks(Message, frozen=True, kw_only=True):
    """How far a sender's EVERY topics have come, said twice a second: even a lost last message is noticed."""

    delivery = Delivery.SYSTEM

    last: dict[str, int]


class Hearing:
    """Of one incarnation, used by its thread. `newly` holds the positions that the next commit has to record."""

    def __init__(
        self,
        name: str,
        kinds: tuple[type[Message], ...],
        routes: tuple[Route, ...],
        journals_dir: Path,
        positions: dict[tuple[str, str], int],
        complain: Callable[[str], None],
    ) -> None:
        self._name, self._journals_dir, self._complain = name, journals_dir, complain
        self._decoder = Decoder((*kinds, Marks))
        self._every = {kind.__name__ for kind in kinds if kind.delivery is Delivery.EVERY}
        self._sources = {(route.sender, topic) for route in routes for topic in route.topics if topic in self._every}
        self._readers: dict[str, JournalReader] = {}
        self._heard = dict(positions)
        self._fences: dict[str, int] = {}  # newest incarnation heard of each sender
        self.newly: dict[tuple[str, str], int] = {}
        self.poison: frozenset[str] = frozenset()  # set aside by the root: "sender:Class:seq"
        self.refused = 0
        self.lost = 0

    def hear(self, frame: bytes) -> Sequence[Envelope]:
        """What to handle because of this frame, in order: usually one, none for a repeat, more after a hole."""
        try:
            envelope = self._decoder.decode(frame)
        except BadFrame as error:
            self.refused += 1
            if self.refused <= 10 or self.refused % 1000 == 0:
                self._complain(f"{self._name}: {error} ({self.refused} refused so far)")
            return ()
        body = envelope.body
        delivery = body.delivery
        if delivery is Delivery.LATEST:
            newest = self._fences.get(envelope.sender, 0)
            if envelope.incarnation == newest:
                return (envelope,)
            if envelope.incarnation < newest:
                return ()  # a message from a previous life
            self._fences[envelope.sender] = envelope.incarnation
            return (envelope,)
        if type(body) is Marks:
            return self._catch_up_to(envelope.sender, body.last)
        if delivery is Delivery.EVERY:
            name = type(body).__name__
            last = self._heard.get((envelope.sender, name), 0)
            if envelope.seq <= last:
                return ()
            if envelope.seq == last + 1:
                return (envelope,)
            return (*self._refill(envelope.sender, name, last, envelope.seq - 1), envelope)
        if envelope.incarnation < self._fences.get(envelope.sender, 0):
            return ()  # SYSTEM words of a previous life count as little as its LATEST ones
        self._fences[envelope.sender] = envelope.incarnation
        return (envelope,)

    def catch_up(self) -> list[Envelope]:
        """Everything recorded by the senders in the address book that was not handled yet: called once after `init`."""
        envelopes: list[Envelope] = []
        for sender, topic in sorted(self._sources):
            envelopes += self._refill(sender, topic, self._heard.get((sender, topic), 0), None)
        envelopes.sort(key=lambda e: e.sent_ns)
        return envelopes

    def is_fresh(self, envelope: Envelope) -> bool:
        """False for an EVERY message that was handled meanwhile (caught up twice), and for one that kills."""
        body = envelope.body
        if body.delivery is not Delivery.EVERY:
            return True
        key = (envelope.sender, type(body).__name__)
        if self.poison and f"{key[0]}:{key[1]}:{envelope.seq}" in self.poison:
            self._complain(f"{self._name} does not get {key[1]} {envelope.seq} of {key[0]}: earlier lives died of it")
            self.handled(envelope)
            return False
        return bool(envelope.seq > self._heard.get(key, 0))

    def handled(self, envelope: Envelope) -> None:
        """An EVERY message is done; its position will be part of the next commit."""
        key = (envelope.sender, type(envelope.body).__name__)
        self._heard[key] = envelope.seq
        self.newly[key] = envelope.seq

    def position(self, path: Path, topic: str) -> int | None:
        """How far this journal's words on a topic were handled; None when it is not one that has to be heard."""
        if topic in self._every:
            for sender, heard_topic in self._sources:
                if heard_topic == topic and journals.file_name(sender) == path.name:
                    return self._heard.get((sender, topic), 0)
        return None

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()

    # ------------------------------------------------------------------ holes

    def _reader(self, sender: str) -> JournalReader:
        reader = self._readers.get(sender)
        if reader is None:
            reader = self._readers[sender] = JournalReader(self._journals_dir / journals.file_name(sender))
        return reader

    def _catch_up_to(self, sender: str, last: dict[str, int]) -> list[Envelope]:
        envelopes: list[Envelope] = []
        for topic, seq in last.items():
            if (sender, topic) in self._sources and seq > self._heard.get((sender, topic), 0):
                envelopes += self._refill(sender, topic, self._heard.get((sender, topic), 0), seq)
        return envelopes

    def _refill(self, sender: str, topic: str, after: int, until: int | None) -> list[Envelope]:
        envelopes: list[Envelope] = []
        expected = after + 1
        position = after
        while until is None or position < until:
            records = self._reader(sender).since(topic, position, 1000)
            for said in records:
                if until is not None and said.seq > until:
                    break
                if said.seq != expected:
                    self._report_lost(sender, topic, expected, said.seq - 1)
                try:
                    envelopes.append(self._decoder.decode(said.frame))
                except BadFrame as error:
                    self.refused += 1
                    self._complain(f"{self._name}: recorded {topic} {said.seq} of {sender}: {error}")
                expected = said.seq + 1
            if not records or records[-1].seq <= position:
                break
            position = records[-1].seq
        if until is not None and expected <= until:
            self._report_lost(sender, topic, expected, until)
        return envelopes

    def _report_lost(self, sender: str, topic: str, first: int, last: int) -> None:
        self.lost += last - first + 1
        self._complain(
            f"{self._name}: {topic} {first} to {last} of {sender} are neither on the wire nor in its journal; "
            "state built on them is incomplete: qt journal verify"
        )
