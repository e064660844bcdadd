"""The private line between the root and one node: a SOCK_SEQPACKET pair, one MessagePack word per packet.

It ends with either side's life, which is the cheapest news of a death there is. Market data never travels here.
"""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from supervisor.events import Supervision
from supervisor.moves import ChildView, Verb
from supervisor.words import CrashRecord, ExitKind

LARGEST = 64 * 1024  # a crash record with its traceback fits; SEQPACKET keeps packets whole
VIEWS_MOST = 50  # views without tracebacks: some 20 KiB


class Word(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of the link's words."""


class Hello(Word, frozen=True, kw_only=True):
    """The node runs `main`: it exists."""

    pid: int


class NodeReady(Word, frozen=True, kw_only=True):
    """Every actor of the node is ready."""


class NodeCrashed(Word, frozen=True, kw_only=True):
    """Last words: an exception left an actor. The process ends right after."""

    record: CrashRecord


class Pong(Word, frozen=True, kw_only=True):
    """Answer of the node's main thread (rung R1: the interpreter runs)."""

    n: int


class Ask(Word, frozen=True, kw_only=True):
    """An actor wants something of the root: `name` is the message class, `payload` its MessagePack."""

    name: str
    payload: bytes


class CanaryAnswered(Word, frozen=True, kw_only=True):
    """What the actor answered to a canary. `error`: it raised instead (the class and the text)."""

    actor: str
    name: str
    n: int
    answer: str = ""
    error: str = ""


class Farewell(Word, frozen=True, kw_only=True):
    """Last words of a node that ends by its own judgement: an actor's thread would not end (hung), or its supervisor
    gave up (max_restarts). `stacks`: where the threads were."""

    kind: ExitKind
    detail: str
    stacks: str = ""


class Inside(Word, frozen=True, kw_only=True):
    """What changed among the actors inside: the units as they are now, at most `VIEWS_MOST` a word."""

    views: tuple[ChildView, ...]


class Happened(Word, frozen=True, kw_only=True):
    """A supervision record of the tree inside, paths below the node."""

    record: Supervision


class Obeyed(Word, frozen=True, kw_only=True):
    """The answer to a `Command`, closed codes as everywhere (policy/orders.py)."""

    order_id: str
    ok: bool
    code: str
    text: str


class Command(Word, frozen=True, kw_only=True):
    """An order for an actor inside; an operator's, or the root's own with its reason (`why`)."""

    order_id: str
    verb: Verb
    name: str
    why: str = ""


class Convict(Word, frozen=True, kw_only=True):
    """The judge found that this actor inside hangs: give it up now."""

    name: str
    detail: str


class StopNode(Word, frozen=True, kw_only=True):
    reason: str


class Ping(Word, frozen=True, kw_only=True):
    n: int


class Tell(Word, frozen=True, kw_only=True):
    """A word of the supervisor for one actor of the node: `payload` is the MessagePack of one of `system.ToActor`."""

    actor: str
    payload: bytes


class AskCanary(Word, frozen=True, kw_only=True):
    """Put this question (`Actor.canary`) to an actor, through its own inbox."""

    actor: str
    name: str
    n: int


FromNode = Hello | NodeReady | NodeCrashed | Pong | Ask | CanaryAnswered | Farewell | Inside | Happened | Obeyed
FromRoot = StopNode | Ping | Tell | AskCanary | Command | Convict

_encode = msgspec.msgpack.Encoder().encode
_from_node: Any = msgspec.msgpack.Decoder(FromNode)
_from_root: Any = msgspec.msgpack.Decoder(FromRoot)


def pair() -> tuple[socket.socket, socket.socket]:
    """(root's end, node's end). The root's end is non-blocking."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def send(line: socket.socket, word: Word, flags: int = 0) -> bool:
    """False when the other side is gone or its buffer is full: a link never makes its sender wait for long.

    A node's end blocks while the root reads nothing; with `socket.MSG_DONTWAIT` it does not.
    """
    try:
        line.send(_encode(word)[:LARGEST], flags)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError, OSError):
        return False
    return True


def receive_from_node(line: socket.socket) -> list[FromNode] | None:
    """Everything waiting, `None` once the node's end is closed. Undecodable packets count as silence."""
    words: list[FromNode] = []
    while True:
        try:
            packet = line.recv(LARGEST)
        except BlockingIOError:
            return words
        except (ConnectionResetError, OSError):
            return words if words else None
        if not packet:
            return words if words else None
        try:
            words.append(_from_node.decode(packet))
        except msgspec.DecodeError:
            continue


def receive_from_root(line: socket.socket) -> FromRoot | None:
    """Blocks for one word; `None` when the root is gone."""
    try:
        packet = line.recv(LARGEST)
    except OSError:
        return None
    if not packet:
        return None
    word: FromRoot = _from_root.decode(packet)
    return word
