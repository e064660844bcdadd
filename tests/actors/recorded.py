"""A context that records: what an actor publishes, sends, calls and sets timers for, as lists. One actor, one thread.

It keeps the rules of the real one that actors lean on: effects of a handler are released only when it returns (`call`
runs then), LATEST words posted by ports conflate by key, timers fire by a clock the test moves.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar

from supervisor.actor import Actor
from supervisor.message import Delivery, Envelope, Message

M = TypeVar("M", bound=Message)


class RecordedContext:
    """Implements `supervisor.context.Context` over lists; `recall` gives `history`, then own publications."""

    def __init__(self, name: str = "actor:test", history: tuple[Message, ...] = ()) -> None:
        self.name = name
        self.incarnation = 1
        self.rng = Random(7)
        self.history = list(history)
        self.published: list[Message] = []
        self.sent: list[tuple[str, Message]] = []
        self.marks: list[str] = []
        self.phases_done: list[str] = []
        self.leases: list[tuple[float, str]] = []
        self.outcomes: list[tuple[str, BaseException | str | None]] = []
        self.is_ready = False
        self.offset_s = 0.0  # moves both clocks
        self.stopped_at: float | None = None  # a test may stop the clocks
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._timers: list[tuple[float, int, Message]] = []
        self._lock = threading.Condition()
        self._latest: dict[tuple[type, str], Message] = {}
        self._kept: deque[Message] = deque()

    def now(self) -> float:
        return (time.time() if self.stopped_at is None else self.stopped_at) + self.offset_s

    def monotonic(self) -> float:
        return (time.monotonic() if self.stopped_at is None else self.stopped_at) + self.offset_s

    def publish(self, message: Message, *, event_ns: int | None = None, key: str = "") -> None:
        self.published.append(message)

    def send(self, to: str, message: Message) -> None:
        self.sent.append((to, message))

    def call(self, effect: Callable[..., None], *args: Any) -> None:
        self._calls.append((effect, args))

    def after(self, delay_s: float, message: Message) -> None:
        self._timers.append((self.monotonic() + delay_s, len(self._timers), message))

    def recall(self, *kinds: type[M]) -> Iterator[M]:
        recorded = (m for m in [*self.history, *self.published] if m.delivery is Delivery.EVERY)
        return (m for m in list(recorded) if isinstance(m, kinds))

    def post(self, message: Message) -> None:
        with self._lock:
            if message.delivery is Delivery.LATEST:
                self._latest[type(message), message.key()] = message
            else:
                self._kept.append(message)
            self._lock.notify()

    def progress(self, mark: str) -> None:
        self.marks.append(mark)

    def lease(self, seconds: float, why: str = "") -> None:
        self.leases.append((seconds, why))

    def outcome(self, dependency: str, error: BaseException | str | None = None) -> None:
        self.outcomes.append((dependency, error))

    def ready(self) -> None:
        self.is_ready = True

    def monitor(self, name: str) -> int:
        raise NotImplementedError("no actor tested here monitors another")

    def demonitor(self, token: int) -> None:
        raise NotImplementedError("no actor tested here monitors another")

    def phase_done(self, phase: str) -> None:
        self.phases_done.append(phase)

    def envelope(self) -> Envelope:
        raise NotImplementedError("no actor tested here reads its envelope")

    # --- the test's side ---

    def of(self, kind: type[M]) -> list[M]:
        """Everything of this class that was published, in order."""
        return [m for m in self.published if isinstance(m, kind)]

    def release(self) -> None:
        """Do what the handler asked of ports: what the host does after the commit."""
        calls, self._calls = self._calls, []
        for effect, args in calls:
            effect(*args)

    def next(self, timeout_s: float) -> Message | None:
        """The next due timer or posted message; None when nothing came in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            for timer in sorted(self._timers):
                if timer[0] <= self.monotonic():
                    self._timers.remove(timer)
                    return timer[2]
            with self._lock:
                if self._kept:
                    return self._kept.popleft()
                if self._latest:
                    return self._latest.pop(next(iter(self._latest)))
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._lock.wait(min(left, 0.02))


def start(actor: Actor, ctx: RecordedContext, **arguments: Any) -> None:
    """What the host does first: inject the context, `init`, release."""
    actor.ctx = ctx
    actor.init(**arguments)
    ctx.release()


def give(actor: Actor, ctx: RecordedContext, *messages: Message) -> list[Message]:
    """Handle these messages, one transaction each; what was published by them."""
    before = len(ctx.published)
    for message in messages:
        actor.handle(message)
        ctx.release()
    return ctx.published[before:]


def run_until(actor: Actor, ctx: RecordedContext, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Turn the actor's loop until `done()`; an assertion error after the deadline, telling what was published last."""
    deadline = time.monotonic() + timeout_s
    while not done():
        message = ctx.next(0.05)
        if message is not None:
            give(actor, ctx, message)
        assert time.monotonic() < deadline, f"not done in {timeout_s} s; last published: {ctx.published[-3:]}"
