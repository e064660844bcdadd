"""The one door: all an actor may know of the world. What is behind it: supervisor/runtime/transaction.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Protocol, TypeVar

from supervisor.message import Envelope, Message

M = TypeVar("M", bound=Message)


class Context(Protocol):
    """What the host injects as `self.ctx`.

    Effects (`publish`, `send`, `call`) are buffered while a message is handled, committed in one journal transaction
    together with the input's position, then released in order. A crash before the commit leaves nothing; a crash
    after it repeats only the release.
    """

    name: str  # "execution:main"
    incarnation: int  # 1, 2, 3 … of this child; the fence
    rng: Random  # seeded; the only chance in the house

    def now(self) -> float:
        """Seconds since the epoch; in replay the event time of the last delivered message."""

    def monotonic(self) -> float:
        """Seconds for intervals and ages; never goes back."""

    def publish(self, message: Message, *, event_ns: int | None = None, key: str = "") -> None:
        """Say it to all subscribers: EVERY classes are recorded, then sent; LATEST and SYSTEM are sent."""

    def send(self, to: str, message: Message) -> None:
        """Say it to the supervisor: `to` is `"root"`, anything else raises `NoRoute`. For actors, `publish`."""

    def call(self, effect: Callable[..., None], *args: Any) -> None:
        """Ask a port to act, after the commit: `ctx.call(self.venue.submit, order)`."""

    def after(self, delay_s: float, message: Message) -> None:
        """Put `message` into my own inbox after `delay_s`. Timers die with the incarnation."""

    def recall(self, *kinds: type[M]) -> Iterator[M]:
        """What the house has recorded of these EVERY classes, oldest first per sender: my own and all senders'."""

    def post(self, message: Message) -> None:
        """A port's way into my own inbox, from any thread. LATEST classes conflate by key; others keep order."""

    def progress(self, mark: str) -> None:
        """Useful work was done: the function witness, and what earns an immediate restart."""

    def lease(self, seconds: float, why: str = "") -> None:
        """Long work begins that may look like a hang: until then a silent loop is busy. 0 ends it, an hour is most."""

    def outcome(self, dependency: str, error: BaseException | str | None = None) -> None:
        """A real call to this dependency (`ChildSpec.depends`) ended well, or with this error. From any thread."""

    def ready(self) -> None:
        """Say ready later than `init` (see `Actor.ready_after_init`)."""

    def monitor(self, name: str) -> int:
        """Hear of the end of the incarnation that the child `name` has now: exactly one `system.Down` with this token.

        At once when it is down or nobody is called so. For its next incarnation monitor it again.
        """

    def demonitor(self, token: int) -> None:
        """From now on no `Down` with this token, not even one that waits in the inbox. An unknown token is nothing."""

    def phase_done(self, phase: str) -> None:
        """My part of this shutdown phase is done (see `system.PhaseBegun`)."""

    def envelope(self) -> Envelope:
        """The envelope of the message in hand: sender, times, trace. Only inside `handle`, for wired messages."""
