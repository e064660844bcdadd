"""What the actors ask of their ports, one Protocol each, and how a port is opened.

An actor names a port by import path and never imports it; these are the promises in between. `qt check` holds each
configured port against them before anything starts: a member that is missing, or one that cannot be called as it will
be, is a sentence there and not a crash loop at three in the morning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from actors.messages.control import EssState
from actors.messages.orders import OrderIntent
from actors.venues.words import BookFrame
from supervisor.message import Message

Post = Callable[[Message], None]


class LatchNow(Protocol):
    """The emergency stop's latch at one moment."""

    @property
    def state(self) -> EssState: ...
    @property
    def reason(self) -> str: ...


class LatchPort(Protocol):
    """Watches the emergency stop's latch and posts `LatchSeen` when it changes. `now` is the latch at opening."""

    @property
    def now(self) -> LatchNow: ...
    def close(self) -> None: ...


class OpensLatch(Protocol):
    def __call__(self, post: Post, /, *, home: str | Path) -> LatchPort: ...


class FramesPort(Protocol):
    """A venue's public data. `close` gives the final frame of every instrument."""

    def close(self) -> Iterable[BookFrame]: ...


class OpensFrames(Protocol):
    def __call__(
        self,
        post: Post,
        /,
        *,
        venue: str,
        product: str,
        symbols: tuple[str, ...],
        url: str | None,
        limits: dict[str, float] | None,
    ) -> FramesPort: ...


class OrdersPort(Protocol):
    """An account at its venue. Every question ends in a word that is posted; see actors/venues/words.py."""

    def submit(self, client_order_id: str, intent: OrderIntent) -> None: ...
    def cancel(self, client_order_id: str, symbol: str, conditional: bool, tries: int = 0) -> None: ...
    def find(self, client_order_id: str, symbol: str, conditional: bool, tries: int = 0) -> None: ...
    def reconcile(self, since_ms: int, unsettled: tuple[tuple[str, str, bool], ...]) -> None: ...
    def learn(self, venue_order_id: str, client_order_id: str) -> None: ...
    def close(self) -> None: ...


class OpensOrders(Protocol):
    def __call__(
        self, post: Post, /, *, account: str, product: str, symbols: tuple[str, ...], currency: str, url: str | None
    ) -> OrdersPort: ...


class Closes(Protocol):
    """A port that only speaks: all that is asked of it is to end."""

    def close(self) -> None: ...


class Probed(Protocol):
    """A door at which it can be asked whether the actor speaks."""

    def said(self) -> None: ...
    def close(self) -> None: ...


class OpensProbe(Protocol):
    def __call__(self, name: str, port: int, /) -> Probed: ...


class OpensHttp(Protocol):
    def __call__(
        self, post: Post, /, *, home: str, http_port: int, slots: Any, children: tuple[str, ...], poll_every_s: float
    ) -> Closes: ...


class OpensVenue(Protocol):
    """Runs an exchange of our own; `settings` are those of `actors.venues.simulator.server:Settings`."""

    def __call__(self, post: Post, /, **settings: Any) -> Closes: ...
