"""The two closed sets around the tree machine: what it is told (`Event`) and what it wants done (`Action`).

Read it as a conversation with the runtime. Every `Start` is answered by exactly one `Exited` in the end, also when the
fork itself failed; in between come `Started` and `Ready`. `Stop` and `Kill` are answered by that same `Exited`: a death
is reported when it is a fact, never when it was asked for. A `Wake` replaces an earlier one of the same id; a `Due`
that comes too early or for nothing is harmless.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import TypeAlias

import msgspec

from supervisor.events import Cause, Supervision
from supervisor.spec import ChildSpec
from supervisor.words import ExitReason, State


class Verb(StrEnum):
    """What an operator can order."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELEASE = "release"


class Kept(msgspec.Struct, frozen=True):
    """What is remembered of a unit from before this tree: `STOPPED` by an operator, or `QUARANTINED` and for what."""

    state: State
    cause: Cause = Cause.ORDER
    why: str = ""


# -- told ---------------------------------------------------------------------------------------------------------


class Boot(msgspec.Struct, frozen=True):
    """Start the tree, in order, by readiness. Orders given before it are remembered: a stopped child stays stopped."""


class Started(msgspec.Struct, frozen=True):
    """The process exists."""

    id: str
    incarnation: int
    pid: int


class Ready(msgspec.Struct, frozen=True):
    """It recovered, reconciled, and serves."""

    id: str
    incarnation: int


class Exited(msgspec.Struct, frozen=True):
    """The kernel confirmed the death. `worked`: useful work since ready. `inputs`: digest of code, configuration and
    dependencies it ran with; the same crash with other inputs is another crash."""

    id: str
    incarnation: int
    reason: ExitReason
    worked: bool
    inputs: str = ""


class Due(msgspec.Struct, frozen=True):
    """A `Wake` came due."""

    id: str


class Order(msgspec.Struct, frozen=True):
    """An operator's order, or for another reason (`why`) one of the root; answered by exactly one `Answer` in the same
    turn."""

    order_id: str
    verb: Verb
    id: str
    why: str = "an operator's order"


class AddChild(msgspec.Struct, frozen=True):
    """OTP's start_child: a new child, last in order; answered like an `Order`. `spec` None: from the template of a
    dynamic supervisor, under the id `name`. The answer says that it is accepted; that it is ready is another fact."""

    order_id: str
    supervisor_id: str
    spec: ChildSpec | None = None
    name: str = ""


class RemoveChild(msgspec.Struct, frozen=True):
    """OTP's delete_child: its spec is forgotten. A dynamic supervisor's child is stopped first; any other must be
    stopped already, and if it stands in the spec of its supervisor it is there again when that is restarted."""

    order_id: str
    id: str


class Convicted(msgspec.Struct, frozen=True):
    """The verdict HUNG with two keys: kill it and treat it like a crash."""

    id: str
    incarnation: int
    detail: str


class Shutdown(msgspec.Struct, frozen=True):
    """Everything down, in reverse order. `within_s` is the one total deadline: what still lives then is killed."""

    reason: str
    within_s: float = inf


Event: TypeAlias = Boot | Started | Ready | Exited | Due | Order | AddChild | RemoveChild | Convicted | Shutdown


# -- wants done ---------------------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True):
    """Start this incarnation."""

    id: str
    path: str
    incarnation: int
    spec: ChildSpec


class Stop(msgspec.Struct, frozen=True):
    """Ask politely, SIGTERM, then SIGKILL after `shutdown_s` (0: at once; infinity: wait until told to `Kill`)."""

    id: str
    incarnation: int
    shutdown_s: float
    why: str


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL now. Harmless for a process that is already dead."""

    id: str
    incarnation: int
    why: str


class Wake(msgspec.Struct, frozen=True):
    """Say `Due(id)` at `at`, on the clock of `now`."""

    id: str
    at: float


class Report(msgspec.Struct, frozen=True):
    """Publish and keep this record."""

    record: Supervision


class Answer(msgspec.Struct, frozen=True):
    """The answer to an order. `ok` says whether the order is or will be done; `code` is closed, `text` for a person."""

    order_id: str
    ok: bool
    code: str
    text: str


class Remember(msgspec.Struct, frozen=True):
    """Store this child of a supervisor that remembers, behind those stored before; `spec` None: store it no more. What
    is stored is handed to the next `Tree` of the same spec."""

    supervisor_id: str
    id: str
    spec: ChildSpec | None


class GiveUp(msgspec.Struct, frozen=True):
    """The root supervisor gave up (only when its spec says so and nothing below is safety); `Ended` follows."""

    reason: str


class Ended(msgspec.Struct, frozen=True):
    """Everything is confirmed dead."""

    reason: str


Action: TypeAlias = Start | Stop | Kill | Wake | Report | Answer | Remember | GiveUp | Ended


# -- what can be seen ---------------------------------------------------------------------------------------------


class ChildView(msgspec.Struct, frozen=True, kw_only=True):
    """One unit of the tree as it is now. Times are on the clock of `now`; `pid` is None while there is no process.

    For a supervisor `ready` means that every required unit below it is ready (or ended for good as it should), and
    `restarts_*` count the restarts it granted to its children.
    """

    path: str
    id: str
    kind: str  # "worker" | "supervisor"
    state: State
    incarnation: int
    pid: int | None
    since: float
    restarts_in_window: int
    restart_limit: int
    restarts_total: int
    next_retry_at: float | None
    last_exit: ExitReason | None
    ready: bool
    required: bool
