"""Two small tables behind the dials of a vitals page: what was promised and when it last came, and how real calls end.

The picture: beside the dials of a machine hangs a board. One line per declared promise says when its output was last
produced; one line per declared dependency says how the last real call to it went. The actor (or a thread of its port)
writes, anybody reads, and like every dial each value is one aligned word. Whether a promise is broken the judge says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping

import msgspec

from supervisor.message import Message
from supervisor.spec import Dependency, Promise
from supervisor.verdict.fingerprint import DOES, Prior, prior, upstream_cause

ENTRY_WORDS = 16  # 8 values, 8 words of name
NAME_WORD = 8
CONDITIONAL = 1 << 32  # added to the owner of a promise that has a `when`
PRIORS = tuple(Prior)
CHAIN_MOST = 10

P_AT, P_COUNT, P_CHANGED_AT, P_INPUTS, P_INPUTS_THEN, P_INPUT_AT, P_EVERY_MS, P_OWNER = range(8)
D_OK, D_FAILED, D_OK_AT, D_FAILED_AT, D_IN_A_ROW, D_ERROR, D_CAUSE, D_OWNER = range(8)


class PromiseVitals(msgspec.Struct, frozen=True):
    """One reading of one promise. Times are monotonic nanoseconds, 0 for never."""

    actor: str  # whose, or the node's when any of its actors may keep it
    what: str  # topic, or topic and key
    at_ns: int
    count: int
    changed_at_ns: int  # when its content last differed from the one before (only where that was declared)
    inputs: int  # of `when`, in this life
    inputs_then: int  # … when it was last produced
    input_at_ns: int


class DependencyVitals(msgspec.Struct, frozen=True):
    """One reading of one dependency as its user's real calls show it."""

    actor: str
    name: str
    ok: int
    failed: int
    ok_at_ns: int
    failed_at_ns: int
    in_a_row: int  # failures since the last success
    error: str  # of the last failure: a `fingerprint.Prior`
    cause: str = ""  # … and what the dependency did: `fingerprint.upstream_cause`


class Kept:
    """The writer's side of one promise; several actors of a node may share it (then a count may miss one)."""

    __slots__ = ("_last", "promise", "words")

    def __init__(self, promise: Promise, words: memoryview, owner: int) -> None:
        self.promise, self.words = promise, words
        self._last: Message | None = None
        words[P_EVERY_MS] = max(1, round(promise.at_least_every_s * 1000))
        words[P_OWNER] = owner + (CONDITIONAL if promise.when else 0)
        write_text(words, NAME_WORD, 8, f"{promise.topic} {promise.key}".strip())

    def covers(self, topic: str, key: str) -> bool:
        return self.promise.topic == topic and self.promise.key in ("", key)

    def produced(self, message: Message) -> None:
        """It came."""
        words, now_ns = self.words, time.monotonic_ns()
        words[P_COUNT] += 1
        words[P_AT] = now_ns
        words[P_INPUTS_THEN] = words[P_INPUTS]
        if self.promise.changing and message != self._last:
            self._last = message
            words[P_CHANGED_AT] = now_ns

    def came_in(self, now_ns: int) -> None:
        """A message of `when` came in."""
        self.words[P_INPUT_AT] = now_ns
        self.words[P_INPUTS] += 1

    def begin(self) -> None:
        """A new life of its actor in the same node."""
        for word in (P_AT, P_COUNT, P_CHANGED_AT, P_INPUTS, P_INPUTS_THEN, P_INPUT_AT):
            self.words[word] = 0
        self._last = None


class Calls:
    """The writer's side of one dependency; any thread."""

    __slots__ = ("_lock", "words")

    def __init__(self, name: str, words: memoryview, owner: int) -> None:
        self.words = words
        self._lock = threading.Lock()
        words[D_OWNER] = owner
        write_text(words, NAME_WORD, 8, name)

    def ended(self, error: BaseException | str | None) -> None:
        """A real call came back: well (None), or with this error."""
        words, now_ns = self.words, time.monotonic_ns()
        with self._lock:
            if error is None:
                words[D_OK] += 1
                words[D_OK_AT] = now_ns
                words[D_IN_A_ROW] = 0
                return
            chain, message = told_by(error)
            words[D_ERROR] = PRIORS.index(prior(chain, message=message, phase="steady"))
            words[D_CAUSE] = DOES.index(upstream_cause(chain, message))
            words[D_FAILED] += 1
            words[D_IN_A_ROW] += 1
            words[D_FAILED_AT] = now_ns

    def begin(self) -> None:
        with self._lock:
            for word in (D_OK, D_FAILED, D_OK_AT, D_FAILED_AT, D_IN_A_ROW, D_ERROR, D_CAUSE):
                self.words[word] = 0


def told_by(error: BaseException | str) -> tuple[tuple[str, ...], str]:
    """Classes, outermost first, and text of a failed call; a text alone is like that of a class that says nothing."""
    if isinstance(error, str):
        return ("Exception",), error
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and len(names) < CHAIN_MOST:
        names.append(type(current).__qualname__)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  a broken __str__ of somebody's exception is no fault of the call's
        message = ""
    return tuple(names), message


def words_of(promises: Mapping[str, tuple[Promise, ...]], depends: Mapping[str, tuple[Dependency, ...]]) -> int:
    """How many words both tables take in a page."""
    return ENTRY_WORDS * sum(map(len, (*promises.values(), *depends.values())))


def read_promises(entries: Iterable[memoryview], names: tuple[str, ...]) -> list[PromiseVitals]:
    found = []
    for words in entries:
        at, count, changed_at, inputs, inputs_then, input_at, _, owner = words[:NAME_WORD].tolist()
        what = read_text(words, NAME_WORD, 8)
        found.append(
            PromiseVitals(names[owner % CONDITIONAL], what, at, count, changed_at, inputs, inputs_then, input_at)
        )
    return found


def read_dependencies(entries: Iterable[memoryview], names: tuple[str, ...]) -> list[DependencyVitals]:
    found = []
    for words in entries:
        ok, failed, ok_at, failed_at, in_a_row, error, cause, owner = words[:NAME_WORD].tolist()
        told = str(PRIORS[error]) if failed and error < len(PRIORS) else ""
        does = DOES[cause] if failed and cause < len(DOES) else ""
        name = read_text(words, NAME_WORD, 8)
        found.append(DependencyVitals(names[owner], name, ok, failed, ok_at, failed_at, in_a_row, told, does))
    return found


def overdue(words: memoryview, now_ns: int) -> bool:
    """A glance: this promise was not kept in time, as far as its condition holds."""
    at, _, _, inputs, inputs_then, input_at, every_ms, owner = words[:NAME_WORD].tolist()
    if now_ns - at < every_ms * 1_000_000:
        return False
    return owner < CONDITIONAL or (inputs > inputs_then and now_ns - input_at < every_ms * 1_000_000)


def write_text(words: memoryview, at: int, length: int, text: str) -> None:
    """Put a text into words, cut to what fits (on a whole character)."""
    size = length * 8
    raw = text.encode()[:size].decode(errors="ignore").encode().ljust(size, b"\0")
    for i in range(length):
        words[at + i] = int.from_bytes(raw[i * 8 : i * 8 + 8], "little")


def read_text(words: memoryview, at: int, length: int) -> str:
    raw = b"".join(word.to_bytes(8, "little") for word in words[at : at + length].tolist())
    return raw.rstrip(b"\0").decode(errors="replace")
