"""The evidence log: everything the judge was told, as it was told, so that it can be judged again elsewhere.

The picture: a flight recorder that writes down the dials, not the pilot's opinion of them. Per tick of the root one
`Tick`; per look at a child one `Looked`; per judgement one `Judged`, with all evidence but the two folds (history and
observer) that follow from the ticks and looks before it; ends, supervision and actions as they come. `rebuild` folds
them again: with the frames as they are it gives exactly what the judge saw, with frames that the reader has changed
(times shaken, looks left out) what it would have seen.

A file is a row of frames: four bytes of length, little-endian, then one MessagePack word. It is bounded and buffered; a
last frame cut off by the end of the writer is no fault. Written only when `Plan.evidence_log` names a file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from supervisor.events import Supervision
from supervisor.verdict import SEEDS, Evidence, History, Look, Observer, Verdict
from supervisor.words import ExitReason

VERSION = 1
BYTES_MOST = 1 << 30
BUFFER = 1 << 20
FLUSH_EVERY_S = 0.5
FRAME_MOST = 1 << 24


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of what stands in the log. All times are CLOCK_MONOTONIC seconds of the machine that wrote it."""


class Began(Frame, frozen=True, kw_only=True):
    """The first frame."""

    version: int = VERSION
    at: float
    wall: float  # seconds since the epoch at `at`
    time_scale: float = 1.0
    children: tuple[str, ...] = ()


class Tick(Frame, frozen=True, kw_only=True):
    """The observer's own tick: when it was due, when it came, how long the machine was asleep since the last one."""

    due: float
    now: float
    asleep_s: float = 0.0


class Looked(Frame, frozen=True, kw_only=True):
    """A look that was folded into this child's history."""

    name: str
    look: Look


class Judged(Frame, frozen=True, kw_only=True):
    """One judgement. `evidence` is without history and observer; `verdict` is what stood after the correlation."""

    at: float
    evidence: Evidence
    verdict: Verdict


class Exited(Frame, frozen=True, kw_only=True):
    """An incarnation's end, when the root heard of it."""

    at: float
    name: str
    incarnation: int
    reason: ExitReason
    worked: bool = False


class Happened(Frame, frozen=True, kw_only=True):
    """The tree did something: starting, ready, restarting, quarantined …"""

    record: Supervision


class Acted(Frame, frozen=True, kw_only=True):
    """What was done about a verdict, in words."""

    at: float
    name: str
    incarnation: int
    verdict: Verdict
    done: str


class Full(Frame, frozen=True, kw_only=True):
    """The bound was reached; what came later is not here."""

    at: float


Anything = Began | Tick | Looked | Judged | Exited | Happened | Acted | Full
_encode = msgspec.msgpack.Encoder().encode
_decode: Any = msgspec.msgpack.Decoder(Anything).decode


class Recorder:
    """The writer; used by the root's loop. A full disk ends the log, never the root: `fault` says why."""

    def __init__(self, path: Path, children: tuple[str, ...], time_scale: float = 1.0, most: int = BYTES_MOST) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=BUFFER)
        self._left = most - len(_encode(Full(at=0.0))) - 4  # its own end fits, too
        self._flush_at = 0.0
        self.fault = ""
        self.write(Began(at=time.monotonic(), wall=time.time(), time_scale=time_scale, children=children))

    def write(self, frame: Frame) -> None:
        """Append one frame, or nothing once the log has ended."""
        if self._left <= 0:
            return
        packet = _encode(frame)
        self._left -= len(packet) + 4
        if self._left <= 0:
            packet, self.fault = _encode(Full(at=time.monotonic())), "the evidence log has reached its bound"
        try:
            self._file.write(len(packet).to_bytes(4, "little") + packet)
            if self._left <= 0:
                self._file.flush()
        except (OSError, ValueError) as error:
            self._left, self.fault = 0, f"the evidence log cannot be written: {error}"

    def judged(self, at: float, evidence: Evidence, verdict: Verdict) -> None:
        bare = msgspec.structs.replace(evidence, history=History(), observer=Observer())
        self.write(Judged(at=at, evidence=bare, verdict=verdict))

    def flush(self, now: float) -> None:
        """To the page cache at most twice a second: a root that is killed loses no more than that."""
        if now >= self._flush_at and self._left > 0:
            self._flush_at = now + FLUSH_EVERY_S
            try:
                self._file.flush()
            except OSError as error:
                self._left, self.fault = 0, f"the evidence log cannot be written: {error}"

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self.fault = f"the evidence log cannot be closed: {error}"


def read(path: Path) -> Iterator[Anything]:
    """All whole frames, in the order written.

    Raises:
        ValueError: this is no evidence log, or one of another version.
    """
    with path.open("rb") as file:
        first = True
        while len(head := file.read(4)) == 4:
            size = int.from_bytes(head, "little")
            if size > FRAME_MOST:
                raise ValueError(f"{path} is no evidence log: a frame of {size} bytes")
            packet = file.read(size)
            if len(packet) < size:
                return
            try:
                frame: Anything = _decode(packet)
            except msgspec.DecodeError as error:
                raise ValueError(f"{path} is no evidence log of version {VERSION}: {error}") from error
            if first and not (isinstance(frame, Began) and frame.version == VERSION):
                raise ValueError(f"{path} is no evidence log of version {VERSION}")
            first = False
            yield frame


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement with all its evidence. `tick` counts the ticks: what was judged in one is correlated together."""

    tick: int
    at: float
    evidence: Evidence
    verdict: Verdict  # the one recorded


def rebuild(frames: Iterable[Anything]) -> Iterator[Moment]:
    """The judgements of these frames with history and observer folded anew."""
    observer, timing, histories, tick = Observer(), SEEDS, dict[str, History](), 0
    for frame in frames:
        match frame:
            case Began(time_scale=scale):
                timing = SEEDS.scaled(scale)
            case Tick(due=due, now=now, asleep_s=asleep_s):
                observer, tick = observer.tick(due, now, asleep_s=asleep_s, timing=timing), tick + 1
            case Looked(name=name, look=look):
                histories[name] = histories.get(name, History()).add(look, timing)
            case Judged(at=at, evidence=bare, verdict=verdict):
                history = histories.get(bare.name, History())
                evidence = msgspec.structs.replace(bare, history=history, observer=observer)
                yield Moment(tick=tick, at=at, evidence=evidence, verdict=verdict)
            case _:
                pass
