"""What an operator's order gets for an answer: one table, verb by state.

`ok` means: it is so, or it will be. Any other answer changes nothing and says why by a closed code. Codes follow OTP
(already_started, running, restarting, not_found) where OTP has one. Orders never cost budget (statement 61).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from supervisor.words import State


class Move(StrEnum):
    """What an accepted order does."""

    NOTHING = "nothing"
    START = "start"  # at once, with a clean record
    STOP = "stop"  # and stay down until ordered up
    BOUNCE = "bounce"  # stop, confirmed death, start
    FORGET = "forget"  # stop, confirmed death, its card leaves
    ADD = "add"


class Ruling(msgspec.Struct, frozen=True):
    """The answer to an order, and what to do."""

    ok: bool
    code: str
    move: Move
    text: str


def _ok(move: Move, text: str) -> Ruling:
    return Ruling(True, "ok", move, text)


def _no(code: str, text: str) -> Ruling:
    return Ruling(False, code, Move.NOTHING, text)


_LIVE = (State.STARTING, State.RUNNING, State.READY)
_WAITING = _no("waiting", "{id} waits for an earlier sibling to become ready and starts then")
_ZOMBIE = _no("zombie", "{id} has a thread that would not end; recycle its node")

TABLE: dict[str, dict[State, Ruling]] = {
    "start": {
        **dict.fromkeys(_LIVE, _no("already_started", "{id} is already up as incarnation {incarnation}, pid {pid}")),
        State.STOPPED: _ok(Move.START, "{id} is being started"),
        State.WAITING: _WAITING,
        State.STOPPING: _ok(Move.BOUNCE, "{id} starts as soon as incarnation {incarnation} is confirmed dead"),
        State.RESTARTING: _no("restarting", "{id} is restarting by itself; `restart` skips the wait"),
        State.QUARANTINED: _no("quarantined", "{id} is quarantined; look at `why {id}`, then `release` it"),
        State.ZOMBIE: _ZOMBIE,
    },
    "stop": {
        **dict.fromkeys(_LIVE, _ok(Move.STOP, "{id} is being stopped and stays down until started")),
        State.STOPPED: Ruling(True, "stopped", Move.STOP, "{id} is down and stays down until started"),
        State.WAITING: _ok(Move.STOP, "{id} will not be started"),
        State.STOPPING: Ruling(True, "stopping", Move.STOP, "{id} is already going down and stays down"),
        State.RESTARTING: _ok(Move.STOP, "{id} stays down; its pending restart is cancelled"),
        State.QUARANTINED: Ruling(
            True, "stopped", Move.STOP, "{id} was quarantined and is now stopped; `start` it later"
        ),
        State.ZOMBIE: _ZOMBIE,
    },
    "restart": {
        **dict.fromkeys(_LIVE, _ok(Move.BOUNCE, "{id} restarts: incarnation {incarnation} is stopped first")),
        State.STOPPED: _ok(Move.START, "{id} was stopped and is being started"),
        State.WAITING: _WAITING,
        State.STOPPING: _ok(Move.BOUNCE, "{id} starts as soon as incarnation {incarnation} is confirmed dead"),
        State.RESTARTING: _ok(Move.START, "{id} restarts now instead of waiting"),
        State.QUARANTINED: _ok(Move.START, "{id} is released and being started"),
        State.ZOMBIE: _ZOMBIE,
    },
    "release": {
        **dict.fromkeys(_LIVE, _no("running", "{id} is not quarantined: it is up as incarnation {incarnation}")),
        State.STOPPED: _no("stopped", "{id} is not quarantined but stopped; `start` it"),
        State.WAITING: _WAITING,
        State.STOPPING: _no("stopping", "{id} is still going down; ask again when it is"),
        State.RESTARTING: _no("restarting", "{id} is not quarantined: it is restarting by itself"),
        State.QUARANTINED: _ok(Move.START, "{id} is released and being started"),
        State.ZOMBIE: _ZOMBIE,
    },
    "remove": {
        **dict.fromkeys(_LIVE, _no("running", "{id} is up as incarnation {incarnation}, pid {pid}; stop it first")),
        State.STOPPED: _ok(Move.FORGET, "{id} is removed"),
        State.WAITING: _no("restarting", "{id} waits to be started; stop it first"),
        State.STOPPING: _ok(Move.FORGET, "{id} is removed as soon as incarnation {incarnation} is confirmed dead"),
        State.RESTARTING: _no("restarting", "{id} is restarting by itself; stop it first"),
        State.QUARANTINED: _ok(Move.FORGET, "{id} was quarantined and is removed"),
        State.ZOMBIE: _ZOMBIE,
    },
}
DYNAMIC_REMOVE: dict[State, Ruling] = {
    **dict.fromkeys(State, _ok(Move.FORGET, "{id} is removed")),
    **dict.fromkeys(
        (*_LIVE, State.STOPPING),
        _ok(Move.FORGET, "{id} is removed as soon as incarnation {incarnation} is confirmed dead"),
    ),
    State.ZOMBIE: _ZOMBIE,
}
"""What a dynamic supervisor's child gets: terminate_child and delete_child in one, as in Elixir."""

_COMING_BACK: dict[str, Ruling] = {
    "start": _no("restarting", "{id} is on its way back: incarnation {incarnation} ends first"),
    "stop": _ok(Move.STOP, "{id} stays down once incarnation {incarnation} is confirmed dead"),
    "restart": _no("restarting", "{id} is on its way back: incarnation {incarnation} ends first"),
    "release": _no("restarting", "{id} is not quarantined: it is on its way back"),
    "remove": _no("restarting", "{id} is on its way back; stop it first"),
}

# Rulings that need no look at the state; `blame` is filled in by whoever answers.
NOT_FOUND = _no("not_found", "there is no {id}; known are {blame}")
NEAREST = _no("not_found", "there is no {id}; did you mean {blame}?")
UNKNOWN_VERB = _no("unknown_verb", "{blame} is not an order; known are start, stop, restart, release")
SHUTTING_DOWN = _no("shutting_down", "the server is shutting down: {blame}")
ROOT = _no("root", "{blame} is the root of the tree; `down` ends the server")
SUPERVISOR_DOWN = _no("supervisor_down", "{id} cannot come up: its supervisor {blame}")
LEAVING = _no("leaving", "{id} is being removed")

# Rulings on a child to be added.
ADDED = _ok(Move.ADD, "{id} is added below {blame} and is being started")
NOT_A_SUPERVISOR = _no("not_supervisor", "{blame} is a worker; only a supervisor has children")
NO_TEMPLATE = _no("not_dynamic", "{blame} has no template to make a child from; give a whole child spec")
INVALID_SPEC = _no("invalid_spec", "{id} cannot be added: {blame}")
ALREADY_STARTED = _no("already_started", "{id} is already up as incarnation {incarnation}, pid {pid}")
ALREADY_PRESENT = _no("already_present", "there is a {id} already, {blame}; the new spec is discarded")
MAX_CHILDREN = _no("max_children", "{id} is not added: {blame}")


def rule(verb: str, state: State, *, comes_back: bool) -> Ruling:
    """The ruling for a known verb; `comes_back`: a stopping child that will be started again when it is dead."""
    if state is State.STOPPING and comes_back:
        return _COMING_BACK[verb]
    return TABLE[verb][state]
