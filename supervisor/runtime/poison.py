"""Messages that kill: set aside by their identity, so that the actor that died of them goes on with the next one.

The picture: the poison cupboard. What is in it is not thrown away (its sender's journal still holds it); it is only not
given to this child again. The cupboard is a file, because the next root must not hand the poison out either. Which
message is poison, `supervisor.policy.parking.poison` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from supervisor.plan import replace_whole
from supervisor.runtime.memory import aside

MOST = 100  # of a child; the oldest is given out again, and kills again, and is set aside again


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """One message: `feed:binance:OrderFilled:17`, sender, class and sequence."""

    message: str
    at: float  # seconds since the epoch
    why: str


class _Cupboard(msgspec.Struct, frozen=True, kw_only=True):
    """The file: child -> its poison, oldest first."""

    schema: int = 1
    children: dict[str, tuple[SetAside, ...]] = {}


class Poison:
    """`state/poison.msgpack`. Replaced whole, and on the disk before the child is born again."""

    def __init__(self, home: Path, complain: Callable[[str], None]) -> None:
        self._path = home / "state" / "poison.msgpack"
        self._children: dict[str, tuple[SetAside, ...]] = {}
        try:
            self._children = msgspec.msgpack.decode(self._path.read_bytes(), type=_Cupboard).children
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            complain(f"{aside(self._path)} cannot be read ({error}); the messages it names are given out again")

    def of(self, child: str) -> tuple[SetAside, ...]:
        """What is not given to this child."""
        return self._children.get(child, ())

    def set_aside(self, child: str, message: str, why: str) -> bool:
        """From its next life on this child does not get the message; False when that was so already.

        Raises:
            OSError: it holds for this root, and cannot be remembered for the next.
        """
        kept = self.of(child)
        if any(one.message == message for one in kept):
            return False
        fresh = SetAside(message=message, at=time.time(), why=why)
        self._children = {**self._children, child: (*kept[-(MOST - 1) :], fresh)}
        self._save()
        return True

    def forget(self, child: str) -> None:
        """The child is no more. One that lives is past what was set aside: only its name tells what it missed."""
        if child in self._children:
            self._children = {name: kept for name, kept in self._children.items() if name != child}
            self._save()

    def _save(self) -> None:
        replace_whole(self._path, msgspec.msgpack.encode(_Cupboard(children=self._children)))
